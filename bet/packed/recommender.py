"""Files that answer by themselves: a table, the interactions that its backbone reads, the
backbone's weights and few numbers, and which items every user has seen.

A whole table file of any kind is one tensor of such a file, and is read in place. User u and item i
are rows u and n_users + i of the table, and u and i of the item lists.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from pathlib import Path

import numpy as np

from bet.errors import BetError
from bet.packed.byte_report import RecommenderBytes
from bet.packed.ids import Ids, id_layout, id_tensors
from bet.packed.interactions import PARTS, CodedInteractions, InteractionLayout
from bet.packed.layout import IdLayout
from bet.packed.safetensors_io import (
    DTYPES,
    Shapes,
    file_bytes,
    header_bytes,
    metadata_for,
    shapes_of,
    tensor_bytes,
    write_safetensors,
)
from bet.packed.table_kinds import view_table

Fact = int | float | str
STATED = ("backbone", "users", "items")  # facts that every file has, before the backbone's
MOST_FACT = 2**1000  # of a whole number: floats go further
LISTS = ("interactions", "seen")
_BACKBONE = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_FACT_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,63}")
_WEIGHT = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")


@dataclass(frozen=True, kw_only=True)
class RecommenderLayout:
    """What a file of ``n_users`` and ``n_items`` holds; its length follows, before anything is
    trained.

    ``facts``: the backbone's numbers, as metadata. ``table_bytes``: length of the table file; None
    without. ``interactions``: that the backbone reads. ``seen``: items to leave out, where there
    are no interactions. ``weights``: name -> (dtype, shape). ``ids``: as ``Layout.ids``. Raises
    BetError on names and values that the format cannot hold, and where the parts do not fit.

    Two users and two items, a table of 400 bytes and the interactions:

    >>> coded = code_interactions(np.array([0, 1, 3]), np.array([0, 0, 1]), n_items=2)
    >>> layout = RecommenderLayout(backbone="lightgcn", facts={"layers": 3}, n_users=2, n_items=2,
    ...                            table_bytes=400, interactions=coded.layout)
    >>> layout.byte_report()
    RecommenderBytes(header=464, table=400, interactions=18, seen=0, weights=0, ids=0)
    """

    backbone: str
    facts: Mapping[str, Fact] = field(default_factory=dict)
    n_users: int
    n_items: int
    table_bytes: int | None = None
    interactions: InteractionLayout | None = None
    seen: InteractionLayout | None = None
    weights: Shapes = field(default_factory=dict)
    ids: IdLayout = ()

    def __post_init__(self):
        if not _BACKBONE.fullmatch(self.backbone):
            raise BetError(
                f"a backbone cannot be called {self.backbone!r} in a file; use small letters"
            )
        for name in self.facts:
            # A reader takes the first "crc=" for the checksum.
            taken = name in (*STATED, "version") or name.endswith("crc")
            if taken or not _FACT_NAME.fullmatch(name):
                raise BetError(f"a fact cannot be called {name!r} in a file; use another name")
        for name in self.weights:
            if not _WEIGHT.fullmatch(name):
                raise BetError(
                    f"weights cannot be called {name!r} in a file; use letters, digits and dots"
                )
        if self.interactions and self.seen:
            raise BetError("the interactions say which items were seen; leave the second list out")
        if min(self.n_users, self.n_items) < 0 or (self.table_bytes or 0) < 0:
            raise BetError(
                f"a file of {self.n_users} users, {self.n_items} items and a table of "
                f"{self.table_bytes} bytes; no number may be below 0"
            )
        for lists in (self.interactions, self.seen):
            if lists and (lists.n_users, lists.n_items) != (self.n_users, self.n_items):
                raise BetError(
                    f"interactions of {lists.n_users} users and {lists.n_items} items in a file of "
                    f"{self.n_users} and {self.n_items}"
                )

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata entry of the file; raises BetError for a fact that it cannot hold."""
        stated = dict(zip(STATED, (self.backbone, self.n_users, self.n_items), strict=True))
        facts = {name: fact_text(name, fact) for name, fact in self.facts.items()}
        return metadata_for("recommender", stated | facts)

    @property
    def tensors(self) -> Shapes:
        """Name -> (dtype, shape) of everything in the file."""
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
        if self.table_bytes is not None:
            shapes["table"] = ("U8", (self.table_bytes,))
        for name in LISTS:
            lists = getattr(self, name)
            parts: Shapes = lists.shapes if lists else {}
            shapes |= {f"{name}.{part}": shape for part, shape in parts.items()}
        shapes |= {f"weights.{name}": shape for name, shape in self.weights.items()}
        return shapes | {name: (dtype, (length,)) for name, dtype, length in self.ids}

    @property
    def file_bytes(self) -> int:
        """Length of the file."""
        return file_bytes(self.tensors, self.metadata)

    def byte_report(self) -> RecommenderBytes:
        """Bytes by part; their sum is the length of the file."""
        return RecommenderBytes(
            header_bytes(self.tensors, self.metadata),
            table=self.table_bytes or 0,
            interactions=self.interactions.n_bytes if self.interactions else 0,
            seen=self.seen.n_bytes if self.seen else 0,
            weights=tensor_bytes(self.weights, *self.weights),
            ids=tensor_bytes(self.tensors, *(name for name, _, _ in self.ids)),
        )


