"""Hashed tables: any number of bytes, nothing per entity, the same rows again from the file alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.actions import Budget
from bet.backbones import BACKBONES
from bet.errors import BetError
from bet.methods import METHODS
from bet.methods.hashing import filled
from bet.search import SearchSettings
from bet.seeds import derive, torch_generator
from bet.study.cell import Cell
from bet.study.run import run_cell
from bet.tables import HashedSpec, HashedTable


def table(hashing, n, copies=1, seed=0):
    sizes = np.full(n, hashing.size, dtype=np.int16)
    made = HashedTable(
        sizes, 64, copies=copies, std=1.0, generator=torch_generator(seed), hashing=hashing
    )
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(generator=torch_generator(seed, "w"))
    return made


@settings(max_examples=60, deadline=None)
@given(
    st.integers(700, 20_000),
    st.sampled_from([1, 2, 7, 16]),
    st.sampled_from([(1, 0), (4, 2)]),
    st.integers(1, 2),
)
def test_files_fill_every_limit_and_give_the_same_rows_again(
    tmp_path_factory, limit, size, hashes, copies
):
    class Stated:
        budget, n_users, seed = Budget(90 * 16, 90, 16, copies=copies), 40, 3

    hashing = filled(Stated, limit, size, *hashes)
    if hashing is None:
        assert (
            HashedSpec(
                size, 2, 1, hashes[1], *hashes, 40, derive(3, "hashing") & 0xFFFFFFFF
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
    read = HashedTable.load(path, 90, 64)
    assert torch.equal(read(), written()) and read.hashing == hashing


def test_rows_are_the_documented_sums():
    hashing = HashedSpec(5, 30, 12, 8, 3, 2, 20, 7)
    made = table(hashing, 50)
    places, scales = hashing.places(50)
    for x in range(50):
        row = sum(made.tokens[place] for place in places[x]) * sum(
            made.weights[scale] for scale in scales[x]
        )
        torch.testing.assert_close(made()[x], row)
    assert (places[:20] < 12).all() and (places[20:] >= 12).all() and scales.max() < 8
    again, other = hashing.places(50), HashedSpec(**{**vars(hashing), "seed": 8}).places(50)
    assert (again[0] == places).all() and (other[0] != places).any()


@pytest.mark.parametrize("rows", [50, 2_000])
def test_distinct_signatures_are_as_many_as_chance_gives(rows):
    """n ids into m rows by one hash: m (1 - (1 - 1 / m)^n) distinct rows are expected; four hashes
    tell nearly all apart.
    """
    n = 1_000
    single = HashedSpec(1, rows + 1, rows, 0, 1, 0, n, 5).places(n)[0]
    expected = rows * (1 - (1 - 1 / rows) ** n)
    assert len(np.unique(single)) == pytest.approx(expected, abs=4 * expected**0.5)
    several = np.sort(HashedSpec(1, rows + 1, rows, 0, 4, 0, n, 5).places(n)[0], axis=1)
    assert len(np.unique(several, axis=0)) > 0.99 * n


def test_weights_tell_apart_what_shares_all_rows():
    hashing = HashedSpec(3, 2, 1, 64, 1, 1, 10, 0)
    assert len(torch.unique(table(HashedSpec(3, 2, 1, 0, 1, 0, 10, 0), 10)(), dim=0)) == 1
    assert len(torch.unique(table(hashing, 10)(), dim=0)) > 5


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", ["hash", "memrec"])
def test_hashed_methods_learn_within_any_number_of_bytes(make, method, backbone):
    context = make(backbone, limit=900, search=SearchSettings(top=3))
    outcome = METHODS[method](context)
    model = outcome.trained.model
    assert model.table.n_bytes() <= 900 and outcome.trainings == len(outcome.trials) == 3
    assert outcome.trained.result.quality == max(trial["quality"] for trial in outcome.trials) > 0
    assert outcome.trained.result.quality == pytest.approx(context.quality(model))
    assert all(
        weight.grad is not None and (weight.grad != 0).any() for weight in model.table.parameters()
    )


def test_too_few_bytes_are_refused(make):
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
            own = replace(context, byte_limit=smallest, work=context.work / str(smallest))
            assert METHODS[method](own).trained.model.table.n_bytes() <= smallest
            with pytest.raises(BetError, match="smallest file"):
                METHODS[method](replace(own, byte_limit=smallest - 1))
            with pytest.raises(BetError, match="needs a budget"):
                METHODS[method](context)


def test_no_hashed_table_has_more_numbers_than_the_full_one(make):
    outcome = METHODS["memrec"](make(limit=10**12, search=SearchSettings(top=1)))
    table = outcome.trained.model.table
    assert (
        table.n_parameters() <= outcome.context.budget.parameters
        and table.n_bytes() > 3 * outcome.context.budget.parameters
    )


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "t"
    table(HashedSpec(2, 4, 2, 3, 2, 1, 3, 0), 6).save(path)
    whole = path.read_bytes()
    broken = [whole[:length] for length in range(0, len(whole), 3)] + [whole + b"\0"]
    broken += [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(len(whole))]
    for content in broken:
        path.write_bytes(content)
        with pytest.raises(BetError, match="save the table again"):
            HashedTable.load(path, 6, 16)


def test_a_hashed_cell_runs_under_both_protocols(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    for protocol in ("clean", "merged"):
        file = tmp_path / f"{protocol}.safetensors"
        record = run_cell(
            Cell("tiny", "lightgcn", "5 B/entity", "memrec", protocol=protocol, profile="smoke"),
            table=file,
        )
        assert file.stat().st_size == record.size.bytes <= record.size.limit_bytes
        assert len(record.trials) == 2
