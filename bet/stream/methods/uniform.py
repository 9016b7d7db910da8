"""``stream-full`` and ``stream-uniform``: no cap, and the cap in equal shares; ``dess-like-equal``:
as many columns as ``dess-like`` takes, in equal shares.
"""

from dataclasses import replace
from typing import Any

from bet.actions import Allocation, Budget
from bet.methods.fixed import uniform_action
from bet.search import Trained, train_from_scratch
from bet.stream.carry import Inherited, starting_from
from bet.stream.methods.dess import Dess
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


class EqualToDess:
    """The bandits size, train and learn on tables of their own; how many columns those take is all
    that is used of them. What ``dess-like`` gains on this is due to who gets the columns.
    """

    def __init__(self) -> None:
        self.bandits = Dess(capped=False)
        self.before: Inherited | None = None  # the bandits' table of the segment before

    def propose(self, step: Step) -> Proposal:
        context = replace(step.context, start_rows=None)
        if self.before is not None:
            context = starting_from(context, self.before)
        theirs = Step(step.number, context, self.before)
        proposal = self.bandits.propose(theirs)
        trained = train_from_scratch(context, proposal.allocation, "bandits")
        self.bandits.learn(theirs, trained)
        self.before = Inherited.of(trained.model)
        budget = context.budget
        columns = Budget(proposal.allocation.total, budget.n, budget.d_max)
        return Proposal.of(uniform_action(replace(step.context, budget=columns)))

    def learn(self, step: Step, trained: Trained) -> None:
        """Nothing; the bandits have learned from their own table."""

    def state_dict(self) -> dict[str, Any]:
        assert self.before is not None, "a segment was sized before"
        before = self.before
        table = {"allocation": before.allocation.to_tensors(), "rows": before.rows}
        return {"bandits": self.bandits.state_dict(), "n_users": before.n_users, **table}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.bandits.load_state_dict(state["bandits"])
        allocation = Allocation.from_tensors(state["allocation"])
        self.before = Inherited(allocation, state["rows"], state["n_users"])
