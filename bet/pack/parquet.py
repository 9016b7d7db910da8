"""Vectors in Parquet, one file or a folder of them, read batch by batch."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import ParquetFile

from bet.errors import BetError
from bet.pack.sources import Block, Columns, Vectors


class ParquetVectors(Vectors):
    """Rows of an id column and a column of lists, or a column of numbers per dimension."""

    def __init__(self, path: Path, columns: Columns):
        """Raises BetError where the files cannot be read, differ in their columns, or have no ids
        or vectors.
        """
        self.path = path
        self._files = _files(path)
        schemas = [self._opened(file).schema_arrow for file in self._files]
        self._schema = schemas[0].remove_metadata()
        for file, schema in zip(self._files, schemas, strict=True):
            if not schema.remove_metadata().equals(self._schema):
                raise BetError(f"{file}: other columns than {self._files[0]}; write both alike")
        self.n = sum(self._opened(file).metadata.num_rows for file in self._files)
        self._ids = self._id_column(columns.ids)
        self._frequency = self._frequency_column(columns.frequency)
        self._vectors = self._vector_columns(columns.vectors)
        self.d = self._width()

    def blocks(self, with_ids: bool = False) -> Iterator[Block]:
        further = [self._ids, *([self._frequency] if self._frequency else [])]
        wanted = [*self._vectors, *(further if with_ids else [])]
        first = 0
        for file in self._files:
            batches = self._opened(file).iter_batches(
                self.block_rows, columns=wanted, use_threads=False
            )
            for batch in batches:
                if not len(batch):
                    continue
                values = self.checked(first, self._matrix(batch, first))
                if with_ids:
                    ids, frequency = self._ids_of(batch, first), self._frequency_of(batch, first)
                    yield Block(first, values, ids, frequency)
                else:
                    yield Block(first, values)
                first += len(batch)

    def _opened(self, file: Path) -> ParquetFile:
        try:
            # Buffered: else a whole row group is read at once.
            return ParquetFile(file, pre_buffer=False, buffer_size=2**20)
        except (pa.ArrowException, OSError) as error:
            raise BetError(
                f"{file}: not a readable Parquet file ({error}); write it again"
            ) from error

    def _id_column(self, name: str) -> str:
        if name not in self._schema.names:
            raise BetError(
                f"{self.path}: no column {name!r} with the ids; it has "
                f"{', '.join(map(repr, self._schema.names[:20]))}, name one by --id-column"
            )
        form = self._schema.field(name).type
        is_text = pa.types.is_string(form) or pa.types.is_large_string(form)
        if not (is_text or pa.types.is_integer(form) or pa.types.is_dictionary(form)):
            raise BetError(
                f"{self.path}: ids of type {form} in {name!r}; ids are whole numbers or text, cast "
                "the column"
            )
        return name

    def _frequency_column(self, name: str) -> str | None:
        if name in self._schema.names and _is_number(self._schema.field(name).type):
            return name
        if name != Columns.frequency:
            raise BetError(
                f"{self.path}: no column {name!r} of numbers with the frequencies; leave it out or "
                "name another one"
            )
        return None

    def _vector_columns(self, name: str | None) -> list[str]:
        others = [field for field in self._schema if field.name not in (self._ids, self._frequency)]
        lists = [field.name for field in others if _is_list(field.type)]
        if name is not None:
            if name not in lists:
                raise BetError(
                    f"{self.path}: no column {name!r} of lists; it has "
                    f"{', '.join(map(repr, lists)) or 'none'}"
                )
            return [name]
        if len(lists) > 1:
            raise BetError(
                f"{self.path}: several columns of lists, {', '.join(map(repr, lists))}; name one "
                "by --user-vectors or --item-vectors"
            )
        numbers = [field.name for field in others if _is_number(field.type)]
        if not lists and not numbers:
            raise BetError(
                f"{self.path}: no vectors beside {self._ids!r}; give a column of lists or a column "
                "of numbers per dimension"
            )
        return lists or numbers

    def _width(self) -> int:
        """Numbers of the first vector."""
        if not _is_list(self._schema.field(self._vectors[0]).type):
            return len(self._vectors)
        for file in self._files:
            for batch in self._opened(file).iter_batches(1, columns=self._vectors):
                if len(batch):
                    return int(pc.list_value_length(batch.column(0))[0].as_py() or 0)
        return 0

    def _matrix(self, batch: pa.RecordBatch, first: int) -> np.ndarray:
        """The vectors of a batch, (m, d); a missing number is NaN."""
        if len(self._vectors) > 1 or not _is_list(batch.schema.field(self._vectors[0]).type):
            columns = [batch.column(name) for name in self._vectors]
            return np.stack([_numbers(column) for column in columns], axis=1)
        lists = batch.column(self._vectors[0])
        lengths = _numbers(pc.fill_null(pc.list_value_length(lists), -1))
        wrong = np.flatnonzero(lengths != self.d)
        if len(wrong):
            length = int(lengths[wrong[0]])
            has = "no vector" if length < 0 else f"a vector of {length} numbers"
            raise BetError(
                f"{self.path}: row {first + wrong[0]} (from 0) has {has}, the first row has "
                f"{self.d}; vectors must be of equal length, leave the row out or correct it"
            )
        return _numbers(lists.flatten()).reshape(len(lists), self.d)

    def _ids_of(self, batch: pa.RecordBatch, first: int) -> np.ndarray:
        ids = batch.column(self._ids)
        if ids.null_count:
            row = first + int(np.flatnonzero(ids.is_null().to_numpy(zero_copy_only=False))[0])
            raise BetError(
                f"{self.path}: row {row} (from 0) has no id; fill it in or remove the row"
            )
        if pa.types.is_integer(ids.type) and not pa.types.is_uint64(ids.type):
            return ids.to_numpy(zero_copy_only=False).astype(np.int64)
        return ids.cast(pa.large_string()).to_numpy(zero_copy_only=False)

    def _frequency_of(self, batch: pa.RecordBatch, first: int) -> np.ndarray | None:
        if self._frequency is None:
            return None
        numbers = _numbers(batch.column(self._frequency))
        wrong = np.flatnonzero(~np.isfinite(numbers) | (numbers < 0))
        if len(wrong):
            raise BetError(
                f"{self.path}: row {first + wrong[0]} (from 0) has the frequency "
                f"{numbers[wrong[0]]:g}; frequencies are 0 or more, correct it"
            )
        return numbers


def _files(path: Path) -> list[Path]:
    """The Parquet files of a folder, by name, without Spark's own; or the one file."""
    if not path.is_dir():
        return [path]
    names = sorted(file for file in path.iterdir() if file.suffix.lower() == ".parquet")
    files = [file for file in names if not file.name.startswith(("_", "."))]
    if not files:
        raise BetError(f"{path}: no Parquet files in this folder; check the path")
    return files


def _is_list(form: pa.DataType) -> bool:
    of_lists = pa.types.is_list(form) or pa.types.is_large_list(form)
    return (of_lists or pa.types.is_fixed_size_list(form)) and _is_number(form.value_type)


def _is_number(form: pa.DataType) -> bool:
    return pa.types.is_floating(form) or pa.types.is_integer(form)


def _numbers(column: pa.Array) -> np.ndarray:
    """A column of numbers as float64, or float32 where it is; missing ones are NaN."""
    column = column if pa.types.is_float32(column.type) else column.cast(pa.float64(), safe=False)
    return column.to_numpy(zero_copy_only=False)
