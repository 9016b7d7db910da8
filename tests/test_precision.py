"""Actions of sizes and precisions: exact in bytes, sets that follow frequency ranks, a predictor
that sees both.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.actions import Budget, PrecisionSpace, longest_row, row_lengths
from bet.actions.precision import LEVELS, PRECISIONS
from bet.data import FrequencyOrder
from bet.errors import BetError
from bet.methods.mixed_precision import N_LISTED, mixed_context
from bet.packed import load
from bet.packed.layout import row_bytes
from bet.packed.quantizer import fake_quantize
from bet.predictor import DeepSets
from bet.search import PredictorSelector, SearchSettings, search
from bet.seeds import torch_generator
from bet.tables import QuantizedTable


def ranked(rng, users, items):
    return FrequencyOrder(rng.integers(0, 20, users), rng.integers(0, 20, items))


def kinds_of(action, rows=slice(None)):
    """(size, bits) of ``rows``: (n, 2) int64."""
    allocation = action.allocation
    return np.stack([allocation.sizes[rows], allocation.bits[rows]], 1).astype(np.int64)


SIZES = (st.integers(1, 40), st.integers(1, 40), st.integers(1, 130), st.integers(1, 2))


@settings(max_examples=200, deadline=None)
@given(*SIZES, st.floats(0, 1.2), st.integers(0, 2**32))
def test_every_action_takes_the_same_bytes(users, items, d_max, copies, share, seed):
    rng = np.random.default_rng(seed)
    order, n = ranked(rng, users, items), users + items
    available = n * copies + int(share * n * d_max * copies)
    lengths = row_lengths(n, copies, longest_row(n, d_max, copies, available), available)
    assert lengths.d_max // lengths.step <= LEVELS and lengths.step % copies == 0
    space = PrecisionSpace(order, lengths, d_max, copies)
    for action in space.sample(3, rng):
        sizes, bits = kinds_of(action).T
        assert (sizes * bits * copies % 8 == 0).all()
        used = row_bytes(sizes, bits, copies)
        assert used.sum() == lengths.target
        assert 1 <= sizes.min() and sizes.max() <= d_max and set(bits) <= set(PRECISIONS)
        for side, ids in ((slice(None, users), order.users), (slice(users, None), order.items)):
            sizes_by_rank, precise = used[side][ids], bits[side][ids]
            assert (np.diff(sizes_by_rank) <= 0).all()
            assert (np.diff(precise) <= 0).all()  # longer rows are no less precise
        # Histograms hold the whole action: from the longest row to the shortest, side by side.
        counts = space.histograms(action)[:, 1:]
        for side, ids, row in (
            (slice(None, users), order.users, counts[0]),
            (slice(users, None), order.items, counts[1]),
        ):
            np.testing.assert_array_equal(
                np.repeat(space.kinds[::-1], row[::-1], axis=0), kinds_of(action, side)[ids]
            )


@settings(max_examples=100, deadline=None)
@given(*SIZES, st.floats(0, 1.1), st.integers(0, 2**32))
def test_files_fill_every_limit(
    tmp_path_factory, bare_context, users, items, d_max, copies, share, seed
):
    rng = np.random.default_rng(seed)
    order, n = ranked(rng, users, items), users + items
    limit = round(300 + share * n * (d_max * copies + 20))
    whole = Budget(n * d_max, n, d_max, copies=copies)
    try:
        context, space = mixed_context(bare_context(order, whole, limit))
    except BetError as error:
        assert f"{limit:,} bytes is below the smallest file" in str(error)
        smallest = int(str(error).split("precision, ")[1].split(" bytes")[0].replace(",", ""))
        assert smallest > limit
        return
    lengths = set()
    for action in space.sample(2, rng):
        action.allocation.check(whole)
        options = {"copies": copies, "std": 1.0, "generator": torch_generator(seed)}
        table = context.make_table(action.allocation, d_max=d_max, **options)
        assert isinstance(table, QuantizedTable)
        path = tmp_path_factory.mktemp("packed") / "t"
        table.save(path)
        assert path.stat().st_size == table.n_bytes() <= limit
        if space.lengths.total < n * space.lengths.d_max:
            assert limit - table.n_bytes() < space.lengths.step + 8
        packed = load(path)
        ego = table().detach().reshape(n, copies, -1).numpy()[table.file_order]
        np.testing.assert_allclose(
            packed.rows(range(n)), ego[:, :, : packed.layout.width], rtol=1e-6
        )
        np.testing.assert_array_equal(
            packed.layout.kinds[packed.layout.kind_of_rows()], kinds_of(action, table.file_order)
        )
        assert len(packed.layout.kinds) <= N_LISTED
        lengths.add(table.n_bytes())
    assert len(lengths) == 1


def test_a_precision_for_every_row_rounds_each_as_one_for_all_does():
    values = torch.randn(12, 6, generator=torch_generator(0))
    bits = torch.tensor([1, 2, 4, 8] * 3)[:, None]
    numbers = torch.full((12, 1), 6.0)
    mixed = fake_quantize(values, numbers, bits)
    for precision in PRECISIONS:
        of_precision = bits[:, 0] == precision
        torch.testing.assert_close(
            mixed[of_precision],
            fake_quantize(values, numbers, precision)[of_precision],
            rtol=0,
            atol=0,
        )


def test_the_predictor_sees_the_precision():
    order = ranked(np.random.default_rng(0), 30, 20)
    space = PrecisionSpace(order, row_lengths(50, 1, 16, 250), 16)
    actions = space.sample(20, np.random.default_rng(1))
    histograms = torch.from_numpy(np.stack([space.histograms(action) for action in actions]))
    predictor = DeepSets(order, space.sets, torch_generator(0))
    seen = predictor(histograms)
    blind = DeepSets(order, space.sets, torch_generator(0))
    blind.sets[:, 1] = 0.5
    assert (seen - blind(histograms)).abs().max() > 1e-3
    # Plain formula: means of encodings over every kind's entities, one after the other.
    action, sums = actions[0], []
    for size, bits in space.kinds:
        members = np.flatnonzero((action.sizes == size) & (action.allocation.bits == bits))
        rows = [
            encode(torch.tensor([[side[i] / side.max()]], dtype=torch.float32))
            for i, encode, side in (
                (m, predictor.encode_user, order.user_frequency)
                if m < 30
                else (m - 30, predictor.encode_item, order.item_frequency)
                for m in members
            )
        ]
        mean = torch.cat(rows).mean(0) if rows else torch.zeros(16)
        sums.append(
            predictor.encode_set(torch.cat([mean, torch.tensor([size / 16, bits / 8])]).float())
        )
    torch.testing.assert_close(
        predictor.embed(histograms[:1])[0], torch.stack(sums).mean(0), rtol=1e-4, atol=1e-5
    )


def test_searches_continue_with_the_precisions_they_had(make):
    original = make(limit=5_000, search=SearchSettings(iterations=2, actions=5, finetune_epochs=1))
    context, space = mixed_context(original)
    first = search(context, PredictorSelector(context, DeepSets, space))
    again = search(context, PredictorSelector(context, DeepSets, space))
    for before, after in zip(first, again, strict=True):
        np.testing.assert_array_equal(kinds_of(before.action), kinds_of(after.action))
    fewer, space = mixed_context(replace(original, byte_limit=4_990))
    for member in search(fewer, PredictorSelector(fewer, DeepSets, space)):
        assert row_bytes(*kinds_of(member.action).T).sum() == space.lengths.target


@pytest.mark.parametrize(
    ("users", "items", "d_max", "copies"), [(2000, 700, 128, 1), (300, 100, 128, 2), (30, 20, 8, 1)]
)
def test_the_smallest_file_that_the_error_names_is_possible(
    bare_context, users, items, d_max, copies
):
    order, n = ranked(np.random.default_rng(0), users, items), users + items
    whole = Budget(n * d_max, n, d_max, copies=copies)
    with pytest.raises(BetError, match="smallest file") as error:
        mixed_context(bare_context(order, whole, 1))
    smallest = int(str(error.value).split("precision, ")[1].split(" bytes")[0].replace(",", ""))
    mixed_context(bare_context(order, whole, smallest))
    with pytest.raises(BetError, match="smallest file"):
        mixed_context(bare_context(order, whole, smallest - 1))
