"""What is left of a finished segment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from bet.actions import Allocation
from bet.training import RankingMetrics


@dataclass(frozen=True, eq=False)
class SegmentResult:
    """A finished segment: its data's counts, what the table takes of the limit, what was measured.

    ``seconds``: ``size``, the choice of sizes and what is learned for it, ``train`` and ``test``,
    by the clock. ``limit_bytes``: None without a cap. ``short_trainings``: of the choice.
    """

    number: int
    n_users: int
    n_items: int
    counts: Mapping[str, int]  # events in train, validation, test, and unknown ones
    limit_bytes: int | None
    n_bytes: int
    allocation: Allocation
    facts: Mapping[str, float | str]
    short_trainings: int
    epochs: int
    validation: float  # quality
    ranked: RankingMetrics  # on test
    seconds: Mapping[str, float] = field(default_factory=dict)

    def to_state(self) -> dict[str, Any]:
        """As tensors, numbers and text."""
        ranked = {
            name: torch.from_numpy(getattr(self.ranked, name))
            for name in ("users", "n_positives", "hits")
        }
        state = vars(self) | {"allocation": self.allocation.to_tensors(), "ranked": ranked}
        return {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in state.items()
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "SegmentResult":
        """What ``to_state`` was called on."""
        ranked = RankingMetrics(**{name: part.numpy() for name, part in state["ranked"].items()})
        allocation = Allocation.from_tensors(state["allocation"])
        return cls(**{**state, "allocation": allocation, "ranked": ranked})
