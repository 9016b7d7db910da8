"""Interactions as people have them: odd encodings, line ends, ids and values, one oddity a file.

``FILES``: name -> ``Messy``. What is right has its pairs, as text; what is wrong the words that
name the place and the remedy.
"""

import io
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from pyarrow.parquet import write_table


@dataclass(frozen=True)
class Messy:
    """``content`` of a file, ``options`` to read it with, and ``pairs`` or the ``error``."""

    content: bytes
    pairs: set = field(default_factory=set)
    error: str = ""
    options: dict = field(default_factory=dict)


FILES: dict[str, Messy] = {}
SIGNS = {".csv": ",", ".tsv": "\t", ".inter": "\t"}
RATED = {"minimum_rating": 0}


def add(name, content, pairs=(), error="", **options):
    assert name not in FILES and bool(pairs) != bool(error)
    content = content if isinstance(content, bytes) else content.encode()
    FILES[name] = Messy(content, set(pairs), error, options)


def lines(suffix, *rows, end="\n"):
    """A header and ``rows`` with the sign of a format between fields."""
    header = ("user_id:token", "item_id:token") if suffix == ".inter" else ("user", "item")
    return end.join(SIGNS[suffix].join(row) for row in [header, *rows])


ROWS, PAIRS = (
    [("ann", "ü"), ("bob", "ale"), ("ann", "ale")],
    {
        ("ann", "ü"),
        ("bob", "ale"),
        ("ann", "ale"),
    },
)
for suffix in SIGNS:
    text = lines(suffix, *ROWS) + "\n"
    for code in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        add(f"{code}{suffix}", text.encode(code), PAIRS)
    add(f"utf-16-be{suffix}", b"\xfe\xff" + text.encode("utf-16-be"), PAIRS)
    for code in ("utf-16-le", "utf-16-be"):
        add(
            f"unmarked-{code}{suffix}",
            text.encode(code),
            error="line 1: a zero byte.*without a byte order mark, save it as UTF-8",
        )
    add(f"latin{suffix}", text.encode("latin-1"), error="line 2: not UTF-8.*save it as UTF-8")
    add(f"zero{suffix}", text.replace("bob", "b\0b"), error="line 3: a zero byte.*remove it")
    for name, end in (("unix", "\n"), ("dos", "\r\n"), ("mac", "\r")):
        add(f"{name}{suffix}", lines(suffix, *ROWS, end=end) + end, PAIRS)
    add(f"no-last-end{suffix}", lines(suffix, *ROWS), PAIRS)
    add(f"blank-end{suffix}", lines(suffix, *ROWS) + "\n\n\r\n\n", PAIRS)
    wrong = "the line is truncated or malformed, correct or remove it"
    add(f"short{suffix}", text + "ann\n", error=f"line 5: 1 fields, the header has 2; {wrong}")
    long = text + SIGNS[suffix].join("abc") + "\n"
    add(f"long{suffix}", long, error=f"line 5: 3 fields, the header has 2; {wrong}")
    missing = lines(suffix, ('"a\nb"', "1"), ("", "2")) + "\n"
    add(f"missing{suffix}", missing, error="line 4: column 'user(_id)?' is missing; fill it in")

IDS = [
    "NA",
    "None",
    "nan",
    "null",
    "N/A",
    "<NA>",
    "01",
    "1e5",
    "1.0",
    "+1",
    "0x10",
    "1_000",
    "true",
]
IDS += ["日本", "a b", "-", "'", "x\u00a0y", "<b>", "=1+1", "\x1b[31m", "9" * 400]
for number, name in enumerate(IDS):
    add(f"id-{number}.csv", f"user,item\n{name},1\nx,{name}\n", {(name, "1"), ("x", name)})
for name, written, read in (
    ("newline", '"a\nb"', "a\nb"),
    ("dos-newline", '"a\r\nb"', "a\r\nb"),
    ("last-newline", '"a\n"', "a\n"),
    ("comma", '"a,b"', "a,b"),
    ("quote", '"a""b"', 'a"b'),
    ("quote-inside", 'a"b', 'a"b'),
    ("spaces", "  a ", "a"),
):
    add(f"quoted-{name}.csv", f"user,item\n{written},1\nx,2\n", {(read, "1"), ("x", "2")})

HEAD = "user,item,rating,timestamp\n"
for name, value in (
    ("digits", "9" * 400),
    ("many-digits", "9" * 5_000),
    ("word", "good"),
    ("infinite", "inf"),
    ("too-large", "1e999"),
    ("nan", "nan"),
    ("empty", ""),
    ("stars", "5 stars"),
    ("hex", "0x10"),
):
    add(
        f"rating-{name}.csv",
        f'{HEAD}"a\nb",1,2,3\na,2,{value},4\n',
        error="line 4: column 'rating' holds .*, not a rating; correct or remove the row",
        **RATED,
    )
for name, value in (("soon", "soon"), ("digits", "9" * 400), ("month", "2024-13-45"), ("none", "")):
    error = "line 3: column 'timestamp' holds .*, not a timestamp; correct or remove the row"
    add(f"time-{name}.csv", f"{HEAD}a,1,2,3\na,2,2,{value}\n", error=error)
for value in ("1", "1.5e9", "2024-01-31", "2024-01-31T10:00:00Z", "31 Jan 2024"):
    add(f"time-{value.replace(':', '-')}.csv", f"{HEAD}a,1,x,{value}\n", {("a", "1")})
for name in ("user", "item", "rating", "timestamp"):
    header = ",".join(["user", "item", "rating", "timestamp", name])
    error = f"two columns are called '{name}'; rename the one that is not the {name}"
    add(f"twice-{name}.csv", f"{header}\na,1,2,3,4\n", error=error)
