"""Packing vectors: what is in the file, and that it is within the budget."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from example_vectors import N_ITEMS, N_USERS, D, as_arrays, both_sides, interactions, saved
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.parquet import write_table
from safetensors.numpy import save_file

import bet
from bet.__main__ import main
from bet.data import Interactions, planted
from bet.errors import BetError
from bet.pack import Options, build, open_vectors, pack_vectors, sources
from bet.pack.axes import maps_of, principal_axes
from bet.pack.plan import Plan, Room, plans, rounded
from bet.packed import load


@pytest.fixture(scope="module")
def both():
    return both_sides()


@pytest.mark.parametrize("rank", [D, 5])
def test_principal_axes_keep_all_scores_and_their_first_columns_the_best_part(both, rank):
    users, items = both
    items = items.astype(np.float64) @ np.eye(D)[:, :rank] @ np.eye(D)[:rank]
    users = users.astype(np.float64)
    principal = principal_axes(users.T @ users, items.T @ items)
    scores = users @ items.T
    np.testing.assert_allclose(users @ principal[0] @ (items @ principal[1]).T, scores, atol=1e-6)
    singular = np.linalg.svd(scores, compute_uv=False)
    for axes in ("principal", "rotated"):
        for columns in (1, 3, rank):
            maps = maps_of(axes, columns, principal)
            left = np.linalg.norm(scores - users @ maps[0] @ (items @ maps[1]).T)
            best = np.sqrt(np.square(singular[columns:]).sum())
            assert left == pytest.approx(best, rel=1e-3, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    n=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    d=st.integers(1, 40),
    share=st.floats(0.8, 40),
    by_frequency=st.booleans(),
)
def test_every_plan_fits_and_no_wider_one_does(n, d, share, by_frequency):
    least = Plan(d, (1,), (1.0,), "given").layout(*n).byte_report().total
    room = Room(*n, d, limit=int(share * least))
    if share < 1 and room.limit < least:
        with pytest.raises(BetError, match="less than one bit per number takes"):
            room.check("x")
        return
    room.check("x")
    found = plans(room, by_frequency)
    assert found
    for plan in found:
        wider = Plan(plan.columns + 1, plan.bits, plan.shares, plan.axes)
        assert room.length(plan) <= room.limit
        assert plan.columns == d or room.length(wider) > room.limit
        assert (plan.axes == "given") <= (plan.columns == d)
        assert plan.counts(n[0]).sum() == n[0] and (plan.counts(n[1]) >= 0).all()


@pytest.mark.parametrize("budget", ["7 B/entity", "9 B/entity", "12 B/entity", "26 B/entity"])
@pytest.mark.parametrize("with_frequency", [False, True])
def test_the_file_holds_what_the_plan_says(tmp_path, monkeypatch, both, budget, with_frequency):
    monkeypatch.setattr(sources, "BLOCK_BYTES", 4 * D * 16)  # several blocks, the last one short
    frequency = np.random.default_rng(1).integers(0, 50, N_ITEMS)
    columns = {"frequency": frequency} if with_frequency else {}
    users, items = saved(tmp_path / "in", both, **columns)
    packed = pack_vectors(users, items, budget, tmp_path / "out")
    opened = load(tmp_path / "out")
    assert (tmp_path / "out").stat().st_size == packed.report.total <= packed.limit
    assert opened.container.kind == "vectors" and opened.byte_report() == packed.report
    grams = [side.astype(np.float64).T @ side for side in both]
    maps = maps_of(packed.plan.axes, packed.plan.columns, principal_axes(*grams))
    for number, (values, rows_of) in enumerate(
        zip(both, (opened.ids.user_rows, opened.ids.item_rows), strict=True)
    ):
        n, first = len(values), (0, N_USERS)[number]
        names = [f"ü{i}" if number == 0 else str(7 * i + 3) for i in range(n)]
        rows = np.array([rows_of[name] for name in names]) - first
        if with_frequency:
            assert (np.diff(frequency[:n][np.argsort(rows)]) <= 0).all(), "by frequency"
        else:
            assert (rows == np.arange(n)).all()
        expected = rounded(values, rows / n, packed.plan, maps[number])
        read = opened.rows(first + rows)[:, 0]
        # A product in other blocks may end on the other side of a border between two levels.
        assert np.isclose(read, expected, rtol=1e-2, atol=1e-5).mean() > 0.99
    model = bet.load(tmp_path / "out")
    assert len(model.recommend(["ü3"], k=5, exclude_seen=False).items[0]) == 5


def test_all_formats_give_the_same_rows(tmp_path, both):
    as_arrays(tmp_path, both)
    save_file(dict(zip(("u", "v"), both, strict=True)), tmp_path / "both.safetensors")
    for name, values in zip(("users", "items"), both, strict=True):
        frame = pd.DataFrame(values, columns=[f"x{i}" for i in range(D)])
        frame.insert(3, "id", [f"id {i}" for i in range(len(values))])
        frame.to_parquet(tmp_path / f"{name}-columns.parquet")
        lists = frame[["id"]].assign(features=list(values.astype(np.float64)))
        folder = tmp_path / f"{name}-spark.parquet"
        folder.mkdir()
        (folder / "_SUCCESS").touch()
        table = pa.Table.from_pandas(lists)
        for part, rows in enumerate((table[:17], table[17:17], table[17:])):
            write_table(rows, folder / f"part-{part}.snappy.parquet", row_group_size=9)
    tensors = [
        open_vectors(tmp_path / "both.safetensors", sources.Columns(vectors=name)) for name in "uv"
    ]
    pairs = [tensors] + [
        [open_vectors(tmp_path / f"{side}{end}") for side in ("users", "items")]
        for end in (".npy", "-columns.parquet", "-spark.parquet")
    ]
    for number, (users, items) in enumerate(pairs):
        assert (users.n, items.n, users.d) == (N_USERS, N_ITEMS, D)
        out = tmp_path / f"out{number}"
        packed = pack_vectors(users, items, "100 B/entity", out)
        assert packed.plan.bits == (32,) and packed.costs.overlaps == (1.0, 1.0)
        rows = load(out).rows(np.arange(N_USERS + N_ITEMS))[:, 0]
        np.testing.assert_array_equal(rows, np.concatenate(both))
        assert packed.first_user == ("id 0" if number >= 2 else "0")
        assert out.with_name(out.name + ".ids").exists()


@pytest.mark.parametrize("with_ids", [False, True])
def test_histories_are_left_out_and_count(tmp_path, both, with_ids):
    users, items = saved(tmp_path / "in", both)
    data, out = interactions(), tmp_path / "out"
    options = Options(data, with_ids=with_ids, with_seen=True)
    packed = pack_vectors(users, items, "20 B/entity", out, options)
    assert out.stat().st_size == packed.report.total <= packed.limit
    assert out.with_name("out.ids").exists() != with_ids and packed.report.seen > 0
    model = bet.load(out)
    assert model.has_histories and model.file.backbone == "vectors"
    user = int(np.diff(data.matrix.indptr).argmax())
    mine = {str(data.item_ids[item]) for item in data.matrix[[user]].indices}
    k = N_ITEMS - len(mine)
    left = set(model.recommend([f"ü{user}"], k=k).items[0])
    assert not left & mine and len(left) == k
    assert mine & set(model.recommend([f"ü{user}"], k=k, exclude_seen=False).items[0])


@pytest.mark.parametrize("with_seen", [False, True])
def test_an_interrupted_command_leaves_the_earlier_file_and_its_ids(
    tmp_path, monkeypatch, both, with_seen
):
    users, items = saved(tmp_path / "in", both)
    out, options = tmp_path / "out", Options(interactions(), with_seen=with_seen)
    pack_vectors(users, items, "20 B/entity", out, options)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("out*")}
    blocks = items.blocks

    def broken(with_ids=False):
        yield from blocks(with_ids)
        if not with_ids:
            raise KeyboardInterrupt

    monkeypatch.setattr(items, "blocks", broken)
    with pytest.raises(KeyboardInterrupt):
        pack_vectors(users, items, "30 B/entity", out, options)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("out*")} == before
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out", "out.ids"}
    assert bet.load(out).file.ids.user_rows["ü0"] >= 0


def test_ids_of_numbers_and_of_text_are_the_same(tmp_path, both):
    users, items = as_arrays(tmp_path, both)
    matrix = interactions().matrix
    text = np.array([*map(str, range(N_ITEMS))], dtype=object)
    costs = [
        pack_vectors(users, items, "9 B/entity", tmp_path / "out", Options(data)).costs
        for data in (
            Interactions("numbers", matrix),
            Interactions("text", matrix, np.arange(N_USERS), text),
        )
    ]
    assert costs[0] == costs[1]
    # Rows have moved, so that their numbers became ids.
    assert sorted(map(int, bet.load(tmp_path / "out").file.ids.user_rows)) == [*range(N_USERS)]


def test_interactions_of_strangers_are_left_out_and_of_nobody_refused(tmp_path, both, caplog):
    users, items = as_arrays(tmp_path, both)
    matrix = interactions().matrix
    shifted = Interactions("shop", matrix, np.arange(N_USERS) + 9, np.arange(N_ITEMS))
    pack_vectors(users, items, "9 B/entity", tmp_path / "out", Options(shifted))
    assert "whose user or item has no vector" in caplog.text
    strangers = Interactions("shop", matrix, np.arange(N_USERS) + 999, np.arange(N_ITEMS))
    with pytest.raises(BetError, match="no interaction of a user and an item that both have"):
        pack_vectors(users, items, "9 B/entity", tmp_path / "gone", Options(strangers))
    for wrong in ({"test": shifted}, {"with_seen": True}):
        with pytest.raises(BetError, match="need the data .* by --data"):
            Options(**wrong)
    assert not (tmp_path / "gone").exists()


@settings(max_examples=40, deadline=None)
@given(
    n=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    d=st.integers(1, 9),
    form=st.sampled_from(["zero", "equal", "normal", "one row", "tiny"]),
    share=st.floats(1, 30),
    with_ids=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_any_vectors_are_packed_within_any_budget_that_is_met(
    tmp_path_factory, n, d, form, share, with_ids, seed
):
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("any")
    sides = [rng.standard_normal((rows, d)).astype(np.float32) for rows in n]
    for values in sides:
        factor = {"zero": 0, "one row": np.arange(len(values))[:, None] == 0, "tiny": 1e-30}
        values *= np.float32(factor.get(form, 1))
        if form == "equal":
            values[:] = values[0]
    opened = saved(folder, sides)
    least = Plan(d, (1,), (1.0,), "given").layout(*n).byte_report().total
    budget, out = f"{int(share * least) + 2} B", folder / "out"
    try:
        packed = pack_vectors(*opened, budget, out, Options(with_ids=with_ids))
    except BetError as error:
        assert with_ids and "less than one bit per number takes" in str(error)
        return
    assert out.stat().st_size == packed.report.total <= packed.limit
    rows = load(out).rows(range(sum(n)))[:, 0]
    assert np.isfinite(rows).all() and load(out).ids.user_rows["ü0"] == 0
    if packed.plan.bits == (32,) and packed.plan.axes == "given":
        np.testing.assert_array_equal(rows, np.concatenate(sides))


def test_memory_does_not_grow_with_the_vectors(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "TRIED_USERS", 20)
    monkeypatch.setattr(build, "TRIED_ITEMS", 500)
    monkeypatch.setattr(build, "MEASURED_USERS", (1, 10))
    monkeypatch.setattr(sources, "BLOCK_BYTES", 2**18)
    n, d = 150_000, 64
    values = np.lib.format.open_memmap(tmp_path / "v.npy", "w+", np.dtype("f4"), (n, d))
    values[:] = np.random.default_rng(0).standard_normal(d, dtype=np.float32)
    values[:, 0] = np.arange(n) % 97
    values.flush()
    vectors = open_vectors(tmp_path / "v.npy")
    tracemalloc.start()
    try:
        packed = pack_vectors(vectors, vectors, "20 B/entity", tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert packed.report.total <= 2 * n * 20 < 4 * n * d
    assert peak < 4 * n * d / 2, "half of one side"


def test_the_command_packs_and_its_three_lines_recommend(tmp_path, both, capsys):
    saved(tmp_path, both)
    data = planted()
    pairs = data.matrix.tocoo().coords
    users, items = (np.asarray(index) % n for index, n in zip(pairs, (70, 110), strict=True))
    frame = pd.DataFrame({"user": [f"ü{u}" for u in users], "item": items * 7 + 3})
    frame.to_csv(tmp_path / "data.csv", index=False)
    arguments = f"pack --users {tmp_path}/users.parquet --items {tmp_path}/items.parquet"
    for further in ("", " --with-seen", " --with-seen --with-ids"):
        out = tmp_path / f"it's {len(further)}.bet"
        words = [*(arguments + f" --data {tmp_path}/data.csv" + further).split()]
        assert main([*words, "--budget", "40 B/entity", "--out", str(out)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith(f"{out}: {out.stat().st_size:,} bytes of at most 7,200")
        assert any("histories" in line for line in lines) == bool(further)
        assert any(line.startswith("  Recall@20 0.") for line in lines)
        run = subprocess.run(
            [sys.executable, "-c", "\n".join(lines[-3:])],
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        (items_of,) = eval(run.stdout)
        assert len(items_of) == 10
