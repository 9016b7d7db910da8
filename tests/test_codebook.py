"""Tables of codes: filled to the byte, read back as trained, codes that do what MEC's terms say."""

from dataclasses import replace
from functools import partial
from importlib import import_module

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.actions import Budget
from bet.backbones import BACKBONES
from bet.data import FrequencyOrder
from bet.errors import BetError
from bet.methods import METHODS
from bet.methods._shared.codebooks import cluster_subspaces, decoded, filled
from bet.methods._shared.kmeans import kmeans, nearest
from bet.methods.mec import (
    Coder,
    Weights,
    contrast,
    entropy_gap,
    learn_codes,
    negatives,
    repetitions,
    usage_entropy,
)
from bet.packed import (
    PackedTable,
    layout_of,
    metadata_for,
    pack_stream,
    stream_bytes,
    unpack_stream,
    write_packed,
    write_safetensors,
)
from bet.search import SearchSettings, load_or_pretrain
from bet.seeds import torch_generator
from bet.study.cell import Cell
from bet.study.run import check_table, run_cell
from bet.tables import CodebookLayout, CodebookSpec, CodebookTable, HashedTable
from bet.training import BprSampler, bpr_loss


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """Few steps for MEC; one thread, because threads get into each other's way where tests run side
    by side.
    """
    monkeypatch.setattr(import_module("bet.methods.mec"), "STEPS", 30)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Stated:
    """What ``filled`` reads of a context."""

    def __init__(self, users, items, d_max, copies, seed=0):
        rng = np.random.default_rng(seed)
        self.order = FrequencyOrder(rng.integers(0, 30, users), rng.integers(0, 30, items))
        self.budget, self.n_users = (
            Budget((users + items) * d_max, users + items, d_max, copies=copies),
            users,
        )


