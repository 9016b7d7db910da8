"""Parts of streaming methods: bandits that forget, prices, the actor-critic, SCALL's numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array
from sklearn.linear_model import Ridge

from bet.actions import Allocation, Budget
from bet.data import FrequencyOrder
from bet.report.stream_figures import CHANGES
from bet.search import RunSettings, SearchContext, SearchSettings, TrainingData, Workspace
from bet.stream import measured as measured_module
from bet.stream.actor_critic import ActorCritic
from bet.stream.bandit import DiscountedLinUcb, regret
from bet.stream.carry import Inherited
from bet.stream.measured import REMEMBERED, Measurements
from bet.stream.methods import STREAM_METHODS
from bet.stream.methods.dess import deviation_of, fill, priced_arms, spread_of
from bet.stream.methods.scall import GROUPS, BayesianSearch, gini, observe, scall_action
from bet.stream.policy import SHARE, short_trainings_of
from bet.training import AlsSettings, TrainSettings, load_state, save_state


@pytest.fixture(scope="module", params=CHANGES)
def regrets(request):
    """The change, and regrets of who forgets and of who does not, over five seeds: (5, steps)."""
    forget, change = request.param, CHANGES[request.param]
    changes = [replace(change, seed=seed) for seed in range(5)]
    curves = (
        np.stack([regret(DiscountedLinUcb(5, 3, forget=each), change) for change in changes])
        for each in (forget, 1.0)
    )
    return change, *curves


def test_who_forgets_regrets_less_after_a_change(regrets):
    change, *curves = regrets
    forgets, remembers = (part[:, -1] - part[:, change.at] for part in curves)
    assert (forgets < remembers).all()


def test_regret_after_a_change_is_sub_linear(regrets):
    change, forgets, _ = regrets
    quarters = np.diff(forgets[:, change.at - 1 :: (change.steps - change.at) // 4], axis=1)
    assert (quarters[:, -1] < quarters[:, 0] / 2).all()
    # By its growth: a linear one would be twice as large after twice the time.
    since = forgets - forgets[:, [change.at - 1]]
    middle = change.at + (change.steps - change.at) // 2
    assert (since[:, -1] < 1.6 * since[:, middle]).all()


def test_without_forgetting_it_is_ridge_regression():
    rng = np.random.default_rng(0)
    x, rewards, arms = rng.random((60, 3)), rng.random(60), rng.integers(0, 2, 60)
    bandit = DiscountedLinUcb(2, 3, forget=1.0, explore=0.0, ridge=2.0)
    for part in np.array_split(np.arange(60), 7):
        bandit.update(x[part], arms[part], rewards[part])
    values = bandit.values(x)
    for arm in (0, 1):
        ridge = Ridge(alpha=2.0, fit_intercept=False).fit(x[arms == arm], rewards[arms == arm])
        assert np.allclose(values[:, arm], ridge.predict(x))


def test_what_is_forgotten_weighs_less():
    bandit = DiscountedLinUcb(1, 1, forget=0.5, explore=0.0, ridge=1e-9)
    for reward in (1.0, 0.0):
        bandit.update(np.ones((1, 1)), np.zeros(1, int), np.array([reward]))
    assert bandit.values(np.ones((1, 1)))[0, 0] == pytest.approx(0.5 / 1.5)  # weights 1/2 and 1


values = arrays(float, st.tuples(st.integers(1, 12), st.just(4)), elements=st.floats(-5, 5))
ARMS = np.array([1, 2, 4, 8])


@given(values, st.floats(1.0, 8.0))
def test_priced_sizes_fit_and_waste_less_than_a_step(values, mean):
    n = len(values)
    budget = Budget(int(mean * n), n, d_max=8)
    picked = priced_arms(values, ARMS, budget.total)
    assert ARMS[picked].sum() <= budget.total
    sizes = fill(ARMS[picked], values, ARMS, budget)
    assert sizes.sum() == budget.target
    Allocation.from_sizes(sizes).check(budget)


@given(values)
def test_without_a_cap_everybody_takes_the_best_arm(values):
    assert (priced_arms(values, ARMS, None) == values.argmax(1)).all()


def test_a_price_is_the_best_assignment_of_its_sum():
    """Against all assignments: none of at most as many columns has a larger value."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        table = rng.random((4, 3))
        arms = np.array([1, 2, 4])
        picked = priced_arms(table, arms, 9)
        total = arms[picked].sum()
        grid = np.stack(np.meshgrid(*[range(3)] * 4), -1).reshape(-1, 4)
        fits = arms[grid].sum(1) <= total
        worth = table[np.arange(4), grid].sum(1)
        assert table[np.arange(4), picked].sum() == pytest.approx(worth[fits].max())


