"""``bet-plus``: a search over float32 sizes that starts from the simple rules, with a Gaussian
process for a surrogate. Ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bet.actions import (
    Action,
    Budget,
    quarters,
    ranked_action,
    sample_actions,
    size_features,
    split_budget,
)
from bet.backbones import BACKBONES
from bet.methods.fixed import uniform_action
from bet.methods.powerlaw import powerlaw_action
from bet.search import Candidate, MethodResult, SearchContext, search_plus

ALPHAS = (0.15, 0.3)  # of the power law, at the users' share of the uniform table
DEVIATIONS = (0.1, 0.3, 1.0)  # of the logarithms that a mutation adds, one of them each


def bet_plus(context: SearchContext) -> MethodResult:
    """Anchors, expected improvement, and training in rungs (``bet.search.plus.search_plus``). Where
    the backbone propagates, rows may be empty.
    """
    if BACKBONES[context.settings.backbone].reads_graph:
        context = context.with_empty_rows()
    return search_plus(context, SizeCandidates(context))


@dataclass(frozen=True)
class SizeCandidates:
    """Sizes within the budget of ``context``, all of it used; empty rows where it allows them, and
    a table less where the backbone works without.
    """

    context: SearchContext

    @property
    def _takes_less(self) -> bool:
        """Whether the backbone works with the last of an entity's tables alone."""
        return BACKBONES[self.context.settings.backbone].of_last_copy is not None

    def _budget(self, *, last_copy: bool) -> Budget:
        budget = self.context.budget
        return budget.of_last_copy if last_copy else budget

    def anchors(self) -> list[Candidate]:
        """The uniform table, or two, which are always finished, power laws of frequency and, with
        empty rows, all for one side, or all but a column for everybody.
        """
        context, order = self.context, self.context.data.order
        share = order.n_users / order.n
        found = [Candidate("uniform", uniform_action(context), finished=True)]
        if self._takes_less:
            less = replace(context, budget=self._budget(last_copy=True))
            action = uniform_action(less).in_last_copy()
            found.append(Candidate("uniform, last table", action, finished=True))
        found += [
            Candidate(f"power law {alpha}", powerlaw_action(context, alpha, share))
            for alpha in ALPHAS
        ]
        budget = context.budget
        if budget.d_min:
            return found
        with_rows = replace(budget, d_min=budget.step) if _all_get_rows(budget) else None
        for side, all_of_it in (("users", 1.0), ("items", 0.0)):
            # A side may not be able to hold all columns.
            if 0 in split_budget(budget, order.n_users, all_of_it):
                found.append(Candidate(f"{side} only", powerlaw_action(context, 0.0, all_of_it)))
            if with_rows:
                first = replace(context, budget=with_rows)
                found.append(Candidate(f"{side} first", powerlaw_action(first, 0.0, all_of_it)))
        return found

    def sample(self, m: int, rng: np.random.Generator) -> list[Action]:
        """As Algorithm 1 does; where the backbone takes less, half of them for the last table."""
        order, less = self.context.data.order, m // 2 if self._takes_less else 0
        actions = sample_actions(order, self.context.budget, m - less, rng)
        last = sample_actions(order, self._budget(last_copy=True), less, rng)
        return [*actions, *(action.in_last_copy() for action in last)]

    def mutate(self, action: Action, m: int, rng: np.random.Generator) -> list[Action]:
        """Every quarter of ranks of each side is multiplied by a factor, smoothly from one to the
        next, and so is the odds of the users' share; then the budget is handed out anew.
        """
        return [self._mutant(action, rng) for _ in range(m)]

    def _mutant(self, action: Action, rng: np.random.Generator) -> Action:
        order, deviation = self.context.data.order, rng.choice(DEVIATIONS)
        users = _scaled(action.user_sizes[order.users], deviation, rng)
        items = _scaled(action.item_sizes[order.items], deviation, rng)
        share = float(action.user_sizes.sum(dtype=np.int64)) / max(action.allocation.total, 1)
        if 0 < share < 1:
            share = 1 / (1 + (1 / share - 1) * np.exp(rng.normal(0.0, deviation)))
        last_copy = action.allocation.last_copy
        budget = self._budget(last_copy=last_copy)
        mutant = ranked_action(order, budget, users, items, float(share), mutation=float(deviation))
        return mutant.in_last_copy() if last_copy else mutant

    def features(self, actions: Sequence[Action]) -> np.ndarray:
        features = size_features(self.context.data.order, actions)
        if not self._takes_less:
            return features
        last = [action.allocation.last_copy for action in actions]
        return np.column_stack([features, np.array(last, dtype=np.float64)])


def _scaled(sizes: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """``sizes`` (k,) by rank times a random curve, again in falling order."""
    ranks = np.arange(len(sizes))
    centers = [quarter.mean() for quarter in quarters(ranks)]
    curve = np.interp(ranks, centers, rng.normal(0.0, deviation, len(centers)))
    return -np.sort(-sizes * np.exp(curve))


def _all_get_rows(budget: Budget) -> bool:
    """Whether there is a step of columns for everybody."""
    return budget.total >= budget.n * budget.step
