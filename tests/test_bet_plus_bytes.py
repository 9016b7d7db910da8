"""``bet-plus`` in bytes: exact files, uniform tables byte for byte, never below them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

import bet
from bet.actions import PRECISIONS, Budget, PrecisionRule, RankPrecision, precision_features
from bet.backbones import BACKBONES
from bet.data import FrequencyOrder
from bet.errors import BetError
from bet.methods import METHODS
from bet.methods.bet_plus_bytes import table_candidates, vector_candidates
from bet.methods.fixed import uniform_action
from bet.methods.quantized import quantized_context
from bet.methods.vectors import vector_context
from bet.packed import load
from bet.search import (
    SearchSettings,
    check_table,
    evaluate_shortly_trained,
    load_or_pretrain,
    refit,
    train_from_scratch,
)
from bet.search.plus import PlusSelector
from bet.serving import served_file, write_served

SEARCH = SearchSettings(iterations=2, actions=8, finetune_epochs=1, top=3)
entities = st.integers(1, 30)


def random_order(users, items, rng):
    return FrequencyOrder(rng.integers(1, 50, users), rng.integers(0, 90, items))


def by_hand(order, ranked, rule):
    """Bits by rank, one promotion after the other in the order of c."""
    places = []
    for k, spread, offset in (
        (order.n_users, rule.user_spread, rule.tilt),
        (order.n - order.n_users, rule.item_spread, 0.0),
    ):
        z = ndtri(1 - (np.arange(k) + 0.5) / k)
        places += (offset + max(spread, 1e-3) * z).tolist()
    lengths = [-(-rule.width * ranked.copies * bits // 8) for bits in PRECISIONS]
    level, left = [0] * order.n, ranked.room(rule.width) - order.n * lengths[0]
    while True:
        turns = [
            (level[row] + 0.5 - places[row], level[row], row)
            for row in range(order.n)
            if level[row] < 3
        ]
        if not turns:
            break
        _, at, row = min(turns)
        if lengths[at + 1] - lengths[at] > left:
            break
        left -= lengths[at + 1] - lengths[at]
        level[row] += 1
    return [PRECISIONS[i] for i in level]


@settings(max_examples=150, deadline=None)
@given(
    users=entities,
    items=entities,
    width=st.integers(1, 40),
    copies=st.integers(1, 4),
    # In thousandths: of two turns that a float64 hardly tells apart either may be the first.
    spreads=st.tuples(st.integers(0, 3000), st.integers(0, 3000)),
    tilt=st.integers(-3000, 3000),
    share=st.floats(0, 1.2),
    seed=st.integers(0, 2**32),
)
def test_bits_follow_the_rule_as_far_as_the_bytes_go(
    users, items, width, copies, spreads, tilt, share, seed
):
    order = random_order(users, items, np.random.default_rng(seed))
    least, most = (-(-width * copies * bits // 8) for bits in (1, 8))
    room = order.n * least + round(share * order.n * (most - least))
    ranked = RankPrecision(order, 40, lambda width: room, copies)
    rule = PrecisionRule(width, spreads[0] / 1000, spreads[1] / 1000, tilt / 1000)
    action = ranked.action(rule)
    bits = action.allocation.bits[order.entities]
    assert (action.sizes == width).all()
    assert (np.diff(bits[:users]) <= 0).all() and (np.diff(bits[users:]) <= 0).all()
    used = (-(-width * copies * bits.astype(int) // 8)).sum()
    step = (-(-width * copies * np.minimum(2 * bits.astype(int), 8) // 8)).max()
    assert used <= room and (room - used < step or (bits == 8).all())
    np.testing.assert_array_equal(bits, by_hand(order, ranked, rule))
    assert PrecisionRule.of(action) == rule


def with_room(candidates, bare):
    """``bare``, or where its limit is refused, with the smallest one that is named instead."""
    try:
        candidates(bare)
    except BetError as error:
        smallest = "the smallest file of mixed precision, "
        assert f"{bare.byte_limit:,} bytes is below {smallest}" in str(error)
        least = int(str(error).split(smallest)[1].split(" bytes")[0].replace(",", ""))
        assert least > bare.byte_limit
        return replace(bare, byte_limit=least)
    return bare


@settings(max_examples=25, deadline=None)
@given(
    users=entities,
    items=entities,
    d_max=st.one_of(st.integers(8, 70), st.integers(250, 270)),
    copies=st.integers(1, 2),
    share=st.floats(0, 1.1),
    seed=st.integers(0, 2**32),
)
def test_files_of_tables_meet_the_limit_to_the_step(
    tmp_path_factory, bare_context, users, items, d_max, copies, share, seed
):
    rng, n = np.random.default_rng(seed), users + items
    order = random_order(users, items, rng)
    limit = round(330 + share * n * (d_max * copies + 2))
    bare = bare_context(order, Budget(n * d_max, n, d_max, copies=copies), limit)
    bare = with_room(table_candidates, bare)
    limit, space = bare.byte_limit, table_candidates(bare)
    anchors = space.anchors()
    uniform = [anchor.action for anchor in anchors if anchor.finished]
    for action in uniform:
        bits = int(action.allocation.bits[0])
        fitting = quantized_context(bare, bits, uniform=True)
        one = fitting.make_table(uniform_action(fitting).allocation, d_max=d_max, copies=copies)
        weight = torch.from_numpy(rng.standard_normal(one.weight.shape).astype(np.float32))
        table = space.context.make_table(action.allocation, d_max=d_max, copies=copies)
        folder, files = tmp_path_factory.mktemp("tables"), []
        for name, written in (("one", one), ("ranked", table)):
            written.weight.data = weight * (1 if written.mask is None else written.mask)
            written.save(folder / name)
            files.append((folder / name).read_bytes())
        assert files[0] == files[1] and len(files[0]) == table.n_bytes() <= limit
        torch.testing.assert_close(one(), table(), rtol=0, atol=0)
    others = [anchor.action for anchor in anchors[len(uniform) :]] + space.sample(3, rng)
    for action in [*others, *space.mutate(uniform[0], 2, rng), *space.mutate(others[0], 2, rng)]:
        action.allocation.check(space.context.budget)
        table = space.context.make_table(action.allocation, d_max=d_max, copies=copies)
        (width,), bits = set(action.sizes.tolist()), action.allocation.bits
        step = width * copies * int(bits.max()) // 8 + 1
        left = limit - table.n_bytes()
        assert 0 <= left and (left < step + 8 + 24 or (bits == 8).all() or (bits == bits[0]).all())
    assert precision_features(order, others).shape == (len(others), 12)


@pytest.mark.parametrize("backbone", ["lightgcn", "ngcf"])
@settings(max_examples=25, deadline=None)
@given(users=entities, items=entities, share=st.floats(0.1, 1.1), seed=st.integers(0, 2**32))
@example(users=5, items=30, share=0.1015625, seed=0)  # a byte too few
def test_files_of_vectors_meet_the_limit_to_the_step(
    tmp_path_factory, bare_context, backbone, users, items, share, seed
):
    d_max, rng, n = 24, np.random.default_rng(seed), users + items
    order, layers = random_order(users, items, rng), BACKBONES[backbone].final_width(1, 1)
    limit = round(420 + share * n * (d_max * layers + 2))
    bare = bare_context(order, Budget(n * d_max, n, d_max), limit)
    bare = replace(bare, settings=SimpleNamespace(backbone=backbone, seed=0))
    bare = with_room(vector_candidates, bare)
    limit, space = bare.byte_limit, vector_candidates(bare)
    for action in [anchor.action for anchor in space.anchors()] + space.sample(3, rng):
        bits = action.allocation.bits
        (width,) = set(action.sizes.tolist())
        table = space.context.make_table(action.allocation, d_max=width, copies=1)
        vectors = torch.from_numpy(rng.standard_normal((n, width * layers)).astype(np.float32))
        folder = tmp_path_factory.mktemp("vectors")
        table.save_vectors(folder / "ranked", vectors)
        assert (folder / "ranked").stat().st_size == table.n_bytes() <= limit
        rows = load(folder / "ranked").rows(range(n))[:, 0]
        np.testing.assert_array_equal(rows, table.as_stored(vectors).numpy()[order.entities])
        if (bits == bits[0]).all():
            fitting = vector_context(bare, int(bits[0]))
            one = fitting.make_table(fitting.full_allocation, d_max=fitting.budget.d_max, copies=1)
            if one.columns == table.columns:
                one.save_vectors(folder / "one", vectors)
                assert (folder / "one").read_bytes() == (folder / "ranked").read_bytes()
    uniform = [anchor.action for anchor in space.anchors() if anchor.finished]
    assert all(len(set(action.allocation.bits.tolist())) == 1 for action in uniform)


def test_a_spread_gives_the_shares_that_were_measured():
    """10 % at 4 bits, 70 % at 2 and 20 % at 1 are a mean of 2 bits."""
    order = random_order(1000, 1000, np.random.default_rng(0))
    ranked = RankPrecision(order, 94, lambda width: 2000 * 2 * width // 8)
    bits = ranked.action(PrecisionRule(88, 0.47, 0.47)).allocation.bits
    assert bits.mean() == pytest.approx(2, abs=1e-2)
    shares = [(bits == number).mean() for number in (8, 4, 2, 1)]
    assert shares == pytest.approx([0, 0.1, 0.7, 0.2], abs=0.01)


@pytest.fixture
def context(make):
    return make("ials", limit=3_000, search=SEARCH)


def test_least_squares_never_end_below_a_uniform_table(context, tmp_path):
    result = METHODS["bet-plus-bytes"](context)
    names = [member.strategy for member in result.iterations]
    assert names[: 1 + names.count("anchor: uniform")].count("anchor: uniform") >= 3
    measured = {member.strategy: [] for member in result.iterations}
    for member in result.iterations:
        measured[member.strategy].append(member.quality)
    uniform = []
    for bits in PRECISIONS:
        one = METHODS[f"uniform-int{bits}"](context.in_folder(tmp_path / str(bits)))
        uniform.append(one.trained.result.quality)
    assert sorted(measured["anchor: uniform"]) == sorted(uniform)
    assert result.trained.result.quality >= max(uniform)
    check_table(result.context, result.trained.model.table)
    assert result.effort.trainings == len(names)


def test_what_it_returns_is_served_and_fitted_again(context, split, tmp_path):
    result = METHODS["bet-plus-bytes"](context)
    model = refit(result.context, result.trained, split.merged(), "train and validation")
    assert model.table.n_bytes() == result.trained.model.table.n_bytes() <= 3_000
    file = write_served(tmp_path / "f", model, split.merged())
    assert (tmp_path / "f").stat().st_size == file.n_bytes
    best = bet.load(tmp_path / "f").recommend_rows(np.arange(model.n_users), 5, exclude_seen=False)
    with torch.no_grad():
        scores = model.ranker()(torch.from_numpy(model.table.fixed_order[: model.n_users]))
    expected = scores.topk(5).values.numpy()
    np.testing.assert_allclose(best.scores, expected, rtol=1e-4, atol=1e-5)


def test_a_uniform_action_trains_to_the_numbers_of_the_uniform_table(make, tmp_path):
    """Also by gradients, on every backbone."""
    for backbone in ("lightgcn", "ncf"):
        context = make(backbone, limit=3_500, search=SEARCH)
        space = table_candidates(context)
        action = next(a.action for a in space.anchors() if a.action.allocation.bits[0] == 4)
        trained = train_from_scratch(space.context, action.allocation, f"{backbone}-ranked")
        one = METHODS["uniform-int4"](context.in_folder(tmp_path / backbone)).trained
        assert trained.result.quality == one.result.quality
        for name, model in (("one", one.model), ("ranked", trained.model)):
            model.save_table(tmp_path / name)
        assert (tmp_path / "one").read_bytes() == (tmp_path / "ranked").read_bytes()


@pytest.mark.parametrize("backbone", ["lightgcn", "ngcf"])
def test_vectors_are_what_the_file_alone_gives(make, split, tmp_path, backbone, in_rungs):
    limit = 5_000
    context = make(backbone, limit=limit, search=SEARCH)
    result = METHODS["bet-plus-vectors"](context)
    names = [member.strategy for member in result.iterations]
    assert result.effort.short_trainings == len(names)
    assert result.effort.finetunings == (len(names) if backbone == "lightgcn" else 0)
    assert [names[t - 1] for t in result.retrained].count("anchor: uniform") >= 2
    best = max(result.retrained.values(), key=lambda trained: trained.result.quality)
    model = result.trained.model
    assert result.trained.result.quality == best.result.quality
    check_table(result.context, model.table)
    file = write_served(tmp_path / "v", model, split.train)
    assert file.form == "vectors" == served_file(model, split.train).form
    assert (tmp_path / "v").stat().st_size == model.table.n_bytes() == file.n_bytes <= limit
    rows = load(tmp_path / "v").rows(range(model.table.n))[:, 0]
    with torch.no_grad():
        vectors = model.represent(model.table()).numpy()
    np.testing.assert_array_equal(rows, vectors[model.table.fixed_order])
    answer = bet.load(tmp_path / "v").recommend_rows(np.arange(3), 5, exclude_seen=False)
    n_users = model.n_users
    expected = np.sort(rows[:3] @ rows[n_users:].T, axis=1)[:, :-6:-1]
    np.testing.assert_allclose(answer.scores, expected, rtol=1e-4, atol=1e-5)
    again = refit(result.context, result.trained, split.merged(), "train and validation")
    assert again.table.n_bytes() == model.table.n_bytes()


@pytest.mark.parametrize("backbone", ["lightgcn", "ngcf"])
def test_uniform_vectors_train_to_the_numbers_of_the_method(make, tmp_path, backbone):
    context = make(backbone, limit=4_500, search=SEARCH)
    space = vector_candidates(context)
    action = next(a.action for a in space.anchors() if a.action.allocation.bits[0] == 2)
    trained = train_from_scratch(space.context, action.allocation, "ranked")
    one = METHODS["vectors-int2"](context.in_folder(tmp_path / "one")).trained
    assert trained.result.quality == one.result.quality
    for name, model in (("a", one.model), ("b", trained.model)):
        model.save_table(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_interrupted_search_goes_on_to_the_same_table(context, tmp_path, monkeypatch):
    whole = METHODS["bet-plus-bytes"](context)
    chosen, calls = PlusSelector.choose, []

    def dies(self, t, population):
        calls.append(t)
        if t == len(self.anchors) + 2:
            raise KeyboardInterrupt
        return chosen(self, t, population)

    again = context.in_folder(tmp_path / "killed")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PlusSelector, "choose", dies)
        METHODS["bet-plus-bytes"](again)
    resumed = METHODS["bet-plus-bytes"](again)
    digests = [
        [member.action.allocation.digest for member in result.iterations]
        for result in (whole, resumed)
    ]
    assert digests[0] == digests[1] and len(digests[0]) == calls[-1]
    assert resumed.trained.result.quality == whole.trained.result.quality


def test_short_trainings_are_short(make):
    context = make("lightgcn", limit=4_500, search=SEARCH)
    space = vector_candidates(context)
    full = load_or_pretrain(space.context)
    action = space.anchors()[0].action
    first, second = (
        evaluate_shortly_trained(space.context, full, action.allocation) for _ in range(2)
    )
    assert first.means() == second.means()


def test_what_it_cannot_do_is_said(make):
    with pytest.raises(BetError, match="needs a budget"):
        table_candidates(make("ials"))
    with pytest.raises(BetError, match="300 bytes is below the smallest file of mixed precision"):
        table_candidates(make("ials", limit=300))
    with pytest.raises(BetError, match="'ncf' are not compared .*: use bet-plus-bytes"):
        vector_candidates(make("ncf", limit=5_000))