def test_indicators_follow_their_definitions():
    rng = np.random.default_rng(0)
    neighbors = csr_array((rng.random((6, 9)) < 0.4).astype(np.uint8))
    rows, popularity = rng.normal(size=(9, 3)), rng.random(9)
    spread, unusual = spread_of(neighbors, rows), deviation_of(neighbors, popularity)
    for row in range(6):
        theirs = neighbors.indices[neighbors.indptr[row] : neighbors.indptr[row + 1]]
        unit = rows[theirs] / np.linalg.norm(rows[theirs], axis=1, keepdims=True)
        pairs = (unit @ unit.T)[~np.eye(len(theirs), dtype=bool)]
        assert spread[row] == pytest.approx((1 - pairs.mean()) / 2 if len(pairs) else 0.0)
        mean = popularity[theirs].mean() if len(theirs) else popularity.mean()
        z = abs(mean - popularity.mean()) / popularity.std()
        assert unusual[row] == pytest.approx(np.tanh(z))


def test_an_actor_resumes_the_same(tmp_path):
    state = torch.zeros(4)

    def play(agent, steps):
        for _ in range(steps):
            action = agent.act(state)
            agent.remember(state, action, float(action.mean()), state)
            agent.update()
        return agent

    halfway, resumed = play(ActorCritic(4, 3, seed=2), 20), ActorCritic(4, 3, seed=2)
    save_state(tmp_path / "agent.pt", "key", halfway.state_dict())
    resumed.load_state_dict(load_state(tmp_path / "agent.pt", "key"))
    assert torch.equal(play(resumed, 5).act(state), play(halfway, 5).act(state))


def test_densities_of_actions_integrate_to_one():
    """The density of a squashed normal, summed over a grid of the one action."""
    agent = ActorCritic(2, 1, seed=0)
    state = torch.zeros(1, 2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        actions, log_density = agent._sample(state.expand(40_000, 2), generator)
    # E[1 / density] over draws is the length of the interval that actions live in.
    assert float((-log_density.double()).exp().mean()) == pytest.approx(1.0, rel=0.05)
    assert ((actions > 0) & (actions < 1)).all()


@pytest.fixture
def context(tmp_path):
    rng = np.random.default_rng(0)
    train = csr_array((rng.random((30, 20)) < 0.3).astype(np.uint8))
    settings = RunSettings("lightgcn", TrainSettings(), SearchSettings())
    budget = Budget(200, 50, d_max=16)
    return SearchContext(
        TrainingData(train, csr_array((30, 20), dtype=np.uint8)),
        settings,
        Workspace(tmp_path, tmp_path),
        budget,
    )


@given(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)))
def test_three_numbers_give_exact_sizes_in_falling_order(numbers):
    rng = np.random.default_rng(0)
    train = csr_array((rng.random((30, 20)) < 0.3).astype(np.uint8))
    data = TrainingData(train, csr_array((30, 20), dtype=np.uint8))
    settings = RunSettings("lightgcn", TrainSettings(), SearchSettings())
    budget = Budget(200, 50, d_max=16)
    context = SearchContext(data, settings, Workspace(None, None), budget)
    action = scall_action(context, np.array(numbers))
    assert action.allocation.total == 200
    order: FrequencyOrder = data.order
    assert (np.diff(action.user_sizes[order.users]) <= 0).all()
    assert (np.diff(action.item_sizes[order.items]) <= 0).all()


