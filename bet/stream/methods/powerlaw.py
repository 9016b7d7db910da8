"""``stream-powerlaw``: sizes proportional to frequency^alpha, alpha chosen once, on the first
segment.
"""

from typing import Any

from bet.methods.powerlaw import powerlaw_action
from bet.stream.policy import Proposal, StatelessPolicy, Step, measure_shortly

ALPHAS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.9, 1.2)


class PowerLaw(StatelessPolicy):
    """The first segment tries ``ALPHAS``, each by a short training; of equals the smaller one.
    Users and items share the cap by how many they are.
    """

    def __init__(self) -> None:
        self.alpha: float | None = None

    def propose(self, step: Step) -> Proposal:
        context, order, tried = step.context, step.context.data.order, 0
        share = order.n_users / order.n
        if self.alpha is None:
            quality = {}
            for alpha in ALPHAS:
                allocation = powerlaw_action(context, alpha, share).allocation
                quality[alpha] = measure_shortly(context, allocation).means()["quality"]
            self.alpha, tried = max(quality, key=lambda alpha: quality[alpha]), len(quality)
        return Proposal.of(powerlaw_action(context, self.alpha, share), tried)

    def state_dict(self) -> dict[str, Any]:
        return {"alpha": self.alpha}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.alpha = state["alpha"]
