"""A process with little memory that reads files which are made to mislead it:
``python tests/read_crafted.py BASES SEED COUNT``.

It prints a line of JSON: how many of each format were read and refused, and what else happened.
"""

import contextlib
import csv
import io
import json
import os
import resource
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from datetime import datetime
from pathlib import Path

os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # others set large spaces apart

import numpy as np
import pyarrow.parquet
import scipy.sparse
from crafted_files import crafted_parquet, made

from bet.data import read_interactions
from bet.errors import BetError
from bet.pack import open_vectors
from bet.packed import load
from bet.recommend import FileRecommender, can_score

ROOM = 50 * 2**20  # bytes of memory, besides three times the length of a file


def read(path):
    """Open ``path`` and ask it for values; raises AssertionError where they are wrong."""
    if path.suffix == ".npy":
        for block in open_vectors(path).blocks(with_ids=True):
            assert np.isfinite(block.values).all()
    elif path.suffix:
        return same_as_reference(path, read_interactions(path))
    else:
        opened = load(path)
        assert opened.byte_report().total == path.stat().st_size
        if path.name.startswith("ids"):
            opened.ids  # noqa: B018, raises
        yield_memory()
        ask(opened)
        recommend(opened)
    return None


def ask(opened):
    """Rows, ids and lists of an open file."""
    table = getattr(opened, "table", opened)
    if table is not None:
        rows = table.rows(range(min(5, table.n_rows or 5)))
        assert rows.dtype == np.float32 and rows.shape[1:] == (table.copies, table.width)
    if opened.n_rows is not None and opened.n_rows < 1000 and opened.has_ids:
        users = opened.ids.user_rows
        assert sorted(users.values()) == list(range(opened.n_users))
    if getattr(opened, "seen", None) is not None and opened.n_users < 1000:
        indptr, items = opened.seen.all()
        for first, end in zip(indptr, indptr[1:], strict=False):
            part = items[first:end]
            assert (np.diff(part) > 0).all() and ((part >= 0) & (part < opened.n_items)).all()


def recommend(opened):
    """The best items of a few users, of a file that says how it scores."""
    if not can_score(opened) or opened.n_users > 1000:
        return
    model = FileRecommender(opened)
    users = range(min(3, model.n_users))
    for k in {1, min(3, model.n_items)} - {0}:
        best = model.recommend_rows(users, k, exclude_seen=model.has_histories)
        assert ((best.items >= -1) & (best.items < model.n_items)).all()
        for row in best.items:
            assert len(set(row[row >= 0])) == (row >= 0).sum()


def same_as_reference(path, data):
    """Raise AssertionError unless another reader finds the same pairs in ``path``."""
    stored = data.matrix.tocoo()
    users = stored.row if data.user_ids is None else data.user_ids[stored.row]
    items = stored.col if data.item_ids is None else data.item_ids[stored.col]
    found = {(str(u), str(i)) for u, i in zip(users, items, strict=True)}
    if path.suffix == ".npz":
        matrix = scipy.sparse.load_npz(path)
        if hasattr(matrix, "check_format"):
            matrix.check_format(full_check=True)
        matrix = matrix.tocoo()
        kept = [at for at, value in enumerate(matrix.data) if value > 0]
        expected = {(str(matrix.row[at]), str(matrix.col[at])) for at in kept}
    elif path.suffix == ".parquet":
        rows = pyarrow.parquet.read_table(path, columns=["user", "item"]).to_pylist()
        expected = {tuple(text_of(row[side]) for side in ("user", "item")) for row in rows}
    else:
        content = path.read_bytes()
        wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = content.decode("utf-16" if wide else "utf-8-sig")
        if path.suffix == ".txt":
            lines = [line.split() for line in text.splitlines()]
            expected = {(str(int(ids[0])), str(int(i))) for ids in lines if ids for i in ids[1:]}
        else:
            reader = csv.reader(
                io.StringIO(text, newline=""), delimiter="," if path.suffix == ".csv" else "\t"
            )
            header, *rows = [row for row in reader if row]
            at = [[name.strip() for name in header].index(name) for name in ("user", "item")]
            expected = {tuple(row[place].strip(" \t") for place in at) for row in rows}
    assert found == expected, f"{found} instead of {expected}"


def text_of(value):
    """An id of Parquet as text."""
    if isinstance(value, datetime):
        return str(np.datetime64(value, "ms"))
    return value.decode() if isinstance(value, bytes) else str(value).strip(" \t")


def limit_memory(more):
    """Let this process take ``more`` bytes of addresses than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, hard))


def yield_memory():
    """The file is accepted: what is read from it takes what it takes."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def warm_up(bases):
    """Import and start whatever reading takes, before memory is limited."""
    with tempfile.TemporaryDirectory() as folder:
        for path in bases.iterdir():
            with contextlib.suppress(ValueError):
                read(path)
        for name, content in (("a.csv", b"user,item\n1,2\n"), ("a.txt", b"0 1\n")):
            path = Path(folder) / name
            path.write_bytes(content)
            read(path)
        np.save(path.with_suffix(".npy"), np.ones((3, 2)))
        read(path.with_suffix(".npy"))
        scipy.sparse.save_npz(path.with_suffix(".npz"), scipy.sparse.eye_array(2).tocsr())
        read(path.with_suffix(".npz"))
        path.with_suffix(".parquet").write_bytes(crafted_parquet(np.random.default_rng(1)))
        with contextlib.suppress(BetError):
            read(path.with_suffix(".parquet"))


def main(bases, seed, count):
    """Read all files; the outcomes as a dict."""
    warnings.simplefilter("ignore")
    warm_up(Path(bases))
    read_ones, refused, wrong = Counter(), Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        for form, name, content in made(Path(bases), np.random.default_rng(seed), count):
            path = Path(folder) / name
            path.write_bytes(content)
            limit_memory(3 * len(content) + ROOM)
            try:
                read(path)
                read_ones[form] += 1
            except BetError as error:
                refused[form] += 1
                if (
                    str(folder) not in str(error)
                    or not str(error).isprintable()
                    or len(str(error)) > 2000
                ):
                    wrong.append(f"{form} {name}: {str(error)[:300]!r}")
            except BaseException:
                wrong.append(f"{form} {name}: {traceback.format_exc()[-700:]}")
            finally:
                yield_memory()
                path.unlink()
    return {"read": read_ones, "refused": refused, "wrong": wrong}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
