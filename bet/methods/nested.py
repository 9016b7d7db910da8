"""``nested``: BET's search over a model whose prefixes are all trained, so that actions are
scored without fine-tuning.

Matryoshka representations (Kusupati et al., NeurIPS 2022) for the ego table: whatever prefix a row
is truncated to was trained.
"""

from dataclasses import asdict, replace
from functools import partial

import torch
from torch import Tensor

from bet.actions import Allocation
from bet.backbones import Recommender
from bet.files import locked
from bet.predictor import DeepSets
from bet.search import (
    MethodResult,
    PredictorSelector,
    SearchContext,
    Trained,
    evaluate_truncated,
    initialize_learner,
    search_and_retrain,
    train_whole_schedule,
)
from bet.seeds import numpy_generator
from bet.tables import LearnedTable, MaskedTable
from bet.training import TrainResult, load_state, save_state


def nested(context: SearchContext) -> MethodResult:
    """Algorithm 1 with T evaluations of a nested model instead of T fine-tunings; the top five
    retrained, as for BET (after Kusupati et al., NeurIPS 2022).

    Ours: the published losses are of classifiers, and sum all prefixes in every step; here a
    prefix is drawn for every step, all with the same chance. The model serves every budget, and is
    trained once per data set, backbone and seed.
    """
    return search_and_retrain(
        context, PredictorSelector(context, DeepSets), nested_full(context), evaluate_truncated
    )


def widths(d_max: int) -> tuple[int, ...]:
    """Prefixes that are trained: d_max columns and its halves, down to one."""
    return tuple(dict.fromkeys(max(1, d_max >> i) for i in range(d_max.bit_length())))


class NestedTable(LearnedTable):
    """In every step all rows are truncated to as many columns, drawn from ``widths``: in
    expectation the mean of all prefixes' losses.
    """

    def __init__(self, allocation: Allocation, *, seed: int, **options):
        super().__init__(allocation, **options)
        self.seed, self.columns = seed, self.d_max

    def forward(self) -> Tensor:
        by_copy = self.weight.reshape(self.n, self.copies, -1)  # (n, copies, d_max)
        return by_copy[:, :, : self.columns].reshape(self.n, -1)  # (n, copies * columns)

    def before_step(self, step: int, steps: int) -> bool:
        choices, rng = widths(self.d_max), numpy_generator(self.seed, "nested", step)
        self.columns = choices[int(rng.integers(len(choices)))]
        return False


def nested_full(context: SearchContext) -> Trained:
    """The backbone with a full table trained on nested prefixes, cached beside the pre-trained
    ones.
    """
    folder = context.workspace.cache / "backbones"
    name = f"nested-{context.settings.backbone}-{context.key}"
    whole = context.without_budget().in_folder(folder)
    path, key = folder / f"{name}.pt", repr((context.key, widths(context.budget.d_max)))
    with locked(folder / name):
        state = load_state(path, key)
        if state is None:
            state = _train(whole, name)
            save_state(path, key, state)
    budget = context.budget
    table = MaskedTable(
        context.full_allocation,
        d_max=budget.d_max,
        n_users=context.data.n_users,
        copies=budget.copies,
    )
    model = Recommender(_untrained(whole).backbone, table).to(context.workspace.device)
    model.load_state_dict(state["model"])
    return Trained(model, TrainResult.from_saved(state["result"]))


def _untrained(context: SearchContext) -> Recommender:
    return initialize_learner(context, partial(NestedTable, seed=context.settings.seed_of_init))


def _train(context: SearchContext, name: str) -> dict:
    model = _untrained(context)
    result = train_whole_schedule(context, model, name)
    assert isinstance(model.table, NestedTable)
    model.table.columns = context.budget.d_max
    with torch.no_grad():
        result = replace(result, quality=context.quality(model))
    return {"model": model.state_dict(), "result": asdict(result)}
