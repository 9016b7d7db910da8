"""``bet-plus``: exact budgets, the surrogate by an independent formula, never below uniform."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from bet.actions import Budget, quarters, sample_actions, size_features
from bet.data import FrequencyOrder
from bet.methods import METHODS
from bet.methods.bet_plus import SizeCandidates
from bet.methods.fixed import su, uniform_action
from bet.search import (
    Evaluated,
    SearchSettings,
    evaluate_finetuned,
    expected_improvement,
    fit_surrogate,
    load_or_pretrain,
    plus,
    train_from_scratch,
)
from bet.search.plus import NEAR, PlusSelector, apart
from bet.training import AlsSettings, TrainSettings

SEARCH = SearchSettings(iterations=3, actions=8, finetune_epochs=1, top=3)


@pytest.fixture
def context(make):
    return make(budget="80%", search=SEARCH)


@pytest.fixture
def orders():
    def order(n_users, n_items, seed):
        rng = np.random.default_rng(seed)
        return FrequencyOrder(rng.integers(1, 50, n_users), rng.integers(0, 90, n_items))

    return order


@settings(max_examples=60, deadline=None)
@given(
    n_users=st.integers(1, 30),
    n_items=st.integers(1, 30),
    d_max=st.integers(1, 40),
    share=st.floats(0, 1),
    empty=st.booleans(),
    step=st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
def test_anchors_draws_and_mutations_use_the_whole_budget(
    bare_context, n_users, n_items, d_max, share, empty, step, seed
):
    rng = np.random.default_rng(seed)
    order = FrequencyOrder(rng.integers(1, 50, n_users), rng.integers(0, 90, n_items))
    n = n_users + n_items
    low = 0 if empty else step
    total = n * low + round(share * n * (step * d_max - low))
    budget = Budget(total, n, step * d_max, d_min=low, step=step)
    space = SizeCandidates(bare_context(order, budget))
    anchors = space.anchors()
    assert anchors[0].finished and not any(anchor.finished for anchor in anchors[1:])
    actions = [anchor.action for anchor in anchors] + space.sample(2, rng)
    actions += [mutant for action in actions for mutant in space.mutate(action, 3, rng)]
    for action in actions:
        action.allocation.check(budget)
        assert action.allocation.total == budget.target
    for anchor in anchors:
        sides = {"users only": anchor.action.item_sizes, "items only": anchor.action.user_sizes}
        if anchor.rule in sides:
            assert empty and not sides[anchor.rule].any()
        if anchor.rule.endswith("first"):
            assert empty and anchor.action.sizes.min() >= step
    assert size_features(order, actions).shape == (len(actions), 13)


@settings(max_examples=30, deadline=None)
@given(d_max=st.integers(1, 40), share=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_with_ncf_the_last_table_may_have_the_whole_budget(bare_context, d_max, share, seed):
    rng = np.random.default_rng(seed)
    order = FrequencyOrder(rng.integers(1, 50, 9), rng.integers(0, 90, 11))
    budget = Budget(20 + round(share * 20 * (d_max - 1)), 20, d_max, copies=2)
    context = bare_context(order, budget)
    context = replace(context, settings=replace(context.settings, backbone="ncf"))
    space = SizeCandidates(context)
    anchors = space.anchors()
    assert [anchor.finished for anchor in anchors] == [True, True, False, False]
    actions = [anchor.action for anchor in anchors] + space.sample(5, rng)
    assert [action.allocation.last_copy for action in actions] == [
        *(False, True, False, False),
        *(False, False, False, True, True),
    ]
    for action in actions:
        mutants = space.mutate(action, 3, rng)
        for kept in (member.allocation for member in (action, *mutants)):
            kept.check(budget)
            assert kept.last_copy == action.allocation.last_copy
            tables = 1 if kept.last_copy else 2
            assert tables * kept.total == min(budget.parameters, tables * 20 * d_max)
    features = space.features(actions)
    assert features[:, -1].tolist() == [action.allocation.last_copy for action in actions]
    np.testing.assert_array_equal(features[:, :-1], size_features(order, actions))


def test_features_are_means_of_quarters(orders):
    order = orders(9, 11, 0)
    (action,) = sample_actions(order, Budget(90, 20, 16), 1, np.random.default_rng(0))
    features = size_features(order, [action])[0]
    ranked = action.sizes[order.entities]
    for start, by_rank in ((0, ranked[:9]), (6, ranked[9:])):
        edges = [len(by_rank) * i // 4 for i in range(5)]
        expected = [by_rank.mean()]
        expected += [by_rank[a:b].mean() for a, b in zip(edges, edges[1:], strict=False)]
        np.testing.assert_allclose(2 ** features[start : start + 5], expected)
        assert features[start + 5] == 0
    assert 2 ** features[12] == pytest.approx(ranked[:9].sum() / ranked[9:].sum())


@given(k=st.integers(1, 50))
def test_quarters_cover_everything(k):
    values = np.arange(k)
    pieces = quarters(values)
    assert len(pieces) == 4 and all(map(len, pieces))
    assert set(np.concatenate(pieces)) == set(values.tolist())


@settings(max_examples=30, deadline=None)
@given(mean=st.floats(-2, 2), deviation=st.floats(0.05, 2), best=st.floats(-2, 2))
def test_expected_improvement_is_the_integral(mean, deviation, best):
    law = stats.norm(mean, deviation)
    top = mean + 12 * deviation
    expected = 0.0
    if top > best:
        low = max(best, mean - 12 * deviation)
        expected, _ = integrate.quad(lambda x: (x - best) * law.pdf(x), low, top, points=[mean])
    given_ = expected_improvement(np.array([mean]), np.array([deviation]), best)
    assert given_[0] == pytest.approx(expected, abs=1e-6)


def test_the_surrogate_is_a_gaussian_process():
    """Mean and deviation by the normal equations, from the kernel that was fitted."""
    rng = np.random.default_rng(0)
    x, new = rng.normal(size=(12, 3)) * [1, 5, 0.2] + 3, rng.normal(size=(5, 3)) + 3
    y = np.sin(x[:, 0]) + 0.1 * rng.normal(size=12)
    surrogate = fit_surrogate(x, y, seed=0)
    fitted = surrogate.process.kernel_
    constant, length, noise = np.exp(fitted.theta)

    def kernel(a, b):
        a, b = ((z - x.mean(0)) / x.std(0) for z in (a, b))
        r = np.sqrt(5 * np.square(a[:, None] - b[None]).sum(2)) / length
        return constant * (1 + r + r**2 / 3) * np.exp(-r)

    seen = kernel(x, x) + noise * np.eye(12)
    weights = np.linalg.solve(seen, (y - y.mean()) / y.std())
    mean = kernel(new, x) @ weights * y.std() + y.mean()
    explained = np.einsum("ij,ji->i", kernel(new, x), np.linalg.solve(seen, kernel(x, new)))
    deviation = np.sqrt(constant + noise - explained) * y.std()
    given_mean, given_deviation = surrogate.predict(new)
    np.testing.assert_allclose(given_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(given_deviation, deviation, rtol=1e-4)


@pytest.mark.parametrize(
    ("features", "values"),
    [
        (np.zeros((0, 2)), np.zeros(0)),
        (np.ones((1, 2)), np.ones(1)),
        (np.ones((3, 2)), np.arange(3.0)),
        (np.arange(6.0).reshape(3, 2), np.ones(3)),
        (np.arange(6.0).reshape(3, 2), np.array([1.0, np.nan, 2.0])),
    ],
)
def test_nothing_to_learn_is_no_surrogate(features, values):
    assert fit_surrogate(features, values, seed=0) is None


def test_without_a_surrogate_it_falls_back_to_the_prior_and_says_so(context, monkeypatch, caplog):
    monkeypatch.setattr(plus, "fit_surrogate", lambda *arguments, **options: None)
    with caplog.at_level(logging.WARNING):
        result = METHODS["bet-plus"](context)
    names = [member.strategy for member in result.iterations]
    assert names[-2:] == ["prior: no surrogate"] * 2
    assert caplog.text.count("a draw from the prior") == 2
    assert all(member.predicted is None for member in result.iterations)


def test_apart_leaves_near_copies_out():
    features = np.random.default_rng(0).uniform(0, 1, (40, 2))
    chosen = apart(np.arange(40), features, known=features[:1], count=40)
    kept = features[[0, *chosen]]
    distance = np.abs(kept[:, None] - kept[None]).max(2) + np.eye(len(kept))
    assert distance.min() > NEAR and 1 < len(chosen) < 40


def test_the_search_is_what_the_record_says(context, in_rungs):
    result = METHODS["bet-plus"](context)
    rules = ["uniform", "power law 0.15", "power law 0.3"]
    rules += ["users only", "users first", "items only", "items first"]
    names = [member.strategy for member in result.iterations]
    assert names[:7] == [f"anchor: {rule}" for rule in rules]
    # Half of T besides the anchors.
    assert len(names) == 9
    assert set(names[7:]) <= {"expected improvement", "expected improvement, best cut"}
    assert all((member.predicted is None) == (member.t <= 7) for member in result.iterations)
    assert 1 in result.retrained and len(result.retrained) == 3
    fittest = max(result.iterations[1:], key=lambda member: (member.fitness, -member.t))
    assert fittest.t in result.retrained
    (winner,) = result.winners.values()
    assert result.trained is result.retrained[winner]
    assert result.trained.result.quality == max(
        trained.result.quality for trained in result.retrained.values()
    )
    effort = result.effort
    assert (effort.finetunings, effort.short_trainings, effort.trainings) == (9, 9, 3)
    screened = sum(name.endswith("best cut") for name in names)
    assert 9 <= effort.evaluations <= 9 + screened * plus.SCREENED


def test_where_training_is_cheap_every_action_is_trained(context):
    """At the same cost a training says more of an action than rungs do."""
    assert SEARCH.trains_all(context.settings.training)
    result = METHODS["bet-plus"](context)
    assert (result.effort.trainings, result.effort.short_trainings) == (9, 0)
    assert (result.effort.finetunings, result.effort.evaluations) == (0, 0)
    for member in result.iterations[:2]:  # trained as any table is
        alone = train_from_scratch(context, member.action.allocation, f"alone-{member.t}")
        assert member.quality == alone.result.quality
    best = max(result.iterations, key=lambda member: (member.quality, -member.t))
    assert set(result.retrained) == set(result.winners.values()) == {best.t}
    assert result.trained.result.quality == best.quality
    assert {member.strategy for member in result.iterations[7:]} == {"expected improvement"}


@given(
    iterations=st.integers(1, 30),
    finetune=st.integers(1, 20),
    top=st.integers(1, 20),
    epochs=st.integers(1, 300),
)
def test_every_action_is_trained_where_that_takes_no_more_epochs(iterations, finetune, top, epochs):
    search = SearchSettings(iterations=iterations, finetune_epochs=finetune, top=top)
    rungs = [finetune + -(-epochs // 4)] * iterations + [epochs] * top
    cheap = sum([epochs] * iterations) <= sum(rungs)
    assert search.trains_all(TrainSettings(max_epochs=epochs)) == cheap
    assert search.trains_all(AlsSettings())


@pytest.mark.parametrize(
    ("backbone", "rungs"),
    [("lightgcn", True), ("ncf", True), ("ngcf", True), ("ngcf", False), ("ials", False)],
)
@pytest.mark.parametrize("budget", ["80%", "92%"])
def test_never_below_su_and_resumed_to_the_same_result(
    make, backbone, rungs, budget, tmp_path, monkeypatch, request
):
    if rungs:
        request.getfixturevalue("in_rungs")
    context = make(backbone, budget, search=SEARCH)
    uniform = su(context.in_folder(tmp_path / "su")).trained.result.quality
    result = METHODS["bet-plus"](context)
    assert result.trained.result.quality >= uniform
    if rungs:
        assert result.retrained[1].result.quality == uniform
    if backbone == "ncf":
        last = result.iterations[1].action.allocation
        alone = train_from_scratch(context.in_folder(tmp_path / "last"), last, "last")
        assert last.last_copy and alone.model.backbone.name == "gmf"
        assert result.trained.result.quality >= alone.result.quality
    first = result.iterations[0].action.sizes
    assert (first == uniform_action(context).sizes).all()
    result.trained.model.table.allocation.check(result.context.budget)

    # Killed again and again, and started anew.
    rank, looks = type(context).rank, []

    def deadly(self, model):
        looks.append(1)
        if len(looks) % 11 == 0:  # an action takes fewer
            raise KeyboardInterrupt
        return rank(self, model)

    monkeypatch.setattr(type(context), "rank", deadly)
    again, kills = None, 0
    while again is None:
        try:
            again = METHODS["bet-plus"](context.in_folder(tmp_path / "killed"))
        except KeyboardInterrupt:
            kills += 1
    assert kills > 0
    assert [m.quality for m in again.iterations] == [m.quality for m in result.iterations]
    assert again.trained.result.quality == result.trained.result.quality
    assert again.winners == result.winners and again.effort.trainings == result.effort.trainings


def test_an_action_is_worth_the_mean_of_both_measurements(context, monkeypatch):
    full, allocation = load_or_pretrain(context), uniform_action(context).allocation
    epochs = []
    train = plus.train_model

    def counted(*arguments, **options):
        epochs.append(options["epochs"])
        return train(*arguments, **options)

    monkeypatch.setattr(plus, "train_model", counted)
    parts = [
        score(context, full, allocation).means()
        for score in (evaluate_finetuned, plus.evaluate_shortly_trained)
    ]
    both = plus.evaluate_twice(context, full, allocation).means()
    for name, mean in both.items():
        assert mean == pytest.approx(np.mean([part[name] for part in parts]))
    assert epochs == [-(-full.result.epoch // 4)] * 2


def test_a_selector_with_equal_fitness_has_no_surrogate(context):
    space = SizeCandidates(context)
    selector = PlusSelector(context, space, None)
    result = METHODS["bet-plus"](context)
    equal = [replace(member, fitness=0.5) for member in result.iterations]
    assert selector.choose(len(equal) + 1, equal).strategy == "prior: no surrogate"


@pytest.mark.parametrize("sign", [1, -1])
def test_cuts_are_looked_at_only_while_they_rank_as_training_does(context, monkeypatch, sign):
    """Cuts that rank as the measured fitness does are followed; others are not."""
    space, full = SizeCandidates(context), load_or_pretrain(context)
    rng = np.random.default_rng(0)
    population = [
        Evaluated(t, action, "", None, value, value, None, 0.0)
        for t, (action, value) in enumerate(
            zip(space.sample(12, rng), np.linspace(0.2, 0.9, 12), strict=True), start=1
        )
    ]
    selector = PlusSelector(context, space, full)
    selector.cuts = [sign * member.fitness for member in population]
    asked = []
    monkeypatch.setattr(
        PlusSelector, "_cut_quality", lambda self, action: asked.append(action) or len(asked)
    )
    choice = selector.choose(13, population)
    assert choice.strategy == "expected improvement" + (", best cut" if sign > 0 else "")
    assert len(asked) == (plus.SCREENED if sign > 0 else 0)
    assert sign < 0 or choice.action is asked[-1]


def test_a_context_with_empty_rows_shares_the_pretrained_model(context):
    trained = load_or_pretrain(context)
    (path,) = (context.workspace.cache / "backbones").glob("*.pt")
    before = path.stat().st_mtime_ns
    again = load_or_pretrain(context.with_empty_rows())
    assert path.stat().st_mtime_ns == before
    assert again.result.quality == trained.result.quality
