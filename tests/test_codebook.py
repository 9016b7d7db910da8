"""Tables of codes: filled to the byte, read back as trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.actions import Allocation, Budget
from bet.data import FrequencyOrder
from bet.errors import BetError
from bet.methods._shared.codebooks import fill_budget
from bet.packed import CodebookLayout, load, metadata_for, write_safetensors
from bet.seeds import torch_generator
from bet.tables import CodebookSpec, CodebookTable


def random_context(make, users, items, *, d_max, copies, seed=0):
    rng = np.random.default_rng(seed)
    order = FrequencyOrder(rng.integers(0, 30, users), rng.integers(0, 30, items))
    n = users + items
    return make(order, Budget(n * d_max, n, d_max, copies=copies))


def random_table(layout, seed=0):
    rng = np.random.default_rng(seed)
    limits = np.repeat(layout.centroids, layout.coded)[:, None]
    codes = rng.integers(0, limits, (sum(layout.coded), layout.subspaces))
    order = np.concatenate(
        [rng.permutation(layout.users), layout.users + rng.permutation(layout.items)]
    )
    start = rng.normal(size=(layout.stored_rows, layout.columns)).astype(np.float32)
    d_max = layout.columns // layout.copies
    spec = CodebookSpec(layout, codes, order, start)
    return spec.table(Allocation.uniform(len(order), d_max), d_max=d_max, copies=layout.copies)


@settings(max_examples=150, deadline=None)
@given(
    users=st.integers(1, 300),
    items=st.integers(1, 300),
    d_max=st.sampled_from([2, 8, 16, 64]),
    copies=st.integers(1, 2),
    width=st.sampled_from([1, 2, 4, 8, 32]),
    share=st.floats(0, 1.2),
    seed=st.integers(0, 2**32),
)
def test_files_fill_every_limit_and_give_the_same_rows_again(
    tmp_path_factory, bare_context, users, items, d_max, copies, width, share, seed
):
    columns = d_max * copies
    context = random_context(bare_context, users, items, d_max=d_max, copies=copies, seed=seed)
    limit = round(400 + share * (2 * columns * (users + items) + 400))
    parts = max(1, columns // width)
    layout = fill_budget(context, limit, parts)
    if layout is None:
        assert (
            CodebookLayout(
                columns=columns,
                copies=copies,
                subspaces=parts,
                code_bits=1,
                users=users,
                items=items,
                user_uncompressed=0,
                item_uncompressed=0,
            ).file_bytes
            > limit
        )
        return
    path = tmp_path_factory.mktemp("coded") / "t"
    written = random_table(layout, seed)
    written.save(path)
    length = path.stat().st_size
    assert length == written.n_bytes() == layout.file_bytes <= limit
    if layout.uncompressed != (users, items):
        assert limit - length < 2 * columns + 8, (
            "less than a row, and the header is padded to whole words"
        )
    read = load(path)
    assert read.layout == layout and (read.n_users, read.n_items) == (users, items)
    ego = written().detach().reshape(-1, copies, d_max).numpy()[written.file_order]
    np.testing.assert_array_equal(read.rows(range(users + items)), ego)
    wanted = np.random.default_rng(seed).integers(0, users + items, 20)
    np.testing.assert_array_equal(read.rows(wanted), ego[wanted])
    assert read.byte_report().total == length


def test_more_bits_do_not_fit(bare_context):
    context = random_context(bare_context, 200, 300, d_max=16, copies=1)
    for limit in range(1_500, 12_000, 100):
        layout = fill_budget(context, limit, 4)
        if layout is not None and layout.uncompressed != (200, 300) and layout.code_bits < 9:
            assert (
                replace(
                    layout, code_bits=layout.code_bits + 1, user_uncompressed=0, item_uncompressed=0
                ).file_bytes
                > limit
            )
            whole = np.concatenate(
                [
                    np.sort(side)[::-1]
                    for side in (
                        context.data.order.user_frequency,
                        context.data.order.item_frequency,
                    )
                ]
            )
            uncompressed = [
                *whole[: layout.user_uncompressed],
                *whole[200 : 200 + layout.item_uncompressed],
            ]
            assert sorted(uncompressed) == sorted(whole)[500 - len(uncompressed) :], (
                "the most frequent of both sides have rows of their own"
            )


def test_rows_are_the_named_centroids_or_their_own():
    layout = CodebookLayout(
        columns=6,
        copies=2,
        subspaces=3,
        code_bits=2,
        users=5,
        items=6,
        user_uncompressed=2,
        item_uncompressed=1,
    )
    made = random_table(layout)
    ego, rows, spec = made().detach(), made.weight.detach().half().float(), made.spec
    assert layout.centroids == (3, 4) and layout.stored_rows == 3 + 4 + 2 + 1
    for place, entity in enumerate(spec.order):
        item = place >= 5
        rank = place - 5 * item
        uncompressed = layout.uncompressed[item]
        if rank < uncompressed:
            expected = rows[7 + 2 * item + rank]
        else:
            codes = spec.codes[rank - uncompressed + 3 * item]
            expected = torch.cat(
                [rows[3 * item + code, 2 * m : 2 * m + 2] for m, code in enumerate(codes)]
            )
        assert torch.equal(ego[entity], expected)


def test_codings_of_other_codes_have_other_names():
    layout = CodebookLayout(
        columns=4,
        copies=1,
        subspaces=2,
        code_bits=1,
        users=3,
        items=3,
        user_uncompressed=0,
        item_uncompressed=0,
    )
    order, codes = np.arange(6), np.zeros((6, 2), dtype=np.int16)
    original = CodebookSpec(layout, codes, order)
    again = CodebookSpec(layout, codes.astype(np.int64), order)
    other = CodebookSpec(layout, 1 - codes, order)
    started = CodebookSpec(layout, codes, order, np.zeros((4, 4), np.float32))
    assert repr(original) == repr(again) and original == again
    assert len({repr(original), repr(other), repr(started)}) == 3
    for wrong in (codes + 2, codes - 1, codes[:5]):
        with pytest.raises(BetError, match="learn them again"):
            CodebookSpec(layout, wrong, order)
    with pytest.raises(BetError, match="learn the codes again"):
        CodebookSpec(layout, codes, order[:5])
    with pytest.raises(BetError, match="learn codes for them"):
        original.table(Allocation.uniform(6, 3), d_max=3, copies=1)
    for wrong in ({"subspaces": 3}, {"code_bits": 13}, {"code_bits": 0}, {"user_uncompressed": 4}):
        with pytest.raises(BetError, match="give"):
            replace(layout, **wrong)


def test_numbers_too_large_for_the_file_are_refused(tmp_path):
    made = random_table(
        CodebookLayout(
            columns=4,
            copies=1,
            subspaces=2,
            code_bits=3,
            users=6,
            items=5,
            user_uncompressed=1,
            item_uncompressed=1,
        )
    )
    with torch.no_grad():
        made.weight[0, 0] = 1e6
    with pytest.raises(BetError, match="too large for 16 bits"):
        made.save(tmp_path / "t")
    assert not list(tmp_path.iterdir())


def test_sealed_files_with_wrong_contents_are_refused(tmp_path):
    layout = CodebookLayout(
        columns=4,
        copies=1,
        subspaces=2,
        code_bits=2,
        users=3,
        items=3,
        user_uncompressed=0,
        item_uncompressed=0,
    )
    path = tmp_path / "t"
    rows, codes = np.zeros((6, 4), np.float16), np.zeros(2, np.uint8)
    good = {"rows": rows, "user_codes": codes, "item_codes": codes}
    write_safetensors(path, good, layout.metadata)
    assert len(load(path)) == 6
    fields = layout.metadata["bet"].split(";")[2:-1]
    stated = dict(field.split("=") for field in fields)
    wrong = [
        (good | {"rows": rows[:5]}, layout.metadata),
        (
            good | {"user_codes": codes + np.uint8(255)},
            layout.metadata,
        ),  # codes 3 of three centroids, and bits behind them
        (good | {"user_codes": np.array([192, 0], np.uint8)}, layout.metadata),
        ({"rows": rows}, layout.metadata),
        (good, metadata_for("coded", {**stated, "parts": 3})),
        (good, metadata_for("coded", {"parts": 3})),
        (good, metadata_for("hashed", stated)),
        (good, {"bet": layout.metadata["bet"].replace("version=2", "version=3")}),
    ]
    for tensors, metadata in wrong:
        write_safetensors(path, tensors, metadata)
        with pytest.raises(BetError, match=str(path)):
            load(path)


def test_a_training_goes_on_only_through_the_same_codes():
    order = np.arange(6)
    layout = CodebookLayout(
        columns=8,
        copies=1,
        subspaces=2,
        code_bits=1,
        users=3,
        items=3,
        user_uncompressed=0,
        item_uncompressed=0,
    )
    zeros, other = (np.full((6, 2), 0), np.eye(2, dtype=int)[[0, 1, 0, 1, 0, 1]])
    tables = [
        CodebookTable(
            Allocation.uniform(6, 8),
            d_max=8,
            copies=1,
            spec=CodebookSpec(layout, codes, order),
            std=1.0,
            generator=torch_generator(0),
        )
        for codes in (zeros, zeros, other)
    ]
    described = [table.description for table in tables]
    assert described[0] == described[1] != described[2]
    assert tables[0].allocation.digest == tables[2].allocation.digest
