"""``stream-bet-plus``: the search of ``bet-plus``, a few measurements a segment, which go on from
those of earlier segments; a gate decides between its find and the sizes as they were. Ours.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bet.actions import Action
from bet.methods.bet_plus import SizeCandidates
from bet.search import SearchContext, expected_improvement
from bet.search.gate import safe_select
from bet.search.plus import apart
from bet.stream.carry import carry_sizes
from bet.stream.measured import Measurements, relative
from bet.stream.policy import Proposal, StatelessPolicy, Step, measure_shortly, short_trainings_of

MUTATIONS = 25  # of each measured action and simple rule
CONSIDERED = 2  # mutations for each measurement of a later segment: sizing an action takes long
METRIC = "ndcg@20"  # of the gate


class BetPlus(StatelessPolicy):
    """The first segment measures the simple rules, then what improves most by expectation, T short
    trainings in all, and takes the best. Later ones measure the sizes as they were, by rank, and a
    few others, as many as ``short_trainings_of`` says; the best replaces them only if validation
    users that the search did not look at gain from it.

    A Gaussian process is fitted to quality relative to the first measurement of its segment, over
    all segments: what was learned of sizes by rank holds for whoever has the rank now.
    """

    def __init__(self) -> None:
        self.measured = Measurements()

    def propose(self, step: Step) -> Proposal:
        context = step.context
        space, judges = SizeCandidates(context), _judges(context)
        if step.before is None:
            first, *rules = [anchor.action for anchor in space.anchors()]
        else:
            first, rules = carry_sizes(step.before, context.data.order, context.budget), []
        more = max(0, short_trainings_of(context.settings, step.number) - 1 - len(rules))
        actions = list[Action]()
        quality, gains = list[float](), list[np.ndarray]()  # of searching, of judging users

        def measure(action: Action) -> None:
            ranked = measure_shortly(context, action.allocation)
            judging = np.isin(ranked.users, judges)
            actions.append(action)
            quality.append(
                float(np.mean([each[~judging].mean() for each in ranked.values.values()]))
            )
            gains.append(ranked.values[METRIC][judging])
            self.measured.add(space.features([action])[0], relative(quality[-1], quality[0]))

        for action in (first, *rules):
            measure(action)
        for action in self._most_promising(space, actions, more, later=step.before is not None):
            measure(action)
        best = int(np.argmax(quality))
        if step.before is None or not best or not len(gains[0]):
            kept = best if step.before is None else 0
            return Proposal.of(actions[kept], len(actions), found=float(best))
        decision = safe_select(gains[best] - gains[0])
        return Proposal.of(
            actions[best if decision.accepted else 0],
            len(actions),
            found=float(best),
            accepted=float(decision.accepted),
            difference=decision.difference,
        )

    def _most_promising(
        self, space: SizeCandidates, measured: Sequence[Action], count: int, *, later: bool
    ) -> list[Action]:
        """``count`` actions of the largest expected improvement, apart from one another and from
        those ``measured``; the first of the pool where no surrogate can be fitted. ``later``: in a
        segment after the first, where the pool is the simple rules and a few mutations of the
        first one measured.
        """
        if not count:
            return []
        context = space.context
        rng = context.search_rng("stream-bet-plus")
        rules = [each.action for each in space.anchors()]
        if later:
            pool = [*rules, *space.mutate(measured[0], CONSIDERED * count, rng)]
        else:
            pool = space.sample(context.settings.search.actions, rng)
            for parent in dict.fromkeys([*measured, *rules]):
                pool += [parent, *space.mutate(parent, MUTATIONS, rng)]
        features, known = space.features(pool), space.features(measured)
        surrogate = self.measured.surrogate(int(rng.integers(2**31)))
        order = np.arange(len(pool))
        if surrogate is not None:
            mean, deviation = surrogate.predict(features)
            best = float(surrogate.predict(known)[0].max())
            order = np.argsort(-expected_improvement(mean, deviation, best), kind="stable")
        return [pool[i] for i in apart(order, features, known, count)]

    def state_dict(self) -> dict[str, Any]:
        return self.measured.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.measured.load_state_dict(state)


def _judges(context: SearchContext) -> np.ndarray:
    """Half of the validation users, whom only the gate looks at; the search looks at the others."""
    users = np.flatnonzero(np.diff(context.selection.indptr))
    return context.search_rng("gate").permutation(users)[(len(users) + 1) // 2 :]