def random_table(form, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(
        0, np.repeat(form.centroids, form.coded)[:, None], (sum(form.coded), form.parts)
    )
    order = np.concatenate([rng.permutation(form.users), form.users + rng.permutation(form.items)])
    start = rng.normal(size=(form.rows, form.columns)).astype(np.float32)
    d_max = form.columns // form.copies
    coding = CodebookSpec(form, codes, order, start)
    return CodebookTable(
        np.full(len(order), d_max, dtype=np.int16), d_max, copies=form.copies, coding=coding
    )


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from([2, 8, 16, 64]),
    st.integers(1, 2),
    st.sampled_from([1, 2, 4, 8, 32]),
    st.floats(0, 1.2),
    st.integers(0, 2**32),
)
def test_files_fill_every_limit_and_give_the_same_rows_again(
    tmp_path_factory, users, items, d_max, copies, width, share, seed
):
    columns = d_max * copies
    metadata_for = Stated(users, items, d_max, copies, seed)
    limit = round(400 + share * (2 * columns * (users + items) + 400))
    parts = max(1, columns // width)
    form = filled(metadata_for, limit, parts)
    if form is None:
        assert CodebookLayout(columns, copies, parts, 1, users, items, 0, 0).file_bytes > limit
        return
    path = tmp_path_factory.mktemp("coded") / "t"
    written = random_table(form, seed)
    written.save(path)
    length = path.stat().st_size
    assert length == written.n_bytes() == form.file_bytes <= limit
    if form.own != (users, items):
        assert limit - length < 2 * columns + 8, (
            "less than a row, and the header is padded to whole words"
        )
    read = CodebookTable.load(path, written.rows)
    assert torch.equal(read(), written()) and read.coding.form == form
    in_order = CodebookTable.load(path)
    assert (
        torch.equal(in_order(), written()[torch.from_numpy(written.rows)])
        and (in_order.rows == np.arange(users + items)).all()
    )


def test_more_bits_do_not_fit():
    metadata_for = Stated(200, 300, 16, 1)
    for limit in range(1_500, 12_000, 100):
        form = filled(metadata_for, limit, 4)
        if form is not None and form.own != (200, 300) and form.code_bits < 9:
            assert (
                replace(form, code_bits=form.code_bits + 1, user_own=0, item_own=0).file_bytes
                > limit
            )
            whole = np.concatenate(
                [
                    np.sort(side)[::-1]
                    for side in (
                        metadata_for.order.user_frequency,
                        metadata_for.order.item_frequency,
                    )
                ]
            )
            own = [*whole[: form.user_own], *whole[200 : 200 + form.item_own]]
            assert sorted(own) == sorted(whole)[500 - len(own) :], (
                "the most frequent of both sides have rows of their own"
            )


def test_rows_are_the_named_centroids_or_their_own():
    form = CodebookLayout(
        columns=6, copies=2, parts=3, code_bits=2, users=5, items=6, user_own=2, item_own=1
    )
    made = random_table(form)
    ego, rows, coding = made().detach(), made.weight.detach().half().float(), made.coding
    assert form.centroids == (3, 4) and form.rows == 3 + 4 + 2 + 1
    for place, entity in enumerate(coding.order):
        item = place >= 5
        rank = place - 5 * item
        own = form.own[item]
        if rank < own:
            expected = rows[7 + 2 * item + rank]
        else:
            codes = coding.codes[rank - own + 3 * item]
            expected = torch.cat(
                [rows[3 * item + code, 2 * m : 2 * m + 2] for m, code in enumerate(codes)]
            )
        assert torch.equal(ego[entity], expected)


def test_codings_of_other_codes_have_other_names():
    form = CodebookLayout(4, 1, 2, 1, 3, 3, 0, 0)
    order, codes = np.arange(6), np.zeros((6, 2), dtype=np.int16)
    plain, again, other = (
        CodebookSpec(form, codes, order),
        CodebookSpec(form, codes.astype(np.int64), order),
        CodebookSpec(form, 1 - codes, order),
    )
    started = CodebookSpec(form, codes, order, np.zeros((4, 4), np.float32))
    assert (
        repr(plain) == repr(again)
        and plain == again
        and len({repr(plain), repr(other), repr(started)}) == 3
    )
    for wrong in (codes + 2, codes - 1, codes[:5]):
        with pytest.raises(BetError, match="learn them again"):
            CodebookSpec(form, wrong, order)
    with pytest.raises(BetError, match="learn the codes again"):
        CodebookSpec(form, codes, order[:5])
    with pytest.raises(BetError, match="learn codes for them"):
        plain.table(np.full(6, 3), 3, copies=1)
    for wrong in ({"parts": 3}, {"code_bits": 13}, {"code_bits": 0}, {"user_own": 4}):
        with pytest.raises(BetError, match="give"):
            replace(form, **wrong)


@given(st.integers(1, 12), st.integers(0, 50), st.integers(0, 2**32))
def test_streams_of_bits_have_no_gaps(bits, k, seed):
    numbers = np.random.default_rng(seed).integers(0, 2**bits, k)
    packed = pack_stream(numbers, bits)
    assert len(packed) == stream_bytes(k, bits) == -(-k * bits // 8)
    assert (unpack_stream(packed, bits, k) == numbers).all()
    with pytest.raises(ValueError, match="hold no"):
        unpack_stream(np.append(packed, np.uint8(0)), bits, k)
    if k * bits % 8:
        with pytest.raises(ValueError, match="not zero"):
            unpack_stream(
                packed | np.uint8(1) * (np.arange(len(packed)) == len(packed) - 1), bits, k
            )


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "t"
    made = random_table(CodebookLayout(4, 1, 2, 3, 6, 5, 1, 1))
    made.save(path)
    whole = path.read_bytes()
    broken = [whole[:length] for length in range(0, len(whole), 3)] + [whole + b"\0"]
    broken += [
        whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :] for i in range(len(whole))
    ]
    for content in broken:
        path.write_bytes(content)
        with pytest.raises(BetError, match="save the table again"):
            CodebookTable.load(path)
    with pytest.raises(BetError, match="cannot be read .*check the path"):
        CodebookTable.load(tmp_path / "nothing")
    with pytest.raises(BetError, match="cannot be read .*check the path"):
        PackedTable(tmp_path / "nothing")
    with torch.no_grad():
        made.weight[0, 0] = 1e6
    with pytest.raises(BetError, match="too large for 16 bits"):
        made.save(path)


def test_another_kind_of_table_names_what_reads_it(tmp_path):
    path = tmp_path / "t"
    random_table(CodebookLayout(4, 1, 2, 3, 6, 5, 1, 1)).save(path)
    for read in (PackedTable, partial(HashedTable.load, n=3, d_max=4)):
        with pytest.raises(BetError, match=r"read it with bet\.backbones\.CodebookTable\.load"):
            read(path)
    write_packed(path, layout_of(np.array([4, 2]), 4, 1), np.ones((2, 1, 4), np.float32))
    with pytest.raises(BetError, match=r"not a coded table; read it with bet\.packed\.PackedTable"):
        CodebookTable.load(path)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_other_byte_is_noticed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("coded") / "t"
    random_table(CodebookLayout(8, 2, 2, 2, 20, 30, 2, 3)).save(path)
    whole = bytearray(path.read_bytes())
    place, other = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(1, 255))
    whole[place] ^= other
    path.write_bytes(whole)
    with pytest.raises(BetError):
        CodebookTable.load(path)


