"""The fast DeepSets equals the formula set by set, and treats an action as sets of entities."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.actions import Action, Allocation, Budget, sample_action, sample_actions, sample_histogram
from bet.data import FrequencyOrder, FrequencyRuns
from bet.predictor import DeepSets, PredictorTrainer, SizesOnly, stack_histograms
from bet.seeds import torch_generator


def embedding_by_formula(model: DeepSets, order: FrequencyOrder, action: Action) -> torch.Tensor:
    """Eq. 7 to 9, one set and one entity at a time."""
    users = model.encode_user(
        torch.tensor(order.user_frequency / max(order.user_frequency.max(), 1)).float()[:, None]
    )
    items = model.encode_item(
        torch.tensor(order.item_frequency / max(order.item_frequency.max(), 1)).float()[:, None]
    )
    encodings = torch.cat([users, items])
    sets = []
    for d in range(1, len(model.sets) + 1):
        members = np.flatnonzero(action.sizes == d)
        mean = (
            torch.stack([encodings[n] for n in members]).mean(0)
            if len(members)
            else torch.zeros(16)
        )
        sets.append(model.encode_set(torch.cat([mean, torch.tensor([d / len(model.sets)])])))
    return torch.stack(sets).mean(0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 20),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
def test_equals_the_plain_formula(n_users, n_items, d_max, fill, seed):
    rng = np.random.default_rng(seed)
    order = FrequencyOrder(rng.integers(0, 9, n_users), rng.integers(0, 9, n_items))
    n = order.n
    actions = sample_actions(order, Budget(round(n + fill * n * (d_max - 1)), n, d_max), 3, rng)
    model = DeepSets(order, d_max, torch_generator(seed))
    histograms = stack_histograms(actions, d_max)
    by_formula = torch.stack([embedding_by_formula(model, order, action) for action in actions])
    torch.testing.assert_close(model.embed(histograms), by_formula, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        model(histograms), model.decode(by_formula)[:, 0], rtol=1e-4, atol=1e-5
    )


def test_gradients_equal_the_plain_formula():
    rng = np.random.default_rng(0)
    order = FrequencyOrder(rng.integers(0, 9, 30), rng.integers(0, 9, 20))
    action = sample_action(order, Budget(300, 50, 16), rng)
    model = DeepSets(order, 16, torch_generator(0))
    gradients = []
    for h in (
        model.embed(stack_histograms([action], 16))[0],
        embedding_by_formula(model, order, action),
    ):
        model.zero_grad()
        model.decode(h).sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    for fast, by_formula in zip(*gradients, strict=True):
        assert by_formula.abs().sum() > 0
        torch.testing.assert_close(fast, by_formula, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", [DeepSets, SizesOnly])
def test_permutation_invariant(kind):
    """Renaming the entities changes neither the embedding nor the score."""
    rng = np.random.default_rng(1)
    frequency = rng.permutation(50)  # distinct, so that ranks determine entities
    order = FrequencyOrder(frequency[:30], frequency[30:])
    actions = sample_actions(order, Budget(400, 50, 16), 5, rng)
    users, items = rng.permutation(30), rng.permutation(20)
    renamed = FrequencyOrder(order.user_frequency[users], order.item_frequency[items])
    moved = []
    for action in actions:
        sizes = np.concatenate([action.user_sizes[users], action.item_sizes[items]])
        moved.append(Action(Allocation.from_sizes(sizes), 30))
    models = [kind(o, 16, torch_generator(0)) for o in (order, renamed)]
    scores = [m(stack_histograms(a, 16)) for m, a in zip(models, (actions, moved), strict=True)]
    torch.testing.assert_close(scores[0], scores[1])
    assert scores[0].std() > 0


def test_sizes_only_ignores_frequencies_and_deepsets_does_not():
    rng = np.random.default_rng(2)
    flat = FrequencyOrder(np.full(30, 5), np.full(20, 5))
    steep = FrequencyOrder(np.arange(30), np.arange(20))
    histograms = stack_histograms(sample_actions(flat, Budget(400, 50, 16), 5, rng), 16)
    for kind, same in ((SizesOnly, True), (DeepSets, False)):
        scores = [kind(order, 16, torch_generator(0))(histograms) for order in (flat, steep)]
        assert torch.equal(*scores) is same


def test_updates_learn_and_resume_exactly():
    rng = np.random.default_rng(3)
    order = FrequencyOrder(rng.zipf(1.5, 60), rng.zipf(1.5, 40))
    actions = sample_actions(order, Budget(800, 100, 32), 30, rng)
    histograms = stack_histograms(actions, 32)
    fitness = torch.tensor([0.5 + 0.5 * action.origin["user_share"] for action in actions])
    trainer = PredictorTrainer(DeepSets(order, 32, torch_generator(0)))
    losses = [trainer.update(histograms, fitness) for _ in range(400)]
    assert losses[-1] < 0.5 * fitness.var()
    again = PredictorTrainer(DeepSets(order, 32, torch_generator(9)))
    again.load_state_dict(copy.deepcopy(trainer.state_dict()))
    assert [trainer.update(histograms, fitness) for _ in range(3)] == [
        again.update(histograms, fitness) for _ in range(3)
    ]


def test_a_billion_entities_are_scored_from_frequency_runs():
    order = FrequencyOrder(np.array([3, 1, 1, 0]), np.array([5, 5, 2]))
    runs = FrequencyRuns(
        (np.array([3, 1, 0]), np.array([1, 2, 1])), (np.array([5, 2]), np.array([2, 1]))
    )
    for ours, expected in zip(
        (*order.runs.users, *order.runs.items), (*runs.users, *runs.items), strict=True
    ):
        assert (ours == expected).all()
    histograms = stack_histograms(
        sample_actions(order, Budget(20, 7, 8), 5, np.random.default_rng(0)), 8
    )
    listed, counted = (
        DeepSets(frequencies, 8, torch_generator(0))(histograms) for frequencies in (order, runs)
    )
    assert torch.equal(listed, counted)

    frequency = np.arange(1000, 0, -1)
    large = FrequencyRuns((frequency, np.full(1000, 200_000)), (frequency, np.full(1000, 800_000)))
    budget = Budget(12_800_000_000, 1_000_000_000, 128)
    drawn = np.stack(
        [sample_histogram(budget, 200_000_000, np.random.default_rng(seed)) for seed in range(3)]
    )
    scores = DeepSets(large, 128, torch_generator(0))(torch.from_numpy(drawn))
    assert torch.isfinite(scores).all() and len(set(scores.tolist())) == 3