def test_a_shape_of_one_is_nearly_uniform_and_of_zero_is_not(context):
    flat = scall_action(context, np.array([0.6, 1.0, 1.0])).user_sizes
    steep = scall_action(context, np.array([0.6, 0.0, 0.0])).user_sizes
    assert np.ptp(flat) <= 1 < np.ptp(steep)


def test_a_state_is_as_long_for_any_number_of_entities(context):
    for n_users, n_items in ((1, 1), (30, 20), (700, 400)):
        table = Inherited(
            Allocation.uniform(n_users + n_items, 3), torch.ones(n_users + n_items, 3), n_users
        )
        state = observe(context, table)
        assert state.shape == (2 * GROUPS + 2 * 16 + 3,) and torch.isfinite(state).all()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_gini_is_the_mean_difference(sizes):
    sizes = np.array(sizes)
    pairs = np.abs(sizes[:, None] - sizes).mean() / (2 * sizes.mean())
    assert gini(sizes) == pytest.approx(pairs, abs=1e-12)


@given(st.integers(1, 200), st.sampled_from(["lightgcn", "ials"]), st.integers(1, 30))
def test_short_trainings_take_their_share_of_the_epochs(epochs, backbone, iterations):
    training = TrainSettings(max_epochs=epochs)
    if backbone == "ials":
        training = AlsSettings(sweeps=epochs)
    settings = RunSettings(backbone, training, SearchSettings(iterations=iterations))
    first, second, third = (short_trainings_of(settings, number) for number in range(3))
    assert first == iterations and second == third >= 2
    # An epoch each, and as long to start and to rank.
    assert 2 * second <= max(4, SHARE * epochs) and 2 * (second + 1) > SHARE * epochs


def measured(count, seed=0):
    rng = np.random.default_rng(seed)
    kept = Measurements()
    for x in rng.random((count, 3)):
        kept.add(x, float(x @ [1.0, 0.5, 0.0]) + 0.01 * rng.normal())
    return kept


def test_a_kernel_is_fitted_anew_when_measurements_have_doubled(monkeypatch):
    fits = []
    original = measured_module.fit_surrogate

    def counting(features, values, seed, theta):
        fits.append(theta is None)
        return original(features, values, seed, theta)

    monkeypatch.setattr(measured_module, "fit_surrogate", counting)
    kept = measured(8)
    first = kept.surrogate(0)
    assert kept.surrogate(0) is first and fits == [True]  # nothing new: as it was
    for _ in range(8):
        kept.add(np.random.default_rng(kept.count).random(3), 1.0)
        kept.surrogate(0)
    assert fits == [True] + 7 * [False] + [True]  # at 8 and at 16


def test_measurements_go_on_where_they_were():
    kept = measured(REMEMBERED + 5)
    assert len(kept.values) == REMEMBERED
    kept.surrogate(0)
    again = Measurements()
    again.load_state_dict(kept.state_dict())
    x = np.random.default_rng(9).random((4, 3))
    for one, other in zip(kept.surrogate(0).predict(x), again.surrogate(0).predict(x), strict=True):
        assert np.array_equal(one, other)


def test_rewards_of_segments_are_brought_to_one_level():
    """A table that is worth twice another: rewards against it, too, count twice."""
    search = BayesianSearch(4, seed=0)
    search.begin(np.array([0.5, 1.0, 1.0]))
    assert search.level == search.measured.values[0] == 5.0
    state = torch.zeros(4)
    for x in np.random.default_rng(0).random((8, 3)):
        search.note(state, x, 5.0 + 5.0 * x[1], state)
    good = np.array([0.5, 0.9, 0.5])
    search.begin(good)
    assert search.level > 8.0
    search.note(state, good, 5.0, state)
    assert search.measured.values[-1] == pytest.approx(search.level)


def test_methods_say_where_they_are_from():
    assert all(method.summary and method.paper for method in STREAM_METHODS.values())
    assert {name for name, method in STREAM_METHODS.items() if not method.capped} == {
        "stream-full",
        "dess-like",
        "dess-like-equal",
    }
