"""Files that are made to mislead a reader, with right checksums: small ones at random, and a few
that announce much.
"""

import io
import json
import re
import struct

import numpy as np
import pyarrow as pa
from pyarrow.parquet import write_table

from bet.packed.id_side import pack_side
from bet.packed.safetensors_io import DTYPES, metadata_for, with_checksum

LIES = ("0", "1", "2", "3", "7", "-1", "255", "256", "65536", str(2**31), str(2**63), "9" * 30)
WORDS = (
    "x",
    "9" * 400,
    "1.5",
    "",
    "null",
    "9" * 5000,
    "1_0",
    "0x1",
    "٣",
    "1e9",
    "nan",
    "rank",
    "id",
)


def container(tensors, stated):
    """A file of ``tensors`` (any of the format's types) whose metadata entry is ``stated``."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    types = list(DTYPES.values())
    order = sorted(tensors, key=lambda name: (types.index(tensors[name].dtype), name))
    entries, offset = {"__metadata__": {"bet": stated}}, 0
    for name in order:
        end = offset + tensors[name].nbytes
        entries[name] = {
            "dtype": names[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [offset, end],
        }
        offset = end
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    body = b"".join(np.ascontiguousarray(tensors[name]).tobytes() for name in order)
    content = len(header).to_bytes(8, "little") + header + body
    return with_checksum(content) if b"crc=00000000" in content else content


def taken_apart(content):
    """Tensors and metadata entry, without its checksum, of a file."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    stated = header.pop("__metadata__")["bet"]
    tensors = {}
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        stored = np.frombuffer(
            content[8 + length + first : 8 + length + end], DTYPES[entry["dtype"]]
        )
        tensors[name] = stored.reshape(entry["shape"]).copy()
    return tensors, re.sub(r"crc=\w{8}", "crc=00000000", stated)


