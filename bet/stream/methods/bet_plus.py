"""``stream-bet-plus``: the search of ``bet-plus``, a few measurements a segment, which go on from
those of earlier segments; a gate decides between its find and the sizes as they were. Ours.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from bet.actions import Action
from bet.data import keep_rows
from bet.methods.bet_plus import SizeCandidates
from bet.search import SearchContext, expected_improvement, fit_surrogate
from bet.search.gate import safe_select
from bet.search.plus import MUTATIONS, apart
from bet.stream.carry import carry_sizes
from bet.stream.policy import Proposal, StatelessPolicy, Step, train_shortly
from bet.training import evaluate

REMEMBERED = 60  # measurements that the surrogate is fitted to, the latest ones
METRIC = "ndcg@20"  # of the gate


class BetPlus(StatelessPolicy):
    """The first segment measures the simple rules, then what improves most by expectation, T short
    trainings in all, and takes the best. Later ones measure the sizes as they were, by rank, and
    half as many others; the best replaces them only if validation users that the search did not
    look at gain from it.

    A Gaussian process is fitted to quality relative to the first measurement of its segment, over
    all segments: what was learned of sizes by rank holds for whoever has the rank now.
    """

    def __init__(self) -> None:
        self.features = np.zeros((0, 0))  # (m, f) of measured actions
        self.values = np.zeros(0)  # (m,)

    def propose(self, step: Step) -> Proposal:
        context, iterations = step.context, step.context.settings.search.iterations
        space = SizeCandidates(context)
        if step.before is None:
            first, measured = space.anchors()[0].action, iterations
            rules = [anchor.action for anchor in space.anchors()[1:]]
        else:
            first, measured = carry_sizes(step.before, context.data.order, context.budget), 1
            measured, rules = 1 + iterations // 2, []
        (searching, judging), known = _halves(context), [context.data.train]
        actions: list[Action] = []
        quality: list[float] = []
        gains: list[np.ndarray] = []  # what judging users get
        for t in range(measured):
            action = first if not t else rules.pop(0) if rules else self._next(space, actions, t)
            ranker = train_shortly(context, action.allocation).ranker()
            quality.append(evaluate(ranker, searching, known).means()["quality"])
            gains.append(evaluate(ranker, judging, known).values[METRIC])
            actions.append(action)
            self._remember(space, action, quality[-1] / max(quality[0], 1e-9))
        best = int(np.argmax(quality))
        if step.before is None or not best:
            return Proposal.of(actions[best], len(actions), found=float(best))
        if not len(gains[0]):
            return Proposal.of(actions[0], len(actions), found=float(best), accepted=0.0)
        decision = safe_select(gains[best] - gains[0])
        kept = best if decision.accepted else 0
        return Proposal.of(
            actions[kept],
            len(actions),
            found=float(best),
            accepted=float(decision.accepted),
            difference=decision.difference,
        )

    def _next(self, space: SizeCandidates, actions: Sequence[Action], t: int) -> Action:
        context = space.context
        rng = context.search_rng("stream-bet-plus", t)
        pool = space.sample(context.settings.search.actions, rng)
        for parent in (*actions[:2], *(anchor.action for anchor in space.anchors())):
            pool += [parent, *space.mutate(parent, MUTATIONS // 4, rng)]
        features = space.features(pool)
        known = space.features(actions)
        surrogate = fit_surrogate(self.features, self.values, seed=int(rng.integers(2**31)))
        order = np.arange(len(pool))
        if surrogate is not None:
            mean, deviation = surrogate.predict(features)
            best = float(surrogate.predict(known)[0].max())
            order = np.argsort(-expected_improvement(mean, deviation, best), kind="stable")
        return pool[apart(order, features, known, 1)[0]]

    def _remember(self, space: SizeCandidates, action: Action, value: float) -> None:
        features = space.features([action])
        known = self.features if len(self.values) else np.zeros((0, features.shape[1]))
        self.features = np.concatenate([known, features])[-REMEMBERED:]
        self.values = np.append(self.values, value)[-REMEMBERED:]

    def state_dict(self) -> dict[str, Any]:
        return {name: torch.from_numpy(getattr(self, name)) for name in ("features", "values")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.features, self.values = (state[name].numpy() for name in ("features", "values"))


def _halves(context: SearchContext) -> tuple[csr_array, csr_array]:
    """The validation items of half of the validation users each: the search's, the gate's."""
    validation = context.data.validation
    users = context.search_rng("gate").permutation(np.flatnonzero(np.diff(validation.indptr)))
    middle = (len(users) + 1) // 2
    return keep_rows(validation, users[:middle]), keep_rows(validation, users[middle:])
