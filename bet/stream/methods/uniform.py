"""``stream-full`` and ``stream-uniform``: no cap, and the cap in equal shares."""

from bet.actions import Allocation
from bet.methods.fixed import uniform_action
from bet.stream.policy import Proposal, StatelessPolicy, Step


class Full(StatelessPolicy):
    """d_max columns for everybody: grows with every arrival."""

    def propose(self, step: Step) -> Proposal:
        budget = step.context.budget
        return Proposal(Allocation.uniform(budget.n, budget.d_max))


class Uniform(StatelessPolicy):
    """The cap shared equally: everybody's row shrinks as others arrive."""

    def propose(self, step: Step) -> Proposal:
        return Proposal.of(uniform_action(step.context))
