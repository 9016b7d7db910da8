"""A model of nested prefixes: every prefix is trained, one model for all budgets, actions scored as
they are.
"""

import sys
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest
import torch
from fitted import BY_GRADIENT

from bet.actions import Allocation, sample_action
from bet.methods import METHODS
from bet.methods.nested import NestedTable, nested_full, widths
from bet.search import Effort, evaluate_truncated, initialize_learner, truncate
from bet.training import train


def longer(context, epochs=8):
    training = replace(context.settings.training, max_epochs=epochs, patience=8)
    return replace(context, settings=replace(context.settings, training=training))


def test_widths_are_halves():
    assert (
        widths(128) == (128, 64, 32, 16, 8, 4, 2, 1)
        and widths(12) == (12, 6, 3, 1)
        and widths(1) == (1,)
    )


def test_a_step_trains_its_prefix_of_every_copy():
    options = {"copies": 2, "std": 1.0, "generator": torch.Generator().manual_seed(0)}
    table = NestedTable(Allocation.uniform(5, 8), d_max=8, seed=0, **options)
    seen = set()
    for step in range(60):
        table.before_step(step, 60)
        seen.add(table.columns)
        table.weight.grad = None
        ego = table()
        assert ego.shape == (5, 2 * table.columns)
        ego.sum().backward()
        trained = table.weight.grad.reshape(5, 2, 8) != 0
        assert (trained == (torch.arange(8) < table.columns)).all()
    assert seen == set(widths(8))


@pytest.mark.parametrize("backbone", BY_GRADIENT)
def test_one_model_serves_every_budget_and_scores_actions_as_they_are(make, backbone, monkeypatch):
    context = longer(make(backbone, "75%"))
    full = nested_full(context)
    assert (
        full.result.quality == pytest.approx(context.quality(full.model))
        and full.result.quality > 0
    )
    before = full.model.snapshot()
    action = sample_action(context.data.order, context.budget, np.random.default_rng(0))
    ranked = evaluate_truncated(context, full, action.allocation)
    assert ranked.means()["quality"] == pytest.approx(
        context.quality(truncate(context, full, action.allocation))
    )
    assert all(
        torch.equal(weight, before[name]) for name, weight in full.model.state_dict().items()
    )
    monkeypatch.setattr(
        sys.modules["bet.methods.nested"], "_train", None
    )  # another budget takes the model from the cache
    again = nested_full(longer(make(backbone, "50%")))
    assert all(
        torch.equal(weight, before[name]) for name, weight in again.model.state_dict().items()
    )


def test_narrow_prefixes_are_better_than_those_of_a_model_trained_as_a_whole(make):
    context = longer(make(), 20)
    whole = initialize_learner(context, partial(NestedTable, seed=0))
    whole.table.before_step = lambda step, steps: False
    train(whole, context.sampler, context.settings.training, seed=0, epochs=20)
    nested = nested_full(context).model
    qualities = []
    for weight in (nested.table.weight, whole.table.weight):
        users, items = weight.detach()[:, :1].split(
            [context.data.n_users, context.budget.n - context.data.n_users]
        )
        positives = torch.from_numpy(context.data.train.toarray()) > 0
        scores = users @ items.T
        qualities.append(
            float((scores[positives].mean() - scores[~positives].mean()) / scores.std())
        )
    assert qualities[0] > qualities[1]


def test_the_search_counts_evaluations_instead_of_fine_tunings(make):
    outcome = METHODS["nested"](longer(make(budget="75%")))
    assert outcome.effort == Effort(finetunings=0, evaluations=3, trainings=2)
    assert outcome.trained.model.table.n_parameters() == make(budget="75%").budget.target
    assert None not in asdict(outcome.seconds).values()


def test_other_numbers_of_the_search_train_nothing_anew(make, monkeypatch):
    context = longer(make(budget="75%"))
    nested_full(context)
    monkeypatch.setattr(sys.modules["bet.methods.nested"], "_train", None)
    numbers = replace(context.settings.search, iterations=7, actions=5)
    nested_full(replace(context, settings=replace(context.settings, search=numbers)))