add("twice-other.csv", "note,user,note,item\n1,a,2,b\n", {("a", "b")})
add("empty.csv", "", error="the file is empty; it needs at least one interaction")
add("header-only.csv", HEAD, error="a header but no rows")
add(
    "no-header.csv",
    "1,2\n3,4\n",
    error="no column 'user'; it has 1, 2; say which one holds the user",
)
add("blank-first.csv", "\nuser,item\n1,2\n", error="line 2: 2 fields, the header has 1|line 1: is")
add("colors.csv", "u\x1b[31mser,item\n1,2\n", error=r"it has u\\x1b\[31mser, item")
add("wide.csv", ",".join(f"c{i}" for i in range(5_000)) + "\n", error=r"c19, ... \(5,000 in all\)")
add("inner-blank.csv", "user,item\n1,2\n\n3,4\n", error="line 3: 1 fields")
add("open-quote.csv", 'user,item\n1,2\n"3,4\n5,6\n', error="line 3: 1 fields")
add("negative.csv", 'user,item\n"1","2"\n-3,4\n', error="line 3: column 'user' is negative")
add("semicolons.csv", "user;item\n1;2\n", error="no column 'user'; it has user;item")
add("html.csv", "<!doctype html>\n<title>404</title>\n", error="no column 'user'; it has <!doctype")
add("binary.csv", bytes(range(1, 256)), error="save it as UTF-8")

add("plain.txt", "0 1 2\n1 0\n", {("0", "1"), ("0", "2"), ("1", "0")})
add("marked.txt", b"\xef\xbb\xbf0 1\n", {("0", "1")})
add("wide.txt", "0 1\n".encode("utf-16"), {("0", "1")})
add("mac.txt", "0 1\r1 0\r", {("0", "1"), ("1", "0")})
add("tabs.txt", "0\t1  2 \n\n1 0", {("0", "1"), ("0", "2"), ("1", "0")})
add("zeros.txt", "007 1\n", {("7", "1")})
add("letters.txt", "0 1\n1 x\n", error="line 2: 'x' is not part of an integer id; correct")
add("float.txt", "0 1\n1 0.5\n", error="line 2: '.' is not part of an integer id; correct")
add("negative.txt", "0 1\n1 -5\n", error="line 2: a negative id; ids start at 0, correct the line")
add("digits.txt", f"0 1\n1 {'9' * 400}\n", error="line 2: id 9+.* more than 18 digits; number")
add("alone.txt", "0\n1\n", error="no interactions; every user")


def matrix(name, error="", pairs=(), **changes):
    """A 3 x 3 CSR matrix with ``changes``, None to leave an array out."""
    arrays = {
        "format": np.array(b"csr"),
        "shape": np.array([3, 3]),
        "data": np.ones(3),
        "indices": np.array([0, 1, 2], np.int32),
        "indptr": np.array([0, 1, 2, 3], np.int32),
    } | changes
    written = io.BytesIO()
    np.savez(written, **{key: value for key, value in arrays.items() if value is not None})
    error = (
        error and f"not a readable scipy users x items matrix .*{error}.*fetch or write it again"
    )
    add(f"{name}.npz", written.getvalue(), pairs, error)


matrix("right", pairs={("0", "0"), ("1", "1"), ("2", "2")})
for far in (5, 100_000, 10**9, -1):  # wrote outside the heap, or was read as another matrix
    matrix(f"starts-{far}", "do not rise", indptr=np.array([0, far, 1, 3]))
matrix("starts-short", "3 starts of 3", indptr=np.array([0, 1, 3]))
matrix("starts-end", "end at 2, not at 3", indptr=np.array([0, 1, 2, 2]))
matrix("item-out", "a number of 0 to 3, below 3", indices=np.array([0, 1, 3]))
matrix("item-negative", "a number of -1", indices=np.array([0, -1, 2]))
matrix("item-float", "expected are whole numbers", indices=np.array([0.0, 1, 2]))
matrix("objects", "Object arrays|object", data=np.array([1, 2, 3], dtype=object))
matrix("complex", "values of type complex128", data=np.ones(3, complex))
matrix("one-axis", "of 1 axes", shape=np.array([3]))
matrix("form", "save matrix.tocsr", format=np.array(b"dia"))
matrix("no-indices", "indices.npy", indices=None)


def parquet(name, users, items=(1, 2), error="", pairs=(), names=("user", "item")):
    written = io.BytesIO()
    write_table(
        pa.Table.from_arrays([users, *map(pa.array, [items] * (len(names) - 1))], names), written
    )
    add(f"{name}.parquet", written.getvalue(), pairs, error)


offsets = pa.array([0, 1, 2], pa.int32()).buffers()[1]
not_text = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xff")])
parquet("text", pa.array(["NA", "01"]), pairs={("NA", "1"), ("01", "2")})
parquet("words", pa.array(["a", "b"]).dictionary_encode(), pairs={("a", "1"), ("b", "2")})
parquet("not-text", not_text, error="rows 1 to 2: column 'user' holds text that is not UTF-8")
parquet("null", pa.array(["a", None]), error="row 2: column 'user' is missing; fill it in")
parquet("lists", pa.array([[1], [2]]), error="column 'user' holds a ndarray.*write text or numbers")
parquet("below", pa.array([1, -2]), error="row 2: column 'user' is negative")
parquet("twice", pa.array([1, 2]), names=("user", "user", "item"), error="two columns are called")
parquet(
    "other", pa.array([1, 2]), names=("a", "b"), error="no column 'user'; it has a, b; say which"
)
