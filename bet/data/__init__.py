"""Interactions, where they come from, and how they are split."""

from bet.data.digest import matrix_digest
from bet.data.frequency import FrequencyOrder, FrequencyRuns
from bet.data.interactions import Interactions, from_pairs, keep_rows
from bet.data.readers import read_interactions
from bet.data.sources import DATASETS, load_dataset
from bet.data.split import Split, evaluable_split, split_interactions
from bet.data.synthetic import planted, planted_groups, power_law

__all__ = [
    "DATASETS",
    "FrequencyOrder",
    "FrequencyRuns",
    "Interactions",
    "Split",
    "evaluable_split",
    "from_pairs",
    "keep_rows",
    "load_dataset",
    "matrix_digest",
    "planted",
    "planted_groups",
    "power_law",
    "read_interactions",
    "split_interactions",
]
