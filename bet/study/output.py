"""The file that a run leaves behind: where it may be written, and the ids that belong to it."""

from collections.abc import Mapping
from pathlib import Path

from scipy.sparse import csr_array

from bet import files
from bet.backbones import Recommender
from bet.data import Interactions
from bet.packed import Fact, Ids, write_ids
from bet.serving import ServedFile, write_served

SIDE_FILES = (".ids", ".html")  # of a file, behind its name


def check_writable(path: Path, source: Path | str | None = None) -> None:
    """Raise BetError, before any work, unless a file can be written to ``path`` and what belongs to
    it beside it.

    source: the file that the interactions came from, which must not be overwritten.
    """
    inputs = {} if source is None else {Path(source): "the interactions"}
    files.check_writable(path, "the table", beside=SIDE_FILES, inputs=inputs)


def ids_of(interactions: Interactions) -> tuple[list[str], list[str]]:
    """The ids of users and items as text, in the order of their numbers; the numbers where there
    are none.
    """
    users, items = interactions.user_ids, interactions.item_ids
    return (
        [str(i) for i in (range(interactions.n_users) if users is None else users)],
        [str(i) for i in (range(interactions.n_items) if items is None else items)],
    )


def write_recommending(
    path: Path,
    model: Recommender,
    interactions: csr_array,
    ids: Ids,
    *,
    ids_inside: bool = False,
    with_seen: bool = False,
    facts: Mapping[str, Fact] | None = None,
) -> ServedFile:
    """Write the file that serves ``model``, as ``write_served``, with ``ids`` of users and items,
    by number, in it or beside it (``FILE.ids``): both or none of them.

    An earlier file's page goes, as it is another's.
    """
    with files.atomic_files(path.parent) as private:
        served = write_served(
            private / path.name,
            model,
            interactions,
            with_seen=with_seen,
            ids=ids if ids_inside else None,
            facts=facts,
        )
        if not ids_inside:
            write_ids(private / path.name, served.in_order(ids))
        # What belongs to an earlier file goes first: interrupted, nothing of another file is left.
        for ending in SIDE_FILES:
            path.with_name(path.name + ending).unlink(missing_ok=True)
    return served