def most_table_bytes(layout: RecommenderLayout, limit: int) -> int:
    """The most bytes of the table in a file of at most ``limit`` bytes, all else as in ``layout``;
    below 0: none.

    >>> layout = RecommenderLayout(backbone="ncf", n_users=2, n_items=2, table_bytes=300)
    >>> most_table_bytes(layout, layout.file_bytes)
    300
    """
    most = limit - replace(layout, table_bytes=0).file_bytes
    # The header may grow by a digit or two.
    while most > 0 and replace(layout, table_bytes=most).file_bytes > limit:
        most -= 1
    return most


def fact_text(name: str, fact: Fact) -> str:
    """How metadata state ``fact``, so that it reads back exactly; raises BetError where it cannot.

    >>> fact_text("layers", 3), fact_text("a", 0.1), fact_text("mix", "sum")
    ('3', '0.1', 'sum')
    """
    if isinstance(fact, Integral) and not isinstance(fact, bool):
        if abs(int(fact)) <= MOST_FACT:
            return str(int(fact))
    elif isinstance(fact, Real) and not isinstance(fact, bool) and math.isfinite(fact):
        return repr(float(fact))
    elif isinstance(fact, str) and _TEXT.fullmatch(fact):
        return fact
    raise BetError(f"{name} = {fact!r} cannot be kept in a file; give a finite number or a word")


def fact_of(text: str) -> Fact:
    """The inverse of ``fact_text``.

    >>> fact_of("3"), fact_of("0.1"), fact_of("sum")
    (3, 0.1, 'sum')
    """
    if _TEXT.fullmatch(text):
        return text
    if not re.fullmatch(r"-?\d+", text):
        return float(text)
    number = int(text)
    if not -MOST_FACT <= number <= MOST_FACT:
        raise ValueError(f"a whole number of {len(text)} digits")
    return number


def write_recommender(
    path: Path,
    backbone: str,
    facts: Mapping[str, Fact],
    *,
    n_users: int,
    n_items: int,
    table: Path | bytes | None = None,
    interactions: CodedInteractions | None = None,
    seen: CodedInteractions | None = None,
    weights: Mapping[str, np.ndarray] | None = None,
    ids: Ids | None = None,
) -> RecommenderBytes:
    """Write a file of ``RecommenderLayout``'s parts; returns the bytes by part.

    table: a table file or its content. weights: arrays of float32 or another type of the format.
    ids: of the users and of the items, in the order of their numbers. Raises BetError as
    ``RecommenderLayout``, for a table of other users or items, and for weights that are not finite.

    Nothing but interactions, of which the untrained graph filter needs no more:

    >>> coded = code_interactions(np.array([0, 1, 3]), np.array([0, 0, 1]), n_items=2)
    >>> report = write_recommender(folder / "filter", "graph-filter", {"a": 0.5, "b": 0.3},
    ...                            n_users=2, n_items=2, interactions=coded)
    >>> model = load(folder / "filter")
    >>> model.facts, model.interactions.items_of([1])[1].tolist()
    ({'a': 0.5, 'b': 0.3}, [0, 1])
    """
    if ids and tuple(map(len, ids)) != (n_users, n_items):
        raise BetError(
            f"{len(ids[0])} user ids and {len(ids[1])} item ids for {n_users} users and {n_items} "
            "items"
        )
    weights = {name: _checked(name, values) for name, values in (weights or {}).items()}
    content = None if table is None else _table_content(table)
    layout = RecommenderLayout(
        backbone=backbone,
        facts=facts,
        n_users=n_users,
        n_items=n_items,
        table_bytes=None if content is None else len(content),
        interactions=interactions.layout if interactions else None,
        seen=seen.layout if seen else None,
        weights=shapes_of(weights),
        ids=id_layout(ids) if ids else (),
    )
    tensors = {f"weights.{name}": values for name, values in weights.items()}
    if content is not None:
        source = table if isinstance(table, Path) else path  # that messages name
        view_table(Path(source), content, n_users, n_items)
        tensors["table"] = content
    for name, coded in zip(LISTS, (interactions, seen), strict=True):
        if coded:
            tensors |= {f"{name}.{part}": coded.tensors[part] for part in PARTS}
    write_safetensors(path, tensors | (id_tensors(ids) if ids else {}), layout.metadata)
    return layout.byte_report()


def _checked(name: str, values: np.ndarray) -> np.ndarray:
    """``values`` as they are stored; raises BetError unless the format can hold them."""
    values = np.asarray(values, order="C")
    if values.dtype not in DTYPES.values():
        raise BetError(f"weights {name} are {values.dtype}; give float32, which a file can keep")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise BetError(f"weights {name} are not finite; train with a lower learning rate")
    return values


def _table_content(table: Path | bytes) -> np.ndarray:
    """The bytes of a table file, (length,) uint8."""
    if isinstance(table, bytes):
        return np.frombuffer(table, dtype=np.uint8)
    try:
        return np.fromfile(table, dtype=np.uint8)
    except OSError as error:
        raise BetError(f"{table}: cannot be read ({error}); check the path") from error
