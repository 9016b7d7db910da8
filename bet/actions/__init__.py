"""Budgets, and actions that meet them exactly."""

from bet.actions.action import Action
from bet.actions.allocation import Allocation, keep_largest
from bet.actions.budget import PER_ENTITY, Budget, bounds_serving, parse_budget, parse_bytes
from bet.actions.families import FAMILIES, Family
from bet.actions.features import quarters, size_features
from bet.actions.histogram import allocate_histogram, sample_histogram
from bet.actions.precision import LEVELS, PRECISIONS, PrecisionSpace, longest_row, row_lengths
from bet.actions.rank_precision import PrecisionRule, RankPrecision, precision_features
from bet.actions.sampler import allocate, ranked_action, sample_action, sample_actions, split_budget
from bet.actions.space import SizeSpace, Space, relative_sizes

__all__ = [
    "FAMILIES",
    "LEVELS",
    "PER_ENTITY",
    "PRECISIONS",
    "Action",
    "Allocation",
    "Budget",
    "Family",
    "PrecisionRule",
    "PrecisionSpace",
    "RankPrecision",
    "SizeSpace",
    "Space",
    "allocate",
    "allocate_histogram",
    "keep_largest",
    "longest_row",
    "bounds_serving",
    "parse_budget",
    "parse_bytes",
    "precision_features",
    "quarters",
    "ranked_action",
    "relative_sizes",
    "row_lengths",
    "sample_action",
    "sample_actions",
    "sample_histogram",
    "size_features",
    "split_budget",
]
