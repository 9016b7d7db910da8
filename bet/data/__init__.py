"""Interactions, where they come from, and how they are split."""

from bet.data.interactions import Interactions, from_pairs
from bet.data.split import Split, split_interactions
from bet.data.synthetic import planted, power_law

__all__ = ["Interactions", "Split", "from_pairs", "planted", "power_law", "split_interactions"]
