"""What the bytes of a file are spent on, for every kind of file."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class ByteReport:
    """Bytes by part of a file; their sum is its length."""

    header: int  # what the file is, and where its parts are

    @property
    def parts(self) -> dict[str, int]:
        """Bytes by the name of the part, in the order of the fields."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @property
    def total(self) -> int:
        """Length of the file."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class PackedBytes(ByteReport):
    """The parts of a table of ragged rows."""

    kinds: int  # the sizes and precisions that rows may have, and which row has which
    steps: int  # of quantized rows
    rows: int  # their numbers
    ids: int  # your ids


@dataclass(frozen=True)
class PrunedBytes(ByteReport):
    """The parts of a table of single numbers."""

    places: int  # where the kept numbers are
    numbers: int


@dataclass(frozen=True)
class CodebookBytes(ByteReport):
    """The parts of a table of codebooks."""

    codes: int  # which centroids an entity has
    centroids: int
    uncompressed: int  # rows of the most frequent entities


@dataclass(frozen=True)
class HashedBytes(ByteReport):
    """The parts of a hashed table."""

    shared_rows: int  # that entities sum
    weights: int  # that scale the sums


@dataclass(frozen=True)
class RecommenderBytes(ByteReport):
    """The parts of a file that answers by itself."""

    table: int  # a whole table file
    interactions: int  # that the backbone reads
    seen: int  # items to leave out, where the interactions are not in the file
    weights: int  # of the backbone
    ids: int  # your ids; those inside the table are counted there
