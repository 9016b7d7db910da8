"""Hashed tables: any number of bytes, nothing per entity, the same rows from the file alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fitted import BY_GRADIENT
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.actions import Allocation, Budget
from bet.data import FrequencyOrder
from bet.errors import BetError
from bet.methods import METHODS
from bet.methods.hashing import MEMREC, TRICK, fill_budget
from bet.packed import load, write_ids, write_safetensors
from bet.search import SearchSettings
from bet.seeds import derive, torch_generator
from bet.study.cell import Cell
from bet.study.run import run_cell
from bet.tables import HashedSpec


def table(spec, n, copies=1, seed=0):
    generator = torch_generator(seed)
    made = spec.table(
        Allocation.uniform(n, spec.size), d_max=64, copies=copies, std=1.0, generator=generator
    )
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(generator=torch_generator(seed, "w"))
    return made


@settings(max_examples=60, deadline=None)
@given(
    st.integers(700, 20_000),
    st.sampled_from([1, 2, 7, 16]),
    st.sampled_from([TRICK, MEMREC]),
    st.integers(1, 2),
)
def test_files_fill_every_limit_and_give_the_same_rows_again(
    tmp_path_factory, bare_context, limit, size, hashes, copies
):
    order = FrequencyOrder(np.zeros(40), np.zeros(50))
    context = bare_context(order, Budget(90 * 16, 90, 16, copies=copies), seed=3)
    hashing = fill_budget(context, limit, size, hashes)
    if hashing is None:
        assert (
            HashedSpec(
                size=size,
                rows=2,
                user_rows=1,
                weights=hashes.summed_weights,
                k=hashes.summed_rows,
                k_weights=hashes.summed_weights,
                n_users=40,
                seed=derive(3, "hashing") & 0xFFFFFFFF,
            ).file_bytes(copies)
            > limit
        )
        return
    path = tmp_path_factory.mktemp("hashed") / "t"
    written = table(hashing, 90, copies)
    written.save(path)
    length = path.stat().st_size
    assert length == written.n_bytes() <= limit
    one_more = 4 if hashing.weights else 4 * copies * size
    assert min(limit, 4 * 90 * 16 * copies) - length < one_more + 8, (
        "the header is padded to whole words"
    )
    read = load(path, n_items=50)
    ego = written().detach().reshape(90, copies, size).numpy()
    np.testing.assert_array_equal(read.rows(range(90)), ego)
    assert vars(read.layout) == vars(hashing) and len(read) == 90
    assert read.byte_report().total == length
    with pytest.raises(BetError, match="rows 0 to 89"):
        read.rows([90])


def test_rows_are_the_documented_sums():
    hashing = HashedSpec(
        size=5, rows=30, user_rows=12, weights=8, k=3, k_weights=2, n_users=20, seed=7
    )
    made = table(hashing, 50)
    places, scales = hashing.places(np.arange(50))
    for x in range(50):
        row = sum(made.tokens[place] for place in places[x]) * sum(
            made.weights[scale] for scale in scales[x]
        )
        torch.testing.assert_close(made()[x], row)
    assert (places[:20] < 12).all() and (places[20:] >= 12).all() and scales.max() < 8
    again = hashing.places(np.arange(50))
    other = HashedSpec(**{**vars(hashing), "seed": 8}).places(np.arange(50))
    assert (again[0] == places).all() and (other[0] != places).any()


@pytest.mark.parametrize("rows", [50, 2_000])
def test_distinct_signatures_are_as_many_as_chance_gives(rows):
    """n ids into m rows by one hash: m (1 - (1 - 1 / m)^n) distinct rows are expected; four hashes
    tell nearly all apart.
    """
    n = 1_000
    single = HashedSpec(
        size=1, rows=rows + 1, user_rows=rows, weights=0, k=1, k_weights=0, n_users=n, seed=5
    ).places(np.arange(n))[0]
    expected = rows * (1 - (1 - 1 / rows) ** n)
    assert len(np.unique(single)) == pytest.approx(expected, abs=4 * expected**0.5)
    several = np.sort(
        HashedSpec(
            size=1, rows=rows + 1, user_rows=rows, weights=0, k=4, k_weights=0, n_users=n, seed=5
        ).places(np.arange(n))[0],
        axis=1,
    )
    assert len(np.unique(several, axis=0)) > 0.99 * n


def test_weights_tell_apart_what_shares_all_rows():
    hashing = HashedSpec(
        size=3, rows=2, user_rows=1, weights=64, k=1, k_weights=1, n_users=10, seed=0
    )
    assert (
        len(
            torch.unique(
                table(
                    HashedSpec(
                        size=3, rows=2, user_rows=1, weights=0, k=1, k_weights=0, n_users=10, seed=0
                    ),
                    10,
                )(),
                dim=0,
            )
        )
        == 1
    )
    assert len(torch.unique(table(hashing, 10)(), dim=0)) > 5


@pytest.mark.parametrize("backbone", BY_GRADIENT)
@pytest.mark.parametrize("method", ["hash", "memrec"])
def test_hashed_methods_learn_within_any_number_of_bytes(make, method, backbone):
    context = make(backbone, limit=900, search=SearchSettings(top=3))
    outcome = METHODS[method](context)
    model = outcome.trained.model
    assert model.table.n_bytes() <= 900 and outcome.effort.trainings == len(outcome.trials) == 3
    assert outcome.trained.result.quality == max(trial["quality"] for trial in outcome.trials) > 0
    assert outcome.trained.result.quality == pytest.approx(context.quality(model))
    assert all(
        weight.grad is not None and (weight.grad != 0).any() for weight in model.table.parameters()
    )


def test_too_few_bytes_are_refused(make, tmp_path):
    for method in ("hash", "memrec"):
        for context in (
            make(d_max=128, search=SearchSettings(top=1)),
            make("ncf", d_max=128, search=SearchSettings(top=2)),
            make(),
        ):
            with pytest.raises(
                BetError, match="smallest file of a hashed table, ([0-9,]+) bytes"
            ) as error:
                METHODS[method](replace(context, byte_limit=100))
            smallest = int(str(error.value).split("table, ")[1].split(" bytes")[0].replace(",", ""))
            limited = replace(context, byte_limit=smallest).in_folder(tmp_path / str(smallest))
            assert METHODS[method](limited).trained.model.table.n_bytes() <= smallest
            with pytest.raises(BetError, match="smallest file"):
                METHODS[method](replace(limited, byte_limit=smallest - 1))
            with pytest.raises(BetError, match="needs a budget"):
                METHODS[method](context)


def test_no_hashed_table_has_more_numbers_than_the_full_one(make):
    outcome = METHODS["memrec"](make(limit=10**12, search=SearchSettings(top=1)))
    table = outcome.trained.model.table
    assert (
        table.n_parameters() <= outcome.context.budget.parameters
        and table.n_bytes() > 3 * outcome.context.budget.parameters
    )


def test_the_number_of_items_comes_from_beside_or_from_the_caller(tmp_path):
    path = tmp_path / "t"
    written = table(
        HashedSpec(size=2, rows=4, user_rows=2, weights=3, k=2, k_weights=1, n_users=3, seed=0),
        8,
    )
    written.save(path)
    ego = written().detach().numpy()
    unknown = load(path)
    np.testing.assert_array_equal(unknown.rows([7, 0])[:, 0], ego[[7, 0]])
    assert np.isfinite(unknown.rows([2**62])).all(), "a row can be computed for any number"
    with pytest.raises(BetError, match=r"does not say how many items .*bet\.load\(path, n_items"):
        len(unknown)
    with pytest.raises(BetError, match="no ids"):
        unknown.users(["a"])
    with pytest.raises(BetError, match="row -1 does not exist: the table has rows 0"):
        unknown.rows([-1])
    with pytest.raises(BetError, match="n_items must be from 0 to"):
        load(path, n_items=-1)
    assert (load(path, n_items=2).n_items, len(load(path, n_items=2))) == (2, 5)
    write_ids(path, (["a", "b", "c"], ["v", "w", "x", "y", "z"]))
    known = load(path)
    assert (known.n_users, known.n_items, len(known)) == (3, 5, 8)
    np.testing.assert_array_equal(known.items(["z", "v"])[:, 0], ego[[7, 3]])
    with pytest.raises(BetError, match="rows 0 to 7"):
        known.rows([8])


def test_a_file_whose_hashes_find_no_row_or_are_too_many_is_refused(tmp_path):
    good = HashedSpec(size=2, rows=4, user_rows=2, weights=3, k=2, k_weights=1, n_users=3, seed=0)
    tensors = {"tokens": np.zeros((4, 2), np.float32), "weights": np.zeros(3, np.float32)}
    write_safetensors(tmp_path / "t", tensors, good.metadata)
    assert load(tmp_path / "t").width == 2
    for change in (
        {"k": 10**12},
        {"k": 0},
        {"k_weights": 10**9},
        {"k_weights": 0},
        {"rows": 5},
        {"rows": 10**40},
        {"user_rows": 4},
        {"user_rows": -1},
        {"size": 0},
        {"size": 3},
        {"weights": 2},
        {"n_users": -1},
        {"n_users": 2**63},
    ):
        write_safetensors(tmp_path / "t", tensors, replace(good, **change).metadata)
        with pytest.raises(BetError, match="save the table again"):
            load(tmp_path / "t")


def test_a_hashed_cell_runs_under_both_protocols(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    for protocol in ("clean", "merged"):
        file = tmp_path / f"{protocol}.safetensors"
        record = run_cell(
            Cell("tiny", "lightgcn", "5 B/entity", "memrec", protocol=protocol, profile="smoke"),
            file=file,
        )
        assert record.size.bytes <= record.size.limit_bytes
        assert file.stat().st_size == record.serving.bytes
        assert len(record.trials) == 2
