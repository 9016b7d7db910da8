"""The rule BET must beat: size proportional to frequency^alpha, tuned with as many evaluations as
BET gets.
"""

from collections.abc import Sequence

import numpy as np
import scipy  # its part stats, slow to load, loads when it is used

from bet.actions import Action, ranked_action
from bet.search import (
    Choice,
    Evaluated,
    MethodResult,
    SearchContext,
    StatelessSelector,
    search_and_retrain,
)

ALPHA = (0.0, 1.5)
USER_SHARE = (0.05, 0.95)
STEP = 0.15  # of both ranges, in the local half of the tuning
DRAWS = 20  # of a step, until it leads to an action that was not evaluated yet


class PowerlawSelector(StatelessSelector):
    """Tunes (alpha, users' share): first the uniform table, then a Sobol sequence up to T / 2, then
    steps around the best.
    """

    name = "powerlaw"

    def __init__(self, context: SearchContext):
        self.context = context
        # Points of the sequence are nested: a longer search starts with those of a shorter search.
        sequence = scipy.stats.qmc.Sobol(2, scramble=True, rng=context.search_rng("powerlaw"))
        half = max(1, context.settings.search.iterations // 2)
        self.points = sequence.random_base2(int(np.ceil(np.log2(half + 1))))[:half]

    def choose(self, t: int, population: Sequence[Evaluated]) -> Choice:
        order = self.context.data.order
        low, high = np.array([ALPHA, USER_SHARE]).T
        if t == 1:
            return Choice(powerlaw_action(self.context, 0.0, order.n_users / order.n), "uniform")
        if t <= len(self.points):
            return Choice(
                powerlaw_action(self.context, *(low + self.points[t - 1] * (high - low))), "Sobol"
            )
        best = max(population, key=lambda member: member.fitness).action.origin
        rng = self.context.search_rng("powerlaw", t)
        for _ in range(DRAWS):
            point = np.array([best["alpha"], best["user_share"]]) + rng.normal(0.0, STEP, 2) * (
                high - low
            )
            # Reflected at the bounds: clipped, most steps from a corner would end in the corner
            # again.
            point = np.clip(high - np.abs(high - (low + np.abs(point - low))), low, high)
            action = powerlaw_action(self.context, *point)
            if not any(np.array_equal(action.sizes, member.action.sizes) for member in population):
                break
        return Choice(action, "near the best")


def powerlaw_action(context: SearchContext, alpha: float, user_share: float) -> Action:
    """Exact sizes proportional to frequency^alpha on each side, ``user_share`` of the budget for
    users.
    """
    order = context.data.order
    users = order.sorted_users ** float(alpha)
    items = order.sorted_items ** float(alpha)
    return ranked_action(order, context.budget, users, items, float(user_share), alpha=float(alpha))


def powerlaw(context: SearchContext) -> MethodResult:
    """T fine-tuned evaluations of the rule, then the top five retrained, as for BET (after
    Ginart et al., ISIT 2021; the tuning is ours).
    """
    return search_and_retrain(context, PowerlawSelector(context))
