"""What all competitors promise."""

import json
import sys

import pytest
import torch
from lowered import lowered

from bet.actions import Allocation
from bet.errors import BetError, BudgetNotMet
from bet.methods import ELEMENTWISE, METHODS, UNBUDGETED
from bet.search import (
    initialize_recommender,
)
from bet.study import record, unreached
from bet.study.cell import Cell
from bet.study.run import run_cell
from bet.training import train

COMPETITORS = ("magnitude", "pep", "optembed", "esapn", "ciess", "amtl")


# The actor and critics of ``ciess`` need not learn well here.
few_updates = lowered(("bet.methods.ciess", "UPDATES", 5))


@pytest.mark.parametrize("backbone", ["lightgcn", "ncf", "ngcf"])
@pytest.mark.parametrize("method", COMPETITORS)
def test_every_competitor_uses_the_budget_exactly_and_retrains_no_more_than_bet(
    make, method, backbone
):
    context = make(backbone, "80%")
    outcome = METHODS[method](context)
    model = outcome.trained.model
    assert model.table.n_parameters() == context.budget.parameters
    ego = model.table()
    outside = ~torch.from_numpy(model.table.allocation.mask) if method in ELEMENTWISE else None
    if outside is not None:
        assert (ego[outside] == 0).all()
    else:
        columns = torch.arange(ego.shape[1] // context.budget.copies).repeat(context.budget.copies)
        assert (ego[columns >= torch.from_numpy(model.table.sizes)[:, None]] == 0).all()
    retrained = outcome.retrained or outcome.trials
    assert 1 <= len(retrained) <= context.settings.search.top
    qualities = [trial["quality"] for trial in outcome.trials] or [
        trained.result.quality for trained in outcome.retrained.values()
    ]
    assert outcome.trained.result.quality == max(qualities) == pytest.approx(context.quality(model))


@pytest.mark.parametrize("method", UNBUDGETED[1:])
def test_without_a_budget_a_method_chooses_its_own_total(make, method):
    context = make()
    outcome = METHODS[method](context)
    best = max(outcome.trials, key=lambda trial: trial["quality"])
    chosen = {
        "amtl": lambda: best["chosen_columns"],
        "esapn": lambda: best["grown_columns"],
        "optembed": lambda: (
            best["user_columns"] * (context.data.n_users - best["removed_users"])
            + best["item_columns"]
            * (context.budget.n - context.data.n_users - best["removed_items"])
        ),
    }[method]()
    assert outcome.trained.model.table.n_parameters() == chosen < context.budget.parameters


def test_interrupted_competitors_go_on_to_the_same_result(make, tmp_path, monkeypatch):
    whole = METHODS["amtl"](make(budget="80%")).trained
    context = make(budget="80%").in_folder(tmp_path / "second")
    import bet.search.trials as trials

    train_from_scratch, calls = trials.train_from_scratch, []

    def stopped(*arguments):
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(arguments)
        return train_from_scratch(*arguments)

    monkeypatch.setattr(trials, "train_from_scratch", stopped)
    with pytest.raises(KeyboardInterrupt):
        METHODS["amtl"](context)
    monkeypatch.setattr(trials, "train_from_scratch", train_from_scratch)
    monkeypatch.setattr(trials, "train_model", None)  # the twins are not trained again
    again = METHODS["amtl"](context).trained
    assert torch.equal(again.model.table(), whole.model.table())


def test_an_unreachable_budget_leaves_a_record_that_says_so(tmp_path, monkeypatch):
    for name in ("BET_CACHE", "BET_RESULTS"):
        monkeypatch.setenv(name, str(tmp_path / name))
    cell = Cell("tiny", "lightgcn", "92%", "esapn", profile="smoke")
    with pytest.raises(BudgetNotMet, match="starts with 2"):
        run_cell(cell)
    reason = json.loads(unreached.unreached_path(cell).read_text())
    assert (
        reason["cell_id"] == cell.id
        and reason["reached"] > reason["target"]
        and "starts with 2" in reason["why"]
    )
    assert not record.record_path(cell).exists()


def test_pep_that_prunes_too_little_says_how_far_it_came(make, monkeypatch):
    pep = sys.modules["bet.methods.pep"]  # by name it is the function
    context, speeds = make(budget="80%"), pep.SPEEDS
    monkeypatch.setattr(pep, "SPEEDS", (0.01, 0.02))
    with pytest.raises(BudgetNotMet, match="thresholds did not rise") as caught:
        METHODS["pep"](context)
    monkeypatch.setattr(
        pep, "SPEEDS", (0.01, *speeds)
    )  # one that does not reach the budget is replaced by another
    outcome = METHODS["pep"](context)
    assert (
        len(outcome.trials) == context.settings.search.top
        and outcome.effort.trainings == 2 * context.settings.search.top + 1
    )
    assert caught.value.reached > caught.value.target == make(budget="80%").budget.parameters


def test_budgets_that_a_method_cannot_take_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    with pytest.raises(BetError, match="not of bytes"):
        run_cell(Cell("tiny", "lightgcn", "10 kB", "pep", profile="smoke"))
    with pytest.raises(BetError, match="'none' or a budget"):
        Cell("tiny", "lightgcn", "none", "pep", profile="smoke")


def test_a_nan_stops_training_with_step_and_learning_rate(make):
    context = make(budget="80%")
    model = initialize_recommender(context, Allocation.uniform(context.budget.n, 3))
    with torch.no_grad():
        model.table.weight[0, 0] = torch.nan
    with pytest.raises(BetError, match=r"diverged: loss nan .* step \d+, learning rate"):
        train(model, context.sampler, context.settings.training, seed=0, epochs=1)
