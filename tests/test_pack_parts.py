"""The parts of packing: rounding, best items, files in parts, and what is refused."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.parquet import write_table
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from bet.errors import BetError
from bet.pack import Columns, open_vectors, pack_vectors
from bet.pack.encode import decode, encode
from bet.pack.plan import Plan, overlap
from bet.pack.survey import names_tensor
from bet.pack.write import Side, write_vectors
from bet.packed import BITS, load
from bet.packed.ids import id_tensors
from bet.packed.quantizer import fake_quantize
from bet.packed.safetensors_io import metadata_for, shapes_of, write_safetensors
from bet.packed.streamed import streamed_safetensors

ROWS = st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32)


def drawn(m, d, seed):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((m, d)) ** 3 * 10.0 ** rng.integers(-3, 3)).astype(np.float32)


def opened(path, values):
    np.save(path, values)
    return open_vectors(path)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([1, 2, 4, 8]), *ROWS)
def test_rows_are_rounded_to_the_nearest_level_of_a_step_that_loses_no_more(bits, m, d, seed):
    values = drawn(m, d, seed)
    encoded = encode(values, bits)
    back, half = decode(encoded, bits, d).astype(np.float64), 2 ** (bits - 1)
    steps = encoded.steps.astype(np.float64)
    assert (encoded.steps.astype(np.float16) == encoded.steps).all() and (steps > 0).all()
    levels = (np.arange(-half, half) + 0.5) * steps[:, None, None]  # (m, 1, levels)
    nearest = np.abs(values[:, :, None] - levels).min(2)
    np.testing.assert_allclose(np.abs(values - back), nearest, atol=1e-5 * np.abs(values).max())
    error = np.square(values - back).sum(1)
    usual = fake_quantize(torch.from_numpy(values), torch.full((m, 1), d), bits).numpy()
    # Rounded to float16, a step may lose a little that the one before had not.
    allowed = np.square(values - usual).sum(1) * 1.01 + 1e-6 * np.square(values).sum(1)
    assert (error <= allowed).all() or bits == 8


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_less_is_lost_than_with_the_step_of_training(bits):
    values = torch.randn(500, 32, generator=torch.Generator().manual_seed(0)).pow(3)
    usual = fake_quantize(values, torch.full((500, 1), 32), bits).numpy()
    values = values.numpy()
    lost = [
        np.square(values - back).sum() for back in (decode(encode(values, bits), bits, 32), usual)
    ]
    assert lost[0] < lost[1]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(BITS), *ROWS)
def test_the_file_gives_back_what_was_encoded(tmp_path_factory, bits, m, d, seed):
    values = drawn(m, d, seed)
    vectors = opened(tmp_path_factory.mktemp("encoded") / "v.npy", values)
    path = vectors.path.with_name("out")
    sides = Side(vectors, None, None), Side(vectors, None, np.arange(m)[::-1])
    report = write_vectors(path, Plan(d, (bits,), (1.0,), "given"), sides)
    assert path.stat().st_size == report.total
    expected = decode(encode(values, bits), bits, d)
    np.testing.assert_array_equal(
        load(path).rows(range(2 * m))[:, 0], np.concatenate([expected, expected[::-1]])
    )
    if bits == 32:
        np.testing.assert_array_equal(expected, values)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_what_becomes_too_large_is_refused_and_nothing_is_left(tmp_path, bits):
    vectors = opened(tmp_path / "v.npy", np.full((3, 2), 9_000, dtype=np.float32))
    side = Side(vectors, 1_000 * np.eye(2, dtype=np.float32), None)
    if bits == 8:  # its steps are small
        side = Side(vectors, 1_000_000 * np.eye(2, dtype=np.float32), None)
    with pytest.raises(BetError, match=f"are too large for {bits} bits; divide"):
        write_vectors(tmp_path / "out", Plan(2, (bits,), (1.0,), "given"), (side, side))
    assert [path.name for path in tmp_path.iterdir()] == ["v.npy"]


def test_lists_overlap_in_what_both_have_wherever_it_stands():
    one = np.array([[4, 1, 7], [0, 2, 3]])
    assert overlap(one, one[:, ::-1]) == 1.0
    assert overlap(one, np.array([[7, 5, 6], [4, 5, 6]])) == pytest.approx(1 / 6)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["rows", "kinds", "a.b", "steps"]),
        st.tuples(st.sampled_from(["f4", "u4", "f2", "u2", "u1"]), st.integers(0, 9)),
        min_size=1,
    ),
    st.integers(1, 4),
)
def test_a_file_in_parts_equals_one_at_once(tmp_path_factory, tensors, step):
    folder = tmp_path_factory.mktemp("streamed")
    content = {
        name: np.arange(3, 3 + 2 * n).astype(dtype).reshape(n, 2)
        for name, (dtype, n) in tensors.items()
    }
    metadata = metadata_for("table", {"users": 4})
    write_safetensors(folder / "whole", content, metadata)
    with streamed_safetensors(folder / "parts", shapes_of(content), metadata) as file:
        for name, values in content.items():
            for first in range(0, len(values), step):
                file.mapped(name)[first : first + step] = values[first : first + step]
        assert not (folder / "parts").exists() and len(file.mapped("none")) == 0
    assert (folder / "parts").read_bytes() == (folder / "whole").read_bytes()
    with pytest.raises(RuntimeError):
        with streamed_safetensors(folder / "broken", shapes_of(content), metadata):
            raise RuntimeError("out of luck")
    assert {file.name for file in folder.iterdir()} == {"whole", "parts"}


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, unique=True), st.integers(0, 1))
def test_integer_ids_are_written_as_from_text_or_shorter(numbers, side):
    ids = ([str(i) for i in numbers], []) if side == 0 else ([], [str(i) for i in numbers])
    from_text = [*id_tensors(ids).values()][side]
    tensor = names_tensor(np.array(numbers, dtype=np.int64), side)
    if from_text[0] == 0:
        np.testing.assert_array_equal(tensor, from_text)
    else:  # few ids that lie far apart are shorter as text
        assert tensor[0] == 0 and len(tensor) >= len(from_text)


def parquet(path, **columns):
    write_table(pa.table(columns), path)
    return path


GOOD = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
LISTS = pa.list_(pa.float32())


def bad_files(folder):
    """Path, columns, and what is said of it."""
    nan = [[1.0, 2.0], [3.0, float("nan")], [5.0, 6.0]]
    np.save(folder / "nan.npy", np.array(nan, dtype=np.float32))
    np.save(folder / "infinite.npy", np.array([[1e300, 1.0]]))
    np.save(folder / "large.npy", np.array([[1.0, -20000.0]]))
    np.save(folder / "flat.npy", np.ones(5))
    np.save(folder / "text.npy", np.array([["a"]]))
    np.save(folder / "empty.npy", np.ones((0, 4)))
    np.save(folder / "wide.npy", np.ones((2, 4097), np.float32))
    np.save(folder / "pickle.npy", np.array([[{}]]), allow_pickle=True)
    (folder / "cut.npy").write_bytes((folder / "nan.npy").read_bytes()[:-3])
    (folder / "not.npy").write_bytes(b"hello")
    (folder / "not.parquet").write_bytes(b"hello")
    (folder / "not.safetensors").write_bytes(b"hello")
    (folder / "vectors.txt").write_text("1 2 3")
    (folder / "none").mkdir()
    save_file({"u": np.ones((2, 2), "f4"), "v": np.ones((2, 2), "f4")}, folder / "two.safetensors")
    save_file({"u": np.ones(2, "f4")}, folder / "flat.safetensors")
    save_tensors({"u": torch.ones(2, 2, dtype=torch.bfloat16)}, folder / "half.safetensors")
    ids = pa.array([1, 2, 3])
    yield "gone.npy", {}, "no such file"
    yield "vectors.txt", {}, "unknown extension '.txt' of vectors; known are .npy"
    yield "nan.npy", {}, r"row 1 \(from 0\) has nan as number 1; numbers must be finite"
    yield "infinite.npy", {}, r"row 0 \(from 0\) has inf"
    yield "large.npy", {}, "has -20000 as number 1; .* at most 10,000, divide all vectors"
    yield "flat.npy", {}, "float64 of shape"
    yield "text.npy", {}, "vectors are a matrix of numbers"
    yield "empty.npy", {}, "0 vectors of 4 numbers"
    yield "wide.npy", {}, "2 vectors of 4,097 numbers, at most 4,096 .* is the matrix transposed"
    for name in ("pickle.npy", "cut.npy", "not.npy"):
        yield name, {}, "not a readable .npy file"
    yield "nan.npy", {"vectors": "u"}, "without a name; leave 'u' out"
    yield "not.parquet", {}, "not a readable Parquet file"
    yield "none", {}, "no Parquet files in this folder"
    yield "not.safetensors", {}, "not a readable safetensors file"
    yield "two.safetensors", {}, "several matrices; it has 'u', 'v'"
    yield "two.safetensors", {"vectors": "w"}, "no matrix 'w'"
    yield "flat.safetensors", {}, "it has none"
    yield "half.safetensors", {}, "'u' is BF16; known are F16"
    for name, columns, further, message in (
        ("noid", {"key": ids, "v": GOOD}, {}, "no column 'id' with the ids; it has 'key', 'v'"),
        ("floats", {"id": [1.5, 2.5, 3.5], "v": GOOD}, {}, "ids of type double in 'id'"),
        ("alone", {"id": ids}, {}, "no vectors beside 'id'"),
        ("several", {"id": ids, "v": GOOD, "w": GOOD}, {}, "several columns of lists, 'v', 'w'"),
        ("other", {"id": ids, "v": GOOD}, {"vectors": "w"}, "no column 'w' of lists; it has 'v'"),
        ("freq", {"id": ids, "v": GOOD}, {"frequency": "n"}, "no column 'n' of numbers"),
        (
            "minus",
            {"id": ids, "v": GOOD, "frequency": [1, -2, 3]},
            {},
            r"row 1 \(from 0\) has the frequency -2",
        ),
        ("long", {"id": ids, "v": [[1.0] * 5000] * 3}, {}, "3 vectors of 5,000 numbers, at most"),
        (
            "unequal",
            {"id": ids, "v": pa.array([[1.0, 2.0], [3.0, 4.0], [5.0]], LISTS)},
            {},
            r"row 2 \(from 0\) has a vector of 1 numbers, the first row has 2",
        ),
        (
            "missing",
            {"id": ids, "v": pa.array([[1.0, 2.0], None, [5.0, 1.0]], LISTS)},
            {},
            r"row 1 \(from 0\) has no vector",
        ),
        (
            "null",
            {"id": ids, "v": pa.array([[1.0, 2.0], [None, 1.0], [5.0, 1.0]], LISTS)},
            {},
            r"row 1 \(from 0\) has nan as number 0",
        ),
        (
            "nulls",
            {"id": ids, "x": [1.0, 2.0, None], "y": [1, 2, 3]},
            {},
            r"row 2 \(from 0\) has nan",
        ),
        ("twice", {"id": [7, 9, 7], "v": GOOD}, {}, r"id 7 stands in rows 0 and 2 \(from 0\)"),
        ("text", {"id": ["a", "b", "b"], "v": GOOD}, {}, r"id 'b' stands in rows 1 and 2"),
        ("unnamed", {"id": ["a", None, "b"], "v": GOOD}, {}, r"row 1 \(from 0\) has no id"),
    ):
        parquet(folder / f"{name}.parquet", **columns)
        yield f"{name}.parquet", further, message
    other = folder / "other-columns"
    other.mkdir()
    parquet(other / "a.parquet", id=ids, v=GOOD)
    parquet(other / "b.parquet", id=ids, w=GOOD)
    yield "other-columns", {}, "other columns than"


def test_bad_vectors_are_refused_and_nothing_is_left(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    parquet(folder / "good.parquet", id=pa.array([1, 2, 3]), v=GOOD)
    good, seen = open_vectors(folder / "good.parquet"), 0
    for name, columns, message in bad_files(folder):
        with pytest.raises(BetError, match=message):
            bad = open_vectors(folder / name, Columns(**columns))
            pack_vectors(good, bad, "2 kB", tmp_path / "out")
        seen += 1
    assert seen > 30 and [path.name for path in tmp_path.iterdir()] == ["in"]


def test_bad_budgets_and_sides_are_refused_before_any_work(tmp_path, monkeypatch):
    values = np.ones((30, 24), np.float32)
    np.save(tmp_path / "v.npy", values)
    np.save(tmp_path / "w.npy", values[:, :7])
    vectors, others = (open_vectors(tmp_path / f"{name}.npy") for name in "vw")
    monkeypatch.setattr("bet.pack.build.survey", None)
    for sides, budget, message in (
        ((vectors, others), "1 MB", "v.npy has vectors of 24 numbers, .*w.npy of 7"),
        ((vectors, vectors), "90%", "needs a budget in bytes, got '90%'"),
        ((vectors, vectors), "lots", "needs a budget in bytes, got 'lots'"),
        ((vectors, vectors), "2 B/entity", "leaves 120 bytes for vectors, less than one bit per"),
    ):
        with pytest.raises(BetError, match=message):
            pack_vectors(*sides, budget, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_columns_of_a_data_frame_are_read_in_their_order(tmp_path):
    frame = pd.DataFrame({"b": [1.0, 2.0], "id": ["x", "y"], "a": [3, 4], "name": ["p", "q"]})
    frame.to_parquet(tmp_path / "v.parquet")
    vectors = open_vectors(tmp_path / "v.parquet")
    (block,) = vectors.blocks(with_ids=True)
    assert vectors.d == 2 and block.values.tolist() == [[1, 3], [2, 4]]
    assert block.ids.tolist() == ["x", "y"] and block.frequency is None
