"""A file's vectors in the form of other tools."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from bet.errors import BetError
from bet.export.rowwise import rowwise, torch_bits
from bet.export.stored import SideName, open_packed
from bet.files import atomic_files, atomic_path, check_writable
from bet.packed import OpenFile, load
from bet.recommend import open_model
from bet.recommend.vectors import InnerProductScorer

ROWS = 2**14  # that are decoded at once
ID_FILES = ("user_ids.json", "item_ids.json")
NAMES = (*ID_FILES, "users.npy", "items.npy", "items.faiss", "embedding_bags.safetensors")
SIDES: tuple[SideName, SideName] = ("users", "items")


@dataclass(frozen=True)
class ServedVectors:
    """The vectors whose inner products are the scores of a file."""

    file: OpenFile
    scorer: InnerProductScorer

    def n(self, side: SideName) -> int:
        """Rows of a side."""
        return self.scorer.n_users if side == "users" else self.scorer.n_items

    def blocks(self, side: SideName) -> Iterator[tuple[int, np.ndarray]]:
        """First number and rows (m, d) float32 of every block of a side."""
        read = self.scorer.profiles if side == "users" else self.scorer.item_vectors
        for first in range(0, self.n(side), ROWS):
            yield first, read(np.arange(first, min(first + ROWS, self.n(side))))


def open_vectors(path: Path | str) -> ServedVectors:
    """The vectors of a file that recommends by inner products; those of a graph model are its final
    ones. Raises BetError as ``bet.load``, and for a file that scores in another way.
    """
    model = open_model(path)
    if not isinstance(model.scorer, InnerProductScorer):
        raise BetError(
            f"{path}: does not score by inner products of vectors, so there are none to export; "
            "serve it with bet.load"
        )
    return ServedVectors(model.file, model.scorer)


def export(path: Path | str, form: str, folder: Path) -> list[Path]:
    """Write the vectors of the file at ``path`` into ``folder`` in ``form``, one of ``FORMS``; the
    files that were written.

    Row u of users and i of items are those of ``recommend_rows``. ``user_ids.json`` and
    ``item_ids.json``, lists of text in the order of the rows, are written where the file has ids.
    Raises BetError for a file without such vectors, and, before any work, for a ``folder`` that
    cannot be written to, or in which ``path`` itself would be overwritten.
    """
    if form not in FORMS:
        raise BetError(f"cannot export to {form!r}; known are {', '.join(FORMS)}")
    path, folder = Path(path), Path(folder)
    _check_folder(path, folder)
    with atomic_files(folder) as private:
        written = [*FORMS[form](path, private), *_write_ids(path, private)]
    return [folder / file.name for file in written]


def _check_folder(path: Path, folder: Path) -> None:
    for place in (folder.absolute(), *folder.absolute().parents):
        if os.path.isfile(place):  # no error for a name that is too long
            raise BetError(f"cannot export to {folder}: {place} is a file; name a folder")
    for name in NAMES:  # the vectors may lie there under such a name
        check_writable(folder / name, "the export", inputs={path: "the vectors"})


def _write_npy(path: Path, folder: Path, dtype: str = "<f4") -> list[Path]:
    """``users.npy`` and ``items.npy``, (n, d) each."""
    vectors = open_vectors(path)
    return [_write_matrix(vectors, side, folder / f"{side}.npy", dtype) for side in SIDES]


def _write_matrix(vectors: ServedVectors, side: SideName, path: Path, dtype: str) -> Path:
    shape = vectors.n(side), vectors.scorer.profile_width
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        # Not mapped into memory: a full disk would kill the process.
        header = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for _, rows in vectors.blocks(side):
            with np.errstate(over="ignore"):
                block = rows.astype(dtype)
            if not np.isfinite(block).all():
                raise BetError(
                    f"{vectors.file.path}: a number of {np.abs(rows).max():g} is too large for 16 "
                    "bits; take '--to npy'"
                )
            file.write(block.tobytes())
    return path


def _write_faiss(path: Path, folder: Path, kind: str = "flat") -> list[Path]:
    """``items.faiss``, an index by inner product, and ``users.npy``, what to ask it for."""
    from bet.export.faiss_index import write_index

    vectors = open_vectors(path)
    index = write_index(vectors.blocks("items"), vectors.scorer, folder / "items.faiss", kind)
    return [index, _write_matrix(vectors, "users", folder / "users.npy", "<f4")]


def _write_torch(path: Path, folder: Path) -> list[Path]:
    """``embedding_bags.safetensors``: users and items, for torch's quantized embedding bags."""
    table = open_packed(path)
    open_vectors(path)  # refuses a table that does not say how scores follow
    out = folder / "embedding_bags.safetensors"
    bits = torch_bits(table)
    metadata = {"bits": str(bits), "columns": str(table.width)}
    with atomic_path(out) as temporary:
        save_file({side: rowwise(table, side) for side in SIDES}, temporary, metadata=metadata)
    return [out]


def _write_ids(path: Path, folder: Path) -> list[Path]:
    file = load(path, check=False)
    if not file.has_ids:
        return []  # rows are called by their numbers
    ids, written = file.ids, []
    for name, rows in zip(ID_FILES, (ids.user_rows, ids.item_rows), strict=True):
        out = folder / name
        with atomic_path(out) as temporary:
            temporary.write_text(json.dumps([*rows], ensure_ascii=False), encoding="utf-8")
        written.append(out)
    return written


FORMS: dict[str, Callable[[Path, Path], list[Path]]] = {
    "npy": _write_npy,
    "npy16": lambda path, folder: _write_npy(path, folder, "<f2"),
    "faiss": _write_faiss,
    "faiss-sq8": lambda path, folder: _write_faiss(path, folder, "sq8"),
    "faiss-sq4": lambda path, folder: _write_faiss(path, folder, "sq4"),
    "torch": _write_torch,
}
"""What a file can be exported to."""
