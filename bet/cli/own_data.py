"""The interactions that ``--data`` names."""

import argparse

from bet.cli.parser import COLUMNS
from bet.data import DATASETS, Interactions, load_dataset
from bet.errors import BetError


def interactions_of(options: argparse.Namespace) -> Interactions:
    """What the named dataset or your file holds; raises BetError when options for a file come with
    a name.
    """
    columns = {name: getattr(options, f"{name}_column") for name in COLUMNS}
    filters = {"minimum_rating": options.minimum_rating, "k_core": options.k_core}
    if options.data not in DATASETS:
        return load_dataset(options.data, **columns, **filters)
    renamed = any(name != column for name, column in columns.items())
    if renamed or any(limit is not None for limit in filters.values()):
        raise BetError(
            f"{options.data} is a named dataset: columns, minimum rating and k-core are for a file "
            "of your own"
        )
    return load_dataset(options.data)
