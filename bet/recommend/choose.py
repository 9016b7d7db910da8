"""Which scorer answers for which file."""

from collections.abc import Callable

from bet.errors import BetError
from bet.packed import OpenFile, RecommenderFile, TableFile
from bet.recommend.blend import BlendScorer
from bet.recommend.gmf import GmfScorer
from bet.recommend.graph import LightGcnScorer, NgcfScorer
from bet.recommend.least_squares import RowEquation, equation_of
from bet.recommend.ncf import NcfScorer
from bet.recommend.parts import check_room, take_table
from bet.recommend.rules import EaseScorer, GraphFilterScorer, ItemKnnScorer, PopularityScorer
from bet.recommend.scorer import Scorer
from bet.recommend.vectors import VectorScorer


def _vectors(file: RecommenderFile) -> Scorer:
    return VectorScorer(take_table(file, copies=1), equation_of(file.facts, file.path), file.seen)


SCORERS: dict[str, Callable[[RecommenderFile], Scorer]] = {
    "popularity": PopularityScorer,
    "graph-filter": GraphFilterScorer,
    "item-knn": ItemKnnScorer,
    "ease": EaseScorer,
    "ials": _vectors,
    "vectors": _vectors,
    "lightgcn": LightGcnScorer,
    "ngcf": NgcfScorer,
    "ncf": NcfScorer,
    "gmf": GmfScorer,
    "blend": BlendScorer,
}
"""By the backbone that a file states."""


def can_score(file: OpenFile) -> bool:
    """Whether ``file`` says how rows become scores, as a table of ego embeddings does not."""
    return isinstance(file, RecommenderFile) or file.container.kind == "vectors"


def scorer_of(file: OpenFile) -> Scorer:
    """The scorer of an open file; raises BetError where it cannot score, or lacks what it takes."""
    if can_score(file):
        check_room(file, file.n_users + file.n_items)
    if isinstance(file, RecommenderFile):
        if file.backbone not in SCORERS:
            raise BetError(
                f"{file.path}: its backbone is {file.backbone!r}, which this version does not "
                f"know (it knows {', '.join(SCORERS)}); install a newer version"
            )
        # Final vectors need nothing of what made them.
        final = file.table is not None and file.table.container.kind == "vectors"
        return (_vectors if final and file.backbone != "blend" else SCORERS[file.backbone])(file)
    if isinstance(file, TableFile) and can_score(file):
        return VectorScorer(file, RowEquation(), None)
    raise BetError(
        f"{file.path}: holds {file.kind}, which say nothing about how scores follow from them; "
        "make a file that recommends with 'bet table' or bet.serving.write_served"
    )
