"""One way to open every kind of file, and one text about what its bytes are spent on."""

from pathlib import Path

from bet.errors import BetError
from bet.packed.byte_report import RecommenderBytes
from bet.packed.ids import ids_path
from bet.packed.open_file import OpenFile
from bet.packed.recommender_file import RecommenderFile
from bet.packed.safetensors_io import open_safetensors
from bet.packed.table_file import TableFile
from bet.packed.table_kinds import READERS

MEANING = {
    "header": "what the file is, and where its parts are",
    "kinds": "which size and precision every row has",
    "steps": "of quantized rows, two bytes each",
    "rows": "numbers of the rows",
    "ids": "your ids, inside the file",
    "places": "which numbers of the full table are kept",
    "numbers": "the kept numbers, four bytes each",
    "codes": "which centroids an entity has",
    "centroids": "of the codebooks, two bytes per number",
    "uncompressed": "rows of the most frequent entities",
    "shared_rows": "rows that entities sum",
    "weights": "that scale the sums",
}
IN_RECOMMENDER = {
    "table": "a whole table file",
    "interactions": "that the backbone reads, as sorted lists of items",
    "seen": "items to leave out, as sorted lists",
    "weights": "of the backbone",
}


def load(
    path: Path | str, *, check: bool = True, n_items: int | None = None
) -> TableFile | RecommenderFile:
    """Open a table file of any kind, or a recommender; rows are read when they are looked up.

    check: read the file once and compare its checksum; without, only its header is checked, which
    is enough for a file that was checked before. n_items: of a hashed table without ``FILE.ids``,
    which does not say how many it has. Raises BetError when the file is missing, no table, of a
    newer version, damaged, cut short or too long.

    Two users and an item, whose ids are kept beside the table:

    >>> values = np.array([[[1, 2]], [[3, 4]], [[5, 6]]])
    >>> written = write_packed(folder / "table", layout_of(np.full(3, 2), 32, n_users=2), values)
    >>> beside = write_ids(folder / "table", (["ann", "bob"], ["tea"]))
    >>> table = load(folder / "table")
    >>> len(table), table.users(["bob"]).tolist(), table.items(["tea"]).tolist()
    (3, [[[3.0, 4.0]]], [[[5.0, 6.0]]])
    """
    container = open_safetensors(Path(path), check)
    if container.kind == "ids":
        raise BetError(f"{path}: these are the ids of a table; open the table's own file")
    if container.kind == "recommender":
        opened = RecommenderFile(container, check)
        if n_items not in (None, opened.n_items):
            raise BetError(f"{path}: has {opened.n_items} items, not {n_items}; leave n_items out")
        return opened
    return READERS[container.kind](container, n_items)


def inspect(path: Path | str) -> str:
    """What the bytes of a file are spent on, as text; raises BetError as ``load``.

    >>> write_packed(folder / "t", layout_of(np.full(3, 2), 32, n_users=2), np.ones((3, 1, 2))).rows
    24
    >>> print(inspect(folder / "t").split(": ")[1])
    packed rows, 2 users and 1 items
    rows of 2 numbers, 32 bits each
    <BLANKLINE>
    part                  bytes    share  per entity  what it is
    header                  288    90.9%       96.00  what the file is, and where its parts are
    kinds                     5     1.6%        1.67  which size and precision every row has
    rows                     24     7.6%        8.00  numbers of the rows
    total                   317   100.0%      105.67
    """
    table = load(path)
    report = table.byte_report()
    meaning = MEANING | (IN_RECOMMENDER if isinstance(report, RecommenderBytes) else {})
    length, entities = report.total, _entities(table)
    sides = f"{table.n_users:,} users and "
    sides += "any number of items" if entities is None else f"{table.n_items:,} items"
    lines = [f"{path}: {table.kind}, {sides}", table.details, ""]
    lines.append(f"{'part':<13}{'bytes':>14}{'share':>9}{'per entity':>12}  what it is")
    spent = {name: part for name, part in report.parts.items() if part}
    for name, part in {**spent, "total": length}.items():
        share = f"{part / length:.1%}"
        each = f"{part / entities:.2f}" if entities else ""
        line = (
            f"{name.replace('_', ' '):<13}{part:>14,}{share:>9}{each:>12}  {meaning.get(name, '')}"
        )
        lines.append(line.rstrip())
    if ids_path(table.path).exists():
        lines += ["", _about_ids_beside(table, inside="ids" in spent)]
    return "\n".join(lines)


def _entities(table: OpenFile) -> int | None:
    try:
        return table.n_rows
    except BetError:  # of a hashed table, beside which lie the ids of another one
        return None


def _about_ids_beside(table: OpenFile, inside: bool) -> str:
    """Of the file beside ``table``; ``inside``: the table itself holds ids."""
    beside = ids_path(table.path)
    if inside:
        return f"{beside.name}: not read, since the table holds its ids"
    try:
        table.ids  # noqa: B018, raises unless they are those of this table
    except BetError as error:
        return f"{beside.name}: does not belong to this table ({error})"
    return f"{beside.name}: your ids, {beside.stat().st_size:,} bytes, not counted"
