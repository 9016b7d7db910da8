"""What methods of streams choose, with measurements that are planted."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from bet.actions import Budget
from bet.search import RunSettings, SearchContext, SearchSettings, TrainingData, Workspace
from bet.stream.carry import Inherited, carry_sizes
from bet.stream.methods import bet_plus, dess, powerlaw, scall
from bet.stream.methods.dess import Dess, entity_contexts, fill, pair_rewards, spread_of
from bet.stream.methods.powerlaw import ALPHAS, PowerLaw, powerlaw_action
from bet.stream.methods.scall import BayesianSearch, Scall, SoftActorCritic
from bet.stream.policy import Step
from bet.training import AlsSettings

GOAL = np.array([0.9, 0.9, 0.1])  # the best three numbers, where they are planted


@pytest.fixture
def context(tmp_path):
    rng = np.random.default_rng(0)
    shape = (60, 20)
    known = rng.random(shape) < 0.3
    validation = (rng.random(shape) < 0.2) & ~known
    validation[:, 0] |= ~validation.any(1)
    train = known & (rng.random(shape) < 0.7)
    matrices = (csr_array(part.astype(np.uint8)) for part in (train, validation, known))
    settings = RunSettings("ials", AlsSettings(sweeps=12), SearchSettings(iterations=8))
    workspace = Workspace(tmp_path, tmp_path)
    return SearchContext(TrainingData(*matrices), settings, workspace, Budget(320, 80, d_max=16))


@pytest.fixture
def table(context):
    allocation = scall.scall_action(context, np.array([0.3, 0.5, 0.9])).allocation
    rows = torch.randn(80, 16, generator=torch.Generator().manual_seed(0))
    return Inherited(allocation, rows, 60)


def ranked_as(quality):
    return SimpleNamespace(means=lambda: {"quality": quality})


@pytest.mark.parametrize("best", ALPHAS)
def test_the_power_law_takes_the_best_exponent_and_keeps_it(context, table, monkeypatch, best):
    planted = powerlaw_action(context, best, 0.75).allocation.digest

    def measure(context, allocation):
        return ranked_as(1.0 if allocation.digest == planted else 0.5)

    monkeypatch.setattr(powerlaw, "measure_shortly", measure)
    policy = PowerLaw()
    assert policy.propose(Step(0, context)).allocation.digest == planted
    monkeypatch.setattr(powerlaw, "measure_shortly", None)
    assert policy.propose(Step(1, context, table)).allocation.digest == planted


def explored(chooser, segments=5, trials=8):
    """Rewards fall with the distance from ``GOAL``: the numbers for the next segment after each."""
    rng, best = np.random.default_rng(0), []
    state = torch.from_numpy(rng.random(chooser.shape[0])).float()
    for segment in range(segments):
        chooser.begin(best[-1] if best else np.full(3, 0.5))
        for trial in range(trials):
            action = chooser.explore(state, 100 * segment + trial)
            reward = float(5.5 - 5 * np.square(action - GOAL).mean() + 0.1 * rng.normal())
            chooser.note(state, action, reward, state)
        best.append(chooser.best(state))
    return np.abs(np.array(best) - GOAL).mean(1)


@pytest.mark.parametrize("make", [SoftActorCritic, BayesianSearch])
def test_three_planted_numbers_are_found_with_the_settings_of_the_study(make):
    chooser = make(40, seed=3)
    distance = explored(chooser)
    untrained = np.abs(0.5 - GOAL).mean()  # 0.4, of a fresh actor's mean
    assert distance[-1] < untrained / 2 and distance[-1] <= distance[0] + 0.05


class Recorded:
    """A chooser that keeps what it was told."""

    def __init__(self, n_state, seed):
        self.shape, self.told, self.asked = (n_state, seed), [], 0

    def begin(self, action):
        self.told.append(action)

    def explore(self, state, seed):
        return np.random.default_rng(seed).random(3)

    def note(self, state, action, reward, after):
        self.told.append(reward)

    def best(self, state):
        self.asked += 1
        return GOAL


def test_scall_learns_after_a_segment_and_uses_what_it_learned_before(context, table, monkeypatch):
    measured = []

    def measure(context, allocation):
        measured.append(context)
        return ranked_as(0.3)

    monkeypatch.setattr(scall, "measure_shortly", measure)
    policy = Scall(Recorded)
    policy.propose(Step(0, context))
    trained = SimpleNamespace(
        model=SimpleNamespace(table=_Table(table), n_users=60), result=SimpleNamespace(quality=0.6)
    )
    policy.learn(Step(0, context), trained)
    assert len(measured) == 8 and policy.chooser.told[1:] == [2.5] * 8  # half of the reference
    assert all(each.data is context.data for each in measured)
    assert torch.equal(measured[0].start_rows * _columns(table), table.rows * _columns(table))
    proposal = policy.propose(Step(1, context, table))
    assert len(measured) == 8  # nothing of the new segment is measured
    assert proposal.allocation.digest == scall.scall_action(context, GOAL).allocation.digest


class _Table:
    def __init__(self, inherited):
        self.allocation, self.rows = inherited.allocation, inherited.rows

    def __call__(self):
        return self.rows * _columns(self)


def _columns(table):
    return torch.arange(16) < torch.from_numpy(table.allocation.columns.astype(int))[:, None]


def plant(monkeypatch, context, gain_of_search, gain_of_judges):
    """The first sizes measured give everybody .5, later ones differ by these."""
    judges = bet_plus._judges(context)
    users = np.flatnonzero(np.diff(context.data.validation.indptr))
    first = []

    def measure(context, allocation):
        first.append(allocation.digest)
        gains = np.where(np.isin(users, judges), gain_of_judges, gain_of_search)
        gains = gains if allocation.digest != first[0] else 0.0 * gains
        return SimpleNamespace(users=users, values={"ndcg@20": 0.5 + gains})

    monkeypatch.setattr(bet_plus, "measure_shortly", measure)


@pytest.mark.parametrize(
    ("search", "judges", "found", "accepted"),
    [
        (0.3, 0.1, True, True),
        (0.3, -0.1, True, False),  # who was searched on gains, all gain on average
        (-0.1, 0.4, False, False),  # judges are not searched on
    ],
)
def test_the_gate_keeps_the_sizes_unless_held_out_users_gain(
    context, table, monkeypatch, search, judges, found, accepted
):
    plant(monkeypatch, context, search, judges)
    proposal = bet_plus.BetPlus().propose(Step(1, context, table))
    before = carry_sizes(table, context.data.order, context.budget).allocation
    assert bool(proposal.facts["found"]) == found
    assert (proposal.allocation.digest != before.digest) == accepted


@pytest.mark.parametrize(
    ("first", "second", "remembered"),
    [(0.5, 0.25, 0.5), (0.0, 0.0, 1.0), (0.0, 0.5, 1.0), (1e-6, 0.5, 2.0)],
)
def test_a_first_quality_near_zero_makes_no_measures_of_its_own(
    context, table, monkeypatch, first, second, remembered
):
    qualities = iter([first, second])

    def measure(context, allocation):
        return SimpleNamespace(users=np.arange(2), values={"ndcg@20": np.full(2, next(qualities))})

    monkeypatch.setattr(bet_plus, "measure_shortly", measure)
    policy = bet_plus.BetPlus()
    policy.propose(Step(1, context, table))
    assert policy.measured.values.tolist() == [1.0, remembered]


def judged(context, scores):
    """Rewards by entity of a model that scores (|U|, |V|) so."""
    scores = torch.from_numpy(scores)
    return pair_rewards(context, SimpleNamespace(ranker=lambda: lambda users: scores[users]))


def test_rewards_are_of_validation_items_against_items_nobody_has_had(context):
    data = context.data
    validation, known = data.validation.toarray() > 0, data.known.toarray() > 0
    # What users had is scored above everything, then validation of the first half of the users;
    # that of the others is below all.
    scores = 10.0 * known + np.random.default_rng(0).random(known.shape)
    half = np.arange(60)[:, None] < 30
    scores += np.where(validation, np.where(half, 5.0, -5.0), 0.0)
    rewards = judged(context, scores)
    pairs = validation.sum(1)
    share = pairs[:30].sum() / pairs.sum()
    assert rewards[:30] == pytest.approx(1 - share) and rewards[30:60] == pytest.approx(-share)
    by_item = [1.0 * half[validation[:, i], 0].mean() - share for i in range(20)]
    assert rewards[60:] == pytest.approx(by_item, nan_ok=True)


def test_a_user_who_has_had_everything_gives_no_reward(context):
    everything = csr_array(np.ones((60, 20), dtype=np.uint8))
    data = TrainingData(context.data.train, context.data.validation, everything)
    full = SearchContext(data, context.settings, context.workspace, context.budget)
    assert not np.nan_to_num(judged(full, np.random.default_rng(0).random((60, 20)))).any()


def test_bandits_take_the_planted_arm_of_every_side(context, monkeypatch):
    policy, arms = Dess(capped=False), np.array([1, 2, 4, 8, 16])
    best = np.where(np.arange(80) < 60, 4, 2)

    def rewards(context, model):
        return np.where(arms[policy.chosen[1]] == best, 0.5, -0.5)

    monkeypatch.setattr(dess, "pair_rewards", rewards)
    for number in range(12):
        sizes = policy.propose(Step(number, context)).allocation.columns
        policy.learn(Step(number, context), SimpleNamespace(model=None))
    assert (sizes == best).mean() > 0.9


def test_contexts_hold_frequency_and_indicators_of_the_rows_before(context, table):
    contexts = entity_contexts(Step(1, context, table), indicators=True)
    rows = (table.rows * _columns(table)).numpy()
    by_user = spread_of(context.data.train, rows[60:])
    by_item = spread_of(csr_array(context.data.train.T.tocsr()), rows[:60])
    assert contexts[:, 2] == pytest.approx(np.concatenate([by_user, by_item]))
    assert by_user.max() > 0.1 and contexts[:, 3].max() > 0.1
    assert not entity_contexts(Step(0, context), indicators=True)[:, 2].any()
    assert entity_contexts(Step(1, context, table), indicators=False).shape == (80, 2)


@given(st.permutations(range(8)), st.integers(1, 7))
def test_rows_of_the_least_worth_are_emptied_first(order, kept):
    values, arms = np.array(order, float)[:, None], np.array([1])
    sizes = fill(np.ones(8, int), values, arms, Budget(kept, 8, d_max=1, d_min=0))
    assert set(np.array(order)[sizes == 1]) == set(range(8 - kept, 8))
