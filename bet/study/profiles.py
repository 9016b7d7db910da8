"""Profiles: which cells a study has and with which numbers they run."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from bet.search import SearchSettings
from bet.study.cell import Cell
from bet.training import TrainSettings

# Chosen on validation data (seed 0), for the full table and a narrow one together, the same for every method.
_EMBEDDED = {
    "lightgcn": TrainSettings(1024, 0.1, "cosine", max_epochs=10, evaluate_every=1, patience=10, l2=1e-3, init_std=0.1),
    "ncf": TrainSettings(1024, 0.1, "cosine", max_epochs=10, evaluate_every=1, patience=10, l2=2e-2, init_std=0.1),
    "ngcf": TrainSettings(1024, 0.03, "cosine", max_epochs=10, evaluate_every=1, patience=10, l2=3e-3, init_std=0.1),
}
_TINY = TrainSettings(256, 0.03, "cosine", max_epochs=4, evaluate_every=1, patience=4, init_std=0.1)


@dataclass(frozen=True)
class Profile:
    """``cells`` in the order they start; ``training`` by backbone; ``d_max`` columns of the full table."""

    cells: tuple[Cell, ...]
    training: dict[str, TrainSettings]
    search: SearchSettings
    d_max: int

    def search_settings(self, cell: Cell) -> SearchSettings:
        """The profile's numbers with what the cell overrides; a longer search also reports every fifth iteration."""
        search = replace(self.search, actions=cell.actions or self.search.actions)
        if cell.iterations:
            search = replace(search, iterations=cell.iterations, curve=tuple(range(5, cell.iterations, 5)))
        return search

    def settings(self, cell: Cell) -> dict:
        """Every number the cell runs with, as plain values."""
        numbers = {"training": asdict(self.training[cell.backbone]), "search": asdict(self.search_settings(cell))}
        return numbers | {"d_max": self.d_max}

    def key(self, cell: Cell) -> str:
        """Changes whenever the cell or its numbers do."""
        return hashlib.sha256(repr((cell, self.settings(cell))).encode()).hexdigest()[:16]


def _grid(profile: str, dataset: str, backbones, budgets, methods, seeds=(0,)) -> Iterator[Cell]:
    for seed in seeds:
        for backbone in backbones:
            if "full" in methods:
                yield Cell(dataset, backbone, "none", "full", seed, profile=profile)
            for budget in budgets:
                for method in methods:
                    if method != "full":
                        yield Cell(dataset, backbone, budget, method, seed, profile=profile)


_ALL = ("full", "su", "sr", "powerlaw", "bet", "bet-random", "bet-simple")
_BUDGETS = ("80%", "90%", "95%")
_SOME = ("full", "su", "powerlaw", "bet")
_SEARCH = SearchSettings(finetune_epochs=3)

PROFILES: dict[str, Profile] = {
    "smoke": Profile(
        tuple(_grid("smoke", "tiny", ("lightgcn",), ("80%",), _ALL)),
        dict.fromkeys(("lightgcn", "ncf", "ngcf"), _TINY),
        SearchSettings(iterations=3, actions=10, finetune_epochs=1, top=2),
        16,
    ),
    "default": Profile(
        (
            *_grid("default", "movielens-100k", ("lightgcn",), _BUDGETS, _ALL),
            *_grid("default", "movielens-100k", ("ncf", "ngcf"), ("90%",), _SOME),
        ),
        _EMBEDDED,
        _SEARCH,
        64,
    ),
    "full": Profile(
        tuple(_grid("full", "movielens-100k", ("lightgcn", "ncf", "ngcf"), _BUDGETS, _ALL, (0, 1, 2))), _EMBEDDED, _SEARCH, 64
    ),
}