def crafted_container(content, rng):
    """``content`` of a file of ours with one to three lies, and the right checksum."""
    tensors, stated = taken_apart(content)
    only_numbers = rng.random() < 0.5  # and no lie about what they are
    for _ in range(int(rng.integers(1, 4))):
        name = str(rng.choice(sorted(tensors))) if tensors else ""
        step = 8 if only_numbers else int(rng.integers(9))
        if step < 3 or not name:
            numbers = list(re.finditer(r"(?<==)[^;]*(?=;)", stated))
            place = numbers[int(rng.integers(len(numbers)))]
            lie = str(rng.choice(LIES if step else WORDS))
            stated = stated[: place.start()] + lie + stated[place.end() :]
        elif step == 3:
            tensors.pop(name)
        elif step == 4:
            tensors[str(rng.choice(["kind", "counts", "mask", "x", "user_ids"]))] = tensors.pop(
                name
            )
        elif step == 5:  # other numbers of the same bytes
            flat, dtype = tensors[name].ravel().view("u1"), rng.choice(list(DTYPES.values()))
            tensors[name] = flat[: len(flat) // dtype.itemsize * dtype.itemsize].view(dtype)
        elif step == 6:
            tensors[name] = np.resize(tensors[name], int(rng.choice([0, 1, 2, 9, 500])))
        elif name == "table" and step == 7:
            inner = crafted_container(tensors[name].tobytes(), rng)
            tensors[name] = np.frombuffer(inner, "u1").copy()
        elif tensors[name].size:
            flat = tensors[name].reshape(-1).view("u1")
            at = rng.integers(0, len(flat), int(rng.integers(1, 9)))
            flat[at] = rng.choice([0, 1, 127, 128, 255], len(at))
    return container(tensors, stated)


def crafted_matrix(rng):
    """A ``.npz`` as scipy writes it, of a matrix that may be none."""
    n, m, k = (int(rng.integers(1, 6)) for _ in range(3))
    form = str(rng.choice(["csr", "csc", "coo", "dia"], p=[0.5, 0.2, 0.2, 0.1]))
    starts = np.sort(rng.integers(0, k + 1, n + 1))
    starts[0], starts[-1] = 0, k
    arrays = {
        "format": np.array(form.encode()),
        "shape": np.array([n, m] if form != "csc" else [m, n]),
        "data": rng.integers(1, 5, k).astype(rng.choice(["f8", "i8", "u1", "f4"])),
        "indptr": starts.astype(np.int32),
        "indices": rng.integers(0, m, k).astype(np.int32),
        "row": rng.integers(0, n, k),
        "col": rng.integers(0, m, k),
    }
    for _ in range(int(rng.integers(0, 3))):
        name = str(rng.choice(list(arrays)))
        step, array = int(rng.integers(7)), arrays[name]
        if step == 0:
            arrays[name] = np.resize(array, int(rng.integers(0, 7)))
        elif step == 1 and array.dtype.kind in "iuf" and array.size:
            wrong = rng.choice([-1, 5, 100_000, 10**9, 2**62])
            array.flat[int(rng.integers(array.size))] = np.array(wrong).astype(array.dtype)
        elif step == 2:
            arrays[name] = array.astype(object)
        elif step == 3 and array.dtype.kind in "iuf":
            arrays[name] = array.astype(rng.choice(["f8", "i8", "u8", "c16"]))
        elif step == 4 and array.ndim:
            arrays[name] = array[None]
        elif step == 5:
            arrays["format"] = np.array(rng.choice(["csr", "bsr", "x" * 100]))
        elif step == 6:
            arrays.pop(name, None)
        if not arrays:
            break
    written = io.BytesIO()
    (np.savez if rng.random() < 0.5 else np.savez_compressed)(written, **arrays)
    return written.getvalue()


BITS = ['"', '""', "\n", "\r\n", ",", "\t", "\0", "9" * 400, "-1", "NA", "None", "\x1b[31m", "é"]
BITS += ["\ufeff", " ", "1e999", "nan", "2024-01-01", "0" * 30, "'", "\\", "\r", "<b>", "=1+1"]


def crafted_text(suffix, rng):
    """Lines of interactions with odd pieces in them."""
    sign = "," if suffix == ".csv" else "\t"
    if suffix == ".txt":
        text = "".join(f"{u} {' '.join(map(str, rng.integers(0, 9, 3)))}\n" for u in range(4))
    else:
        names = ["user", "item", "rating", "timestamp"]
        rows = [[f"u{i % 3}", str(i % 4), str(1 + i % 5), str(10**9 + i)] for i in range(8)]
        text = "".join(sign.join(row) + "\n" for row in [names, *rows])
    for _ in range(int(rng.integers(0, 3))):
        at = int(rng.integers(len(text) + 1))
        text = text[:at] + str(rng.choice(BITS)) + text[at:]
    code = str(
        rng.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"], p=[0.7, *[0.075] * 4])
    )
    content = text.encode(code, errors="replace")
    return content[: int(rng.integers(len(content)))] if rng.random() < 0.1 else content


def crafted_parquet(rng):
    """Columns of users and items of many types."""
    kinds = [
        pa.array([1, 2, 1, 3]),
        pa.array(["a", "b", " a", "NA"]),
        pa.array(["a", None, "b", ""]),
        pa.array([b"a", b"\xff", b"b", b"c"]),
        pa.array(["a", "b", "a", "é"]).dictionary_encode(),
        pa.array([2**63, 1, 2, 3], pa.uint64()),
        pa.array([-1, 1, 2, 3]),
        pa.array([1.5, float("nan"), 2, 3]),
        pa.array([[1], [2], [], [3]]),
        pa.array([{"a": 1}] * 4),
        pa.array([True, False, None, True]),
        pa.array([0, 1, 10**9, 3], pa.timestamp("s")),
        pa.nulls(4),
        pa.Array.from_buffers(  # not UTF-8, as text
            pa.string(),
            4,
            [None, pa.array([0, 1, 2, 3, 4], pa.int32()).buffers()[1], pa.py_buffer(b"ab\xffc")],
        ),
    ]
    names = ["user", "item", *rng.choice(["rating", "timestamp", "user"], rng.integers(2))]
    chosen = np.where(  # mostly of numbers and of texts that are right
        rng.random(len(names)) < 0.7, rng.choice([0, 4, 5]), rng.integers(0, len(kinds), len(names))
    )
    table = pa.Table.from_arrays([kinds[i] for i in chosen], list(map(str, names)))
    written = io.BytesIO()
    write_table(table, written)
    content = written.getvalue()
    return content[: int(rng.integers(len(content)))] if rng.random() < 0.2 else content


def crafted_vectors(rng):
    """A ``.npy`` whose header lies."""
    shape = rng.choice(["(3, 2)", "(3,)", "(-3, 2)", "(3, 10**9)", f"({2**62}, 4)", "(3, 0)", "()"])
    kind = rng.choice(["<f4", "<f8", "|O", "<i8", "<c8", "|S9", "<f4x"])
    header = f"{{'descr': '{kind}', 'fortran_order': {rng.choice(['False', 'True', '1'])}, "
    header = (header + f"'shape': {shape}, }}").ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + rng.bytes(24)


def large_files():
    """Name and content of files that announce much: refused, or opened, in little memory."""
    n = 2**23
    bits = np.full(n // 8, 255, np.uint8)
    lists = {
        "interactions.degrees": np.array([[0], [n]], np.uint32),
        "interactions.widths": np.zeros((0, 8), np.uint8),
        "interactions.quotients": bits,
        "interactions.remainders": np.zeros(0, np.uint8),
    }
    facts = {"backbone": "popularity", "users": n, "items": 9}
    yield "empty lists", container(lists, metadata_for("recommender", facts)["bet"])
    facts["users"] = n + 1
    yield "a list more", container(lists, metadata_for("recommender", facts)["bet"])
    k = 2**22
    by_id = {"kinds": np.array([[0, 32]], np.uint8), "kind": np.zeros(k, np.uint8)}
    by_id["rows"] = np.zeros(0, np.uint8)
    facts = {"order": "id", "users": k, "items": 0, "copies": 1, "rows_per_step": 1}
    yield "empty rows", container(by_id, metadata_for("table", facts)["bet"])
    by_id["kind"][-1] = 1
    yield "a row of no kind", container(by_id, metadata_for("table", facts)["bet"])
    kinds = {"kinds": np.zeros((k, 2), np.uint8), "counts": np.zeros((2, k), np.uint32)}
    yield "many kinds", container(kinds, metadata_for("table", facts | {"order": "rank"})["bet"])
    facts = {"columns": 2048, "copies": 1, "parts": 2048, "code_bits": 12, "users": 4095}
    facts |= {"items": 0, "user_own": 0, "item_own": 0}
    codes = {"rows": np.zeros((4095, 2048), np.float16)}
    codes["user_codes"] = np.full(4095 * 2048 * 12 // 8, 255, np.uint8)
    yield "codes of no centroid", container(codes, metadata_for("coded", facts)["bet"])
    facts = {"users": 8 * k, "items": 0, "copies": 1, "d_max": 1}
    mask = {"values": np.zeros(1, np.float32), "mask": np.zeros(k, np.uint8)}
    yield "bits of no number", container(mask, metadata_for("pruned", facts)["bet"])
    for name, ids in (
        ("ids by number", list(map(str, range(10**6)))),
        ("ids by text", [f"{'x' * 400}{number:06d}" for number in range(60_000)]),
    ):
        side = pack_side(ids)
        side = np.concatenate([side[:-40], side[-80:-40]])  # some of them twice
        facts = {"backbone": "popularity", "users": len(ids), "items": 9}
        lists["interactions.degrees"] = np.array([[0], [len(ids)]], np.uint32)
        lists["interactions.quotients"] = np.full(-(-len(ids) // 8), 255, np.uint8)
        both = {"user_ids": side, "item_ids": pack_side(list("abcdefghi"))}
        yield name, container(lists | both, metadata_for("recommender", facts)["bet"])
    yield "nested", (10**6).to_bytes(8, "little") + b'{"a":[' + b"[]," * 340_000
    written = io.BytesIO()
    zeros = np.zeros(5 * 10**7, np.int32)
    starts = np.array([0, len(zeros)])
    np.savez_compressed(
        written, format=b"csr", shape=[1, 1], indices=zeros, indptr=starts, data=zeros.view("u1")
    )
    yield "bomb.npz", written.getvalue()
    yield "commas.csv", b"user,item\n" + b"," * 2**22
    yield "rows.csv", b"user,item\n" + b"1,2\n" * 10**6 + b"1,\n"
    yield "lines.txt", b"0\n" * 2**21 + b"x"


def made(bases, rng, count):
    """Format, name and content of ``count`` files and of the large ones."""
    tables = {path.name: path.read_bytes() for path in sorted(bases.iterdir())}
    for number in range(count):
        form = str(
            rng.choice(
                [*tables, *tables, "npz", "npz", "csv", "csv", "tsv", "txt", "npy", "parquet"]
            )
        )
        if form in tables:
            yield form, f"{number}", crafted_container(tables[form], rng)
        elif form == "npz":
            yield form, f"{number}.npz", crafted_matrix(rng)
        elif form == "npy":
            yield form, f"{number}.npy", crafted_vectors(rng)
        elif form == "parquet":
            yield form, f"{number}.parquet", crafted_parquet(rng)
        else:
            yield form, f"{number}.{form}", crafted_text(f".{form}", rng)
    for name, content in large_files():
        yield "large", name.replace(" ", "-"), content
