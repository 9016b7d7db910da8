"""Profiles: which cells a study has and with which numbers they run."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from bet.methods import IN_BYTES
from bet.search import SearchSettings
from bet.study.cell import Cell
from bet.training import TrainSettings

SCHEMA = 2  # version of the record, see record.schema.json

# Chosen on validation data (seed 0), for the full table and a narrow one together, the same for
# every method; `python -m benchmarks.sweeps.settings` repeats the sweep.
_ANNEALED = TrainSettings(
    1024, 0.1, "cosine", max_epochs=10, evaluate_every=1, patience=10, init_std=0.1
)
_EMBEDDED = {
    "lightgcn": replace(_ANNEALED, l2=1e-3),
    "ncf": replace(_ANNEALED, l2=1e-2, backbone_rate=0.03),
    "ngcf": replace(_ANNEALED, batch_size=2048, learning_rate=0.04, l2=8e-3, backbone_rate=0.03),
}
_TINY = TrainSettings(256, 0.03, "cosine", max_epochs=4, evaluate_every=1, patience=4, init_std=0.1)
# On a graph a batch has nearly every user three times: a step costs little more than with a third
# of one pass, and far fewer steps do. Chosen on Gowalla's validation data (seed 0), see
# benchmarks/README.md; LightGCN's initial scale, and NGCF's with its l2, are the authors'.
_LARGE = TrainSettings(
    87_000, 0.05, "cosine", max_epochs=120, evaluate_every=30, patience=4, validation_share=0.5
)
_PAPER = {
    "lightgcn": replace(_LARGE, l2=1e-4),
    "ncf": replace(
        _LARGE,
        batch_size=30_000,
        max_epochs=40,
        evaluate_every=10,
        l2=4e-3,
        init_std=0.1,
        backbone_rate=0.005,
    ),
    "ngcf": replace(_LARGE, l2=1e-3),
}


@dataclass(frozen=True)
class Profile:
    """``cells`` in the order they start; ``training`` and ``search`` by backbone; ``d_max`` columns
    of the full table.

    ``notebooks``: whether the grid runs each cell as an executed notebook or, some seconds cheaper,
    as a plain call. ``in_order``: whether cells start in the listed order, the most important
    first, or the longest first.
    """

    cells: tuple[Cell, ...]
    training: dict[str, TrainSettings]
    search: dict[str, SearchSettings]
    d_max: int
    notebooks: bool = True
    in_order: bool = False

    def priority(self, cell: Cell) -> int:
        """Of the cells that could start, the grid takes one of the highest priority."""
        if self.in_order:
            return len(self.cells) - self.cells.index(cell)
        # The searches start from models that cells without a budget may share, and the longest
        # cells should not come last.
        return {"full": 2, "bet": 1}.get(cell.method, 0)

    def search_settings(self, cell: Cell) -> SearchSettings:
        """The profile's numbers with what the cell overrides; a longer search also reports every
        fifth iteration.
        """
        search = self.search[cell.backbone]
        search = replace(search, actions=cell.actions or search.actions)
        if cell.iterations:
            search = replace(
                search, iterations=cell.iterations, curve=tuple(range(5, cell.iterations, 5))
            )
        return search

    def sharing(self, cell: Cell) -> list[Cell]:
        """The profile's other cells that select the same sizes as ``cell`` and differ in the
        protocol only.
        """
        return [
            other
            for other in self.cells
            if other != cell and other.selection_id == cell.selection_id
        ]

    def settings(self, cell: Cell) -> dict:
        """Every number the cell runs with, as plain values."""
        numbers = {
            "training": asdict(self.training[cell.backbone]),
            "search": asdict(self.search_settings(cell)),
        }
        return numbers | {"d_max": self.d_max}

    def key(self, cell: Cell) -> str:
        """Changes whenever the cell, its numbers or the form of its record do."""
        return hashlib.sha256(repr((SCHEMA, cell, self.settings(cell))).encode()).hexdigest()[:16]


def _grid(
    profile: str, dataset: str, backbones, budgets, methods, seeds=(0,), protocol="clean"
) -> Iterator[Cell]:
    for seed in seeds:
        for backbone in backbones:
            if "full" in methods:
                yield Cell(dataset, backbone, "none", "full", seed, protocol, profile)
            for budget in budgets:
                for method in methods:
                    if method != "full":
                        yield Cell(dataset, backbone, budget, method, seed, protocol, profile)


def _competitors(profile: str, dataset: str, backbones, budgets, seeds=(0,)) -> Iterator[Cell]:
    """The competitors under the budgets and, as published, those that have none."""
    yield from _grid(profile, dataset, backbones, budgets, _COMPETITORS, seeds)
    for seed in seeds:
        for backbone in backbones:
            for method in _OWN:
                yield Cell(dataset, backbone, "none", method, seed, profile=profile)


def _packed(profile: str, dataset: str, backbones, points, methods, seeds=(0,)) -> Iterator[Cell]:
    """Quantized tables at ``points``, bytes per entity."""
    yield from _grid(
        profile, dataset, backbones, [f"{point} B/entity" for point in points], methods, seeds
    )


def _curves(profile: str, dataset: str, seeds=(0,)) -> Iterator[Cell]:
    """LightGCN at the middle budget: a long search (quality against T), and fewer actions to choose
    from (against m).
    """
    for seed in seeds:
        for method in ("bet", "bet-random"):
            yield Cell(dataset, "lightgcn", "90%", method, seed, profile=profile, iterations=50)
        for actions in (20, 40, 60, 80):
            yield Cell(dataset, "lightgcn", "90%", "bet", seed, profile=profile, actions=actions)


def _paper_cells() -> Iterator[Cell]:
    """Gowalla and Yelp2018, the most important cells first; both protocols of a cell share one
    search.
    """
    table1 = ("full", "su", "sr", "powerlaw", "bet")
    cells = [
        *_grid("paper", "gowalla", ("lightgcn", "ncf"), _BUDGETS, table1),
        *_grid("paper", "gowalla", ("lightgcn",), _BUDGETS, ("bet-random", "bet-simple")),
        *_grid("paper", "yelp2018", ("lightgcn", "ncf"), _BUDGETS, table1),
        *_grid("paper", "gowalla", ("ngcf",), _BUDGETS, table1),
        *_grid("paper", "yelp2018", ("ngcf",), _BUDGETS, table1),
        *_grid("paper", "gowalla", ("lightgcn",), _BUDGETS, table1, seeds=(1, 2)),
        *_competitors("paper", "gowalla", ("lightgcn",), _BUDGETS),
        *_grid("paper", "gowalla", ("lightgcn",), _BUDGETS, ("nested",)),
        *_packed("paper", "gowalla", ("lightgcn",), ("25.6", "51.2", "12.8", "102.4"), IN_BYTES),
    ]
    for cell in cells:
        yield from (cell, replace(cell, protocol="merged"))
    yield from _curves("paper", "gowalla")


_HASHED = ("hash", "memrec")  # need no bytes per entity
_OWN = ("esapn", "optembed", "amtl")
_COMPETITORS = ("magnitude", "pep", *_OWN, "ciess")
_ALL = ("full", "su", "sr", "powerlaw", "bet", "bet-random", "bet-simple")
_BUDGETS = ("80%", "90%", "95%")
_SOME = ("full", "su", "powerlaw", "bet")
_BACKBONES = ("lightgcn", "ncf", "ngcf")
_SEARCH = dict.fromkeys(_BACKBONES, SearchSettings(finetune_epochs=3))
_SEEDS = (0, 1, 2)

PROFILES: dict[str, Profile] = {
    "smoke": Profile(
        (
            *_grid("smoke", "tiny", ("lightgcn",), ("80%",), (*_ALL, "nested")),
            *_competitors("smoke", "tiny", ("lightgcn",), ("80%",)),
            *_packed("smoke", "tiny", ("lightgcn",), ("12.8",), IN_BYTES),
        ),
        dict.fromkeys(_BACKBONES, _TINY),
        dict.fromkeys(
            _BACKBONES, SearchSettings(iterations=3, actions=10, finetune_epochs=1, top=2)
        ),
        16,
    ),
    "default": Profile(
        (
            *_grid("default", "movielens-100k", ("lightgcn",), _BUDGETS, _ALL),
            *_grid("default", "movielens-100k", ("ncf", "ngcf"), ("90%",), _SOME),
            *_curves("default", "movielens-100k"),
        ),
        _EMBEDDED,
        _SEARCH,
        64,
    ),
    "full": Profile(
        (
            *_grid("full", "movielens-100k", _BACKBONES, _BUDGETS, (*_ALL, "nested"), _SEEDS),
            *_competitors("full", "movielens-100k", _BACKBONES, _BUDGETS, _SEEDS),
            *_curves("full", "movielens-100k", _SEEDS),
            *_packed(
                "full",
                "movielens-100k",
                _BACKBONES,
                ("6.4", "12.8", "25.6", "51.2"),
                IN_BYTES,
                _SEEDS,
            ),
            *_packed(
                "full",
                "movielens-100k",
                ("lightgcn",),
                ("3.2",),
                ("uniform-int2", "uniform-int1", *_HASHED),
                _SEEDS,
            ),
            *_packed("full", "movielens-100k", ("lightgcn",), ("1.6",), _HASHED, _SEEDS),
        ),
        _EMBEDDED,
        _SEARCH,
        64,
        notebooks=False,
    ),
    "paper": Profile(
        tuple(_paper_cells()),
        _PAPER,
        {
            "lightgcn": SearchSettings(finetune_schedule="cosine"),
            # Its tables are twice as wide and take more steps: fewer fine-tuning epochs and
            # retrainings, for every method alike.
            "ncf": SearchSettings(finetune_epochs=3, finetune_schedule="cosine", top=2),
            "ngcf": SearchSettings(finetune_epochs=15, finetune_schedule="cosine"),
        },
        128,
        notebooks=False,
        in_order=True,
    ),
}
