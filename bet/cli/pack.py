"""``bet pack``: vectors and a number of bytes in, a file that serves them out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bet.text import load_lines, show

if TYPE_CHECKING:
    from bet.data import Interactions

_VECTORS = ".npy, .safetensors, .parquet or a folder of Parquet files"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which vectors, into how many bytes."""
    parser.add_argument(
        "--users", type=Path, required=True, metavar="FILE", help=f"users' vectors: {_VECTORS}"
    )
    parser.add_argument(
        "--items", type=Path, required=True, metavar="FILE", help="items' vectors, alike"
    )
    parser.add_argument(
        "--budget", required=True, help="bytes that the file may have: '2 GB', '25.6 B/entity'"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file")
    parser.add_argument(
        "--data",
        help="interactions that the vectors are of, a file or a name: frequent rows then get more "
        "bits, and Recall and NDCG are measured (default: none)",
    )
    parser.add_argument(
        "--test",
        metavar="FILE",
        help="interactions to find instead, those of --data left out (default: those of --data)",
    )
    parser.add_argument(
        "--with-ids",
        action="store_true",
        help="keep ids in the file, where they count (default: in a file beside it)",
    )
    parser.add_argument(
        "--with-seen",
        action="store_true",
        help="keep the items of --data in the file, so that 'recommend' can leave them out: "
        "people's histories, which count (default: leave them out of the file)",
    )
    form = parser.add_argument_group("columns of vectors in Parquet, tensors in safetensors")
    form.add_argument(
        "--id-column", default="id", metavar="NAME", help="of the ids (default: %(default)s)"
    )
    form.add_argument(
        "--frequency-column",
        default="frequency",
        metavar="NAME",
        help="how often an entity occurs (default: %(default)s, where it is there)",
    )
    for side in ("user", "item"):
        form.add_argument(
            f"--{side}-vectors",
            metavar="NAME",
            help=f"of the {side}s' vectors, where there are several (default: the only one)",
        )


def pack(options: argparse.Namespace) -> None:
    """Pack the vectors; print what was written, what it costs and how it serves."""
    from bet.data import DATASETS
    from bet.files import check_writable
    from bet.pack import Columns, Options, costs_text, open_vectors, pack_vectors
    from bet.packed.ids import SUFFIX

    files = [path for path in (options.data, options.test) if path and path not in DATASETS]
    inputs = {Path(path): "interactions" for path in files}
    check_writable(options.out, "the packed file", beside=(SUFFIX,), inputs=inputs)
    users, items = (
        open_vectors(path, Columns(options.id_column, options.frequency_column, vectors))
        for path, vectors in (
            (options.users, options.user_vectors),
            (options.items, options.item_vectors),
        )
    )
    packed = pack_vectors(
        users,
        items,
        options.budget,
        options.out,
        Options(
            data=_interactions(options, options.data),
            test=_interactions(options, options.test),
            with_ids=options.with_ids,
            with_seen=options.with_seen,
            progress=True,
        ),
    )
    show(f"{options.out}: {packed.report.total:,} bytes of at most {packed.limit:,}")
    show(f"{users.n + items.n:,} vectors, {packed.plan.text}", costs_text(packed.costs))
    if options.with_seen:
        show("the file holds the users' histories: give it to nobody who may not see them")
    show(load_lines(packed.path, packed.first_user, packed.n_items, exclude_seen=options.with_seen))


def _interactions(options: argparse.Namespace, data: str | None) -> "Interactions | None":
    if data is None:
        return None
    from bet.cli.own_data import interactions_of

    return interactions_of(argparse.Namespace(**{**vars(options), "data": data}))