def test_sealed_files_with_wrong_contents_are_refused(tmp_path):
    form, path = CodebookLayout(4, 1, 2, 2, 3, 3, 0, 0), tmp_path / "t"
    rows, codes = np.zeros((6, 4), np.float16), np.zeros(2, np.uint8)
    good = {"rows": rows, "user_codes": codes, "item_codes": codes}
    write_safetensors(path, good, form.metadata)
    assert CodebookTable.load(path).n == 6
    wrong = [
        (good | {"rows": rows[:5]}, form.metadata),
        (
            good | {"user_codes": codes + np.uint8(255)},
            form.metadata,
        ),  # codes 3 of three centroids, and bits behind them
        (good | {"user_codes": np.array([192, 0], np.uint8)}, form.metadata),
        ({"rows": rows}, form.metadata),
        (good, metadata_for("coded", {**vars(form), "parts": 3})),
        (good, metadata_for("coded", {"parts": 3})),
        (good, metadata_for("hashed", vars(form))),
        (good, {"bet": form.metadata["bet"].replace("version=1", "version=2")}),
    ]
    for tensors, metadata in wrong:
        write_safetensors(path, tensors, metadata)
        with pytest.raises(BetError, match=str(path)):
            CodebookTable.load(path)


def test_gradients_add_up_over_all_who_share_a_centroid(make, split):
    context = make(limit=4_000)
    outcome = METHODS["pq"](context)
    model = outcome.trained.model
    weight, generator = model.table.weight, torch_generator(0, "batch")
    weight.grad = None
    bpr_loss(model, *BprSampler(split.train).draw(512, generator), 1e-3, None).backward()
    assert (weight.grad != 0).float().mean() > 0.9
    weight.grad = None
    model.table().sum().backward()
    form = model.table.coding.form
    counts = np.bincount(model.table.places.numpy(), minlength=form.rows * form.parts).reshape(
        form.rows, form.parts
    )
    expected = np.repeat(counts, form.columns // form.parts, axis=1)
    np.testing.assert_array_equal(weight.grad.numpy(), expected)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", ["pq", "mec"])
def test_scores_of_the_file_are_those_of_the_trained_table(make, tmp_path, method, backbone):
    context = make(backbone, limit=4_000)
    outcome = METHODS[method](context)
    model = outcome.trained.model
    check_table(outcome.context, model.table)
    model.table.save(tmp_path / "t")
    assert (tmp_path / "t").stat().st_size == model.table.n_bytes() <= 4_000
    with torch.no_grad():
        assert torch.equal(CodebookTable.load(tmp_path / "t", model.table.rows)(), model.table())
    assert outcome.trainings == len(outcome.trials) == 2 and outcome.seconds["pretrain"] > 0
    assert outcome.trained.result.quality == max(trial["quality"] for trial in outcome.trials) > 0
    assert outcome.trained.result.quality == pytest.approx(context.quality(model))
    again = METHODS[method](context)  # from what the first run left
    assert (
        torch.equal(again.trained.model.table(), model.table()) and again.trials == outcome.trials
    )
    assert again.seconds == outcome.seconds


def test_a_sparsity_is_a_number_of_bytes_too(make):
    context = make(limit=4_000)
    sparse = replace(context, budget=replace(context.budget, total=context.budget.total // 5))
    outcome = METHODS["pq"](sparse)
    check_table(outcome.context, outcome.trained.model.table)


def test_with_enough_bytes_the_table_is_the_trained_one(make):
    context = make(limit=40_000)
    outcome = METHODS["pq"](context)
    start = outcome.context.packing.start
    full = load_or_pretrain(context).model.table().detach().numpy()
    np.testing.assert_array_equal(start, full[outcome.context.packing.order])
    assert (
        len(outcome.trials) == 1
        and outcome.trials[0]["own_rows"] == context.budget.n
        and outcome.trials[0]["error"] == 0
    )


def test_what_starts_is_the_quantized_table(make):
    context = make(limit=5_000, search=SearchSettings(top=1))
    outcome = METHODS["pq"](context)
    packing, full = outcome.context.packing, load_or_pretrain(context).model.table().detach()
    made = packing.table(np.full(context.budget.n, 16), 16, copies=1)().detach()
    missed = float((made - full).square().sum() / full.square().sum())
    own_rows = packing.order[: packing.form.user_own]
    assert len(own_rows) and (made[own_rows] - full[own_rows]).abs().max() < 1e-3
    assert missed < outcome.trials[0]["error"] + 0.01 < 0.5


def test_too_few_bytes_are_refused(make):
    for method in ("pq", "mec"):
        with pytest.raises(
            BetError, match="below the smallest file of a table of codes, ([0-9,]+) bytes"
        ) as error:
            METHODS[method](make(limit=300))
        smallest = int(str(error.value).split("codes, ")[1].split(" bytes")[0].replace(",", ""))
        assert len(METHODS[method](make(limit=smallest)).trials) == 1
        with pytest.raises(BetError, match="below"):
            METHODS[method](make(limit=smallest - 1))
        with pytest.raises(BetError, match="needs a budget"):
            METHODS[method](make())


@pytest.mark.parametrize(
    ("backbone", "method"), [("lightgcn", "pq"), ("ncf", "mec"), ("ngcf", "pq")]
)
def test_a_coded_cell_runs_under_both_protocols(tmp_path, monkeypatch, backbone, method):
    monkeypatch.setenv("BET_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    for protocol in ("clean", "merged"):
        file = tmp_path / f"{protocol}.safetensors"
        record = run_cell(
            Cell("tiny", backbone, "20 B/entity", method, protocol=protocol, profile="smoke"),
            table=file,
        )
        assert file.stat().st_size == record.size.bytes <= record.size.limit_bytes
        assert record.size.bits == 16 and len(record.trials) == 2
        assert CodebookTable.load(file).copies == BACKBONES[backbone].copies


# k-means


def blobs(n=400, w=4, k=8, seed=0):
    generator = torch_generator(seed, "blobs")
    middles = 5 * torch.randn(k, w, generator=generator)
    member = torch.arange(n) % k
    return middles[member] + 0.1 * torch.randn(n, w, generator=generator), member


def test_clusters_are_found_and_centroids_are_weighted_means():
    rows, member = blobs()
    weights = torch.rand(len(rows), generator=torch_generator(1)) + 0.5
    centroids, codes = kmeans(rows, weights, 8, torch_generator(0))
    for k in range(8):
        own = codes == codes[k]
        assert torch.equal(own, member == k)
        mean = (rows[own] * weights[own, None]).sum(0) / weights[own].sum()
        torch.testing.assert_close(centroids[codes[k]], mean)
    again = kmeans(rows, weights, 8, torch_generator(0))
    assert torch.equal(again[0], centroids) and torch.equal(again[1], codes)


def test_nearest_is_nearest():
    rows, _ = blobs(seed=3)
    centroids = torch.randn(30, 4, generator=torch_generator(4))
    codes, distances = nearest(rows, centroids)
    expected = torch.cdist(rows, centroids).square().min(1)
    assert torch.equal(codes, expected.indices)
    torch.testing.assert_close(distances, expected.values, rtol=1e-3, atol=1e-3)


def test_few_different_rows_are_no_trouble(monkeypatch):
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).repeat(6, 1)
    centroids, codes = kmeans(rows, torch.ones(12), 5, torch_generator(0))
    assert torch.equal(centroids[codes], rows)
    many, _ = blobs(n=2_000)
    monkeypatch.setattr("bet.methods._shared.kmeans.DISTANCES", 800)  # a sample of 100 rows
    centroids, codes = kmeans(many, torch.ones(2_000), 8, torch_generator(0))
    assert len(codes) == 2_000 and (centroids[codes] - many).square().sum(1).mean() < 1


def test_product_quantization_is_better_than_chance_and_than_fewer_bits():
    rows = torch.randn(600, 16, generator=torch_generator(0))
    errors = []
    for k in (2, 8, 32):
        centroids, codes = cluster_subspaces(rows, torch.ones(600), k, 4, torch_generator(1))
        chance = torch.randint(k, codes.shape, generator=torch_generator(2)).short()
        errors.append(float((decoded(centroids, codes) - rows).square().mean()))
        assert errors[-1] < float((decoded(centroids, chance) - rows).square().mean())
    assert errors == sorted(errors, reverse=True) and errors[0] < 1 and errors[-1] < 0.35
    centroids, codes = cluster_subspaces(rows[:64], torch.ones(64), 64, 4, torch_generator(1))
    torch.testing.assert_close(decoded(centroids, codes), rows[:64])


# MEC's terms


def skewed(n=600, columns=8, seed=0):
    """Two of three rows in one heap: codes that follow the rows are used unevenly."""
    generator = torch_generator(seed, "skewed")
    scale = torch.where(torch.arange(n) % 3 == 0, 3.0, 0.3)[:, None]
    return torch.randn(n, columns, generator=generator) * scale


def coder(rows, k=8, parts=2):
    centroids, codes = cluster_subspaces(rows, torch.ones(len(rows)), k, parts, torch_generator(0))
    return Coder(
        centroids, parts, float((decoded(centroids, codes) - rows).square().sum(1).mean()) / parts
    )


@pytest.mark.parametrize("name", ["entropy", "contrast", "commitment"])
def test_every_term_has_a_gradient(name):
    rows = skewed()
    none = Weights(0, 0, 0)

    def gradients(weights):
        own = coder(rows)
        own.loss(rows, torch_generator(1), weights).backward()
        return own.encoder.grad, own.centroids.grad, own.decoder.grad

    plain, with_term = gradients(none), gradients(replace(none, **{name: 1.0}))
    assert all((gradient != 0).any() for gradient in plain), (
        "reconstruction reaches the encoder through the assignment"
    )
    assert (plain[0] != with_term[0]).any()
    if name != "commitment":  # draws the encoder only
        assert (plain[1] != with_term[1]).any()


def test_the_entropy_term_is_zero_for_equal_use_and_evens_the_use_of_codes_out():
    equal = torch.zeros(2, 5, 4)
    assert float(entropy_gap(equal, 1.0)) == pytest.approx(0, abs=1e-6)
    one = torch.full((2, 5, 4), 1e3)
    one[:, :, 0] = 0
    assert float(entropy_gap(one, 1.0)) == pytest.approx(np.log(4))
    rows = skewed()
    used = [
        np.mean(
            [
                usage_entropy(part, 16)
                for part in learn_codes(
                    rows, torch.ones(600), 16, 2, 0, "x", Weights(entropy=own)
                ).T
            ]
        )
        for own in (0.0, 30.0)
    ]
    assert used[1] > used[0] + 0.03


def test_negatives_differ_in_one_position_and_from_row_to_row():
    codes = torch.randint(16, (8, 500), generator=torch_generator(0))
    false = negatives(codes, 16, torch_generator(1))
    assert ((false != codes).sum(0) == 1).all() and false.min() >= 0 and false.max() < 16
    assert len((false != codes).float().argmax(0).unique()) == 8, (
        "every position is replaced somewhere"
    )
    same = codes[:, :1].expand(8, 500)
    assert negatives(same, 16, torch_generator(1)).unique(dim=1).shape[1] > 80, (
        "of 120; the published code has one"
    )


def test_contrast_prefers_the_own_codes():
    rows = torch.randn(50, 8, generator=torch_generator(0))
    assert (
        float(contrast(rows, rows, -rows))
        < float(contrast(rows, rows, rows))
        == pytest.approx(np.log(2))
    )
    assert float(contrast(rows, -rows, rows)) > np.log(2)


def test_popularity_moves_codes_to_popular_rows():
    assert repetitions(np.array([0, 1, 2, 3, 4, 1023, 1024])).tolist() == [1, 1, 1, 1, 2, 9, 10]
    rows = torch.randn(400, 8, generator=torch_generator(5))
    popular = torch.arange(400) < 100
    errors = []
    for repeats in (torch.ones(400), torch.where(popular, 10.0, 1.0)):
        codes = learn_codes(rows, repeats, 16, 2, 0, "x", Weights(0, 0))
        # The best centroids for the codes: how far the rows are apart that share one.
        missed = torch.zeros(400)
        for part, own in zip(rows.chunk(2, dim=1), codes.T.long(), strict=True):
            sums = torch.zeros(16, 4).index_add_(0, own, part * repeats[:, None])
            mass = torch.zeros(16).index_add_(0, own, repeats).clamp(min=1)
            missed += (part - (sums / mass[:, None])[own]).square().sum(1)
        errors.append((float(missed[popular].mean()), float(missed[~popular].mean())))
    assert errors[1][0] < 0.8 * errors[0][0] and errors[1][1] > errors[0][1]


def test_one_centroid_needs_no_codes():
    assert (learn_codes(torch.randn(3, 4), torch.ones(3), 1, 2, 0, "x") == 0).all()
    assert learn_codes(torch.zeros(0, 4), torch.zeros(0), 0, 2, 0, "x").shape == (0, 2)


def test_a_centroid_that_no_row_is_near_leaves_the_entropy_term_finite():
    distances = torch.tensor([[[0.0, 1e9], [0.0, 1e9]]], requires_grad=True)
    gap = entropy_gap(distances, 1.0)
    gap.backward()
    assert float(gap.detach()) == pytest.approx(np.log(2)) and distances.grad.isfinite().all()
    # Nearly as many centroids as rows: the softness is close to zero.
    rows = torch.randn(300, 4, generator=torch_generator(0))
    codes = learn_codes(rows, torch.ones(300), 256, 1, 0, "test", steps=20)
    assert len(codes.unique()) > 200


def test_a_training_goes_on_only_through_the_same_codes():
    order = np.arange(6)
    form = CodebookLayout(8, 1, 2, 1, 3, 3, 0, 0)
    one, other = (np.full((6, 2), 0), np.eye(2, dtype=int)[[0, 1, 0, 1, 0, 1]])
    tables = [
        CodebookTable(
            np.full(6, 8),
            8,
            copies=1,
            coding=CodebookSpec(form, codes, order),
            std=1.0,
            generator=torch_generator(0),
        )
        for codes in (one, one, other)
    ]
    forms = [table.form for table in tables]
    assert forms[0] == forms[1] != forms[2] and (tables[0].kept == tables[2].kept).all()
