"""What is characteristic of each competitor."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bet.actions import keep_largest
from bet.data import FrequencyOrder
from bet.methods import METHODS
from bet.methods.amtl import FrequencyGroups, TwinTable, at_least, project, twin_recommender
from bet.methods.ciess import Agent, CiessSelector, entity_quality, scale_to_budget
from bet.methods.esapn import GrowingTable, Policies
from bet.methods.optembed import allowed, candidate_sizes, evolve, supernet_recommender
from bet.methods.pep import SPEEDS, ThresholdTable, pruning_recommender
from bet.search import (
    SearchSettings,
    initialize_recommender,
    load_or_pretrain,
    search,
)
from bet.seeds import numpy_generator, torch_generator
from bet.training import bpr_loss, train


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(0, 50))
def test_keep_largest_is_exact_and_keeps_the_largest(values, k):
    scores = np.array(values, dtype=float).reshape(1, -1)
    mask = keep_largest(scores, k).mask
    assert mask.sum() == min(k, scores.size)
    if 0 < mask.sum() < scores.size:
        assert scores[mask].min() >= scores[~mask].max()


def test_magnitude_keeps_the_largest_numbers_and_starts_again_from_the_initial_ones(make):
    context = make(
        budget="80%", search=SearchSettings(finetune_epochs=1, top=1)
    )  # gamma = 0: over the whole table
    allocation = METHODS["magnitude"](context).trained.model.table.allocation
    full = load_or_pretrain(context).model.table().detach().abs().numpy()
    assert full[allocation.mask].min() >= full[~allocation.mask].max()
    assert_rewound(context, allocation)


def assert_rewound(context, allocation):
    initial = initialize_recommender(context.without_budget(), context.full_allocation).table()
    rewound = initialize_recommender(context, allocation).table()
    assert torch.equal(rewound, initial * torch.from_numpy(allocation.mask))


def test_thresholds_only_prune_and_the_mask_is_rewound(make):
    context = make(budget="80%")
    model = pruning_recommender(context, SPEEDS[0])
    table = model.table
    assert isinstance(table, ThresholdTable) and table.n_parameters() == table.weight.numel()
    initial = table.weight.detach().clone()
    assert torch.equal(
        initial, initialize_recommender(context.without_budget(), context.full_allocation).table()
    )
    training = context.settings.training
    train(model, context.sampler, training, seed=0, epochs=training.max_epochs)
    assert table.n_parameters() <= context.budget.parameters
    shrunk, weight = table().detach(), table.weight.detach()
    assert (shrunk.abs() <= weight.abs()).all() and (
        (shrunk == 0) | (shrunk.sign() == weight.sign())
    ).all()
    model.zero_grad()
    bpr_loss(model, context.sampler.draw(64, torch_generator(0)), 0.0, None).backward()
    pruned = shrunk == 0
    assert (table.weight.grad[pruned] == 0).all() and table.weight.grad[
        ~pruned
    ].abs().sum() > 0  # what is dead stays dead
    before = table.n_parameters()
    with torch.no_grad():
        table.s += 1
    assert table.n_parameters() < before
    assert_rewound(context, keep_largest(table.margins().numpy(), context.budget.parameters))


def test_evolution_keeps_its_best_and_leaves_parents_alone():
    evaluated = []

    def quality(candidate):
        return -abs(candidate[0] - 7) - abs(candidate[1] - 30) / 10

    def counted(candidate):
        evaluated.append(candidate)
        return quality(candidate)

    evolved = evolve(counted, lambda candidate: sum(candidate) >= 20, 64, numpy_generator(0))
    assert len(set(evaluated)) == len(evaluated) == evolved["evaluations"]
    assert all(sum(candidate) >= 20 for candidate in evaluated)
    best = max(evaluated, key=quality)
    assert tuple(evolved["best"][0][0]) == best and evolved["best"][0][1] == quality(best)
    assert quality(best) > max(map(quality, evaluated[:20]))  # better than the random start


def test_supernet_thresholds_feel_the_task_and_rows_are_cut_to_the_budget(make):
    context = make("lightgcn", "90%")
    model = supernet_recommender(context)
    model.table.before_step(0, 10)
    drawn = model.table.columns
    model.table.before_step(1, 10)
    assert model.table.columns != drawn and (model.table()[0, model.table.columns[0] :] == 0).all()
    loss = (
        bpr_loss(model, context.sampler.draw(64, torch_generator(0)), 0.0, None)
        - model.table.penalty()
    )
    loss.backward()
    assert (model.table.threshold.grad != 0).all()
    margins = np.random.default_rng(0).normal(size=context.budget.n)
    for candidate in ((16, 16), (3, 9), (2, 2)):
        assert allowed(context, candidate)
        sizes = candidate_sizes(context, margins, candidate)
        assert sizes.sum() == context.budget.target
        stay, go = margins[sizes > 0], margins[sizes == 0]
        assert not len(go) or stay.min() >= go.max()
    assert not allowed(context, (1, 1))


def test_actor_moves_sizes_up_on_a_reward_that_wants_them_up():
    rng = torch_generator(0, "toy")
    for direction in (1.0, -1.0):
        agent = Agent(torch_generator(0, "agent"))
        state = torch.rand(100, 3, generator=rng)
        start = agent.act(state).mean().detach()
        for _ in range(3):
            size = torch.rand(100, 1, generator=rng)
            agent.update(torch.cat([state, size, direction * size, state], 1), rng)
        moved = float(agent.act(state).mean().detach() - start)
        assert moved * direction > 0.2


def test_environment_is_exact_and_its_state_can_be_saved(make):
    context = make(budget="80%")
    selector = CiessSelector(context)
    population = search(context, selector)
    assert all(int(member.action.sizes.sum()) == context.budget.target for member in population)
    assert len(selector.replay) == len(population) and selector.replay[0].shape == (
        context.budget.n,
        8,
    )
    copy = CiessSelector(context)
    copy.load_state_dict(selector.state_dict())
    assert (
        copy.choose(4, population).action.sizes == selector.choose(4, population).action.sizes
    ).all()
    wanted = np.random.default_rng(0).uniform(1, 16, context.budget.n)
    sizes = scale_to_budget(wanted, context.budget)
    assert sizes.sum() == context.budget.target and (np.diff(sizes[np.argsort(wanted)]) >= 0).all()


def test_nobody_measured_teaches_the_agents_nothing(make, monkeypatch):
    context = make(budget="80%")
    training = replace(context.settings.training, validation_share=0.1)
    context = replace(context, settings=replace(context.settings, training=training))
    selector = CiessSelector(context)
    assert (
        0 < selector.measured.sum() < context.budget.n
        and (selector.reference[selector.measured] > 0).all()
    )
    learnt = []
    monkeypatch.setattr(
        Agent, "update", lambda self, transitions, generator: learnt.append(len(transitions)) or 0.0
    )
    numbers = replace(context.settings.search, iterations=2)
    search(replace(context, settings=replace(context.settings, search=numbers)), selector)
    n_users = context.data.n_users
    measured = [int(selector.measured[:n_users].sum()), int(selector.measured[n_users:].sum())]
    assert learnt == [*measured, *(2 * count for count in measured)]


def test_quality_of_an_item_is_the_mean_over_its_users(make):
    context = make(budget="80%")
    ranked = context.rank(load_or_pretrain(context).model)
    quality = entity_quality(context, ranked)
    by_user = dict(zip(ranked.users, np.mean(list(ranked.values.values()), axis=0), strict=True))
    item = int(context.data.order.items[0])
    users = [u for u in context.data.train[:, [item]].nonzero()[0] if u in by_user]
    assert quality[context.data.n_users + item] == pytest.approx(
        np.mean([by_user[u] for u in users])
    )


def test_exploring_restores_sizes_and_growth_stops_at_the_budget(make):
    context = make(budget="80%")
    model = load_or_pretrain(context).model
    model.table = GrowingTable(model.table().detach(), 16, 1)
    policies = Policies(context, model, price=0.0)
    policies.nets[0][2].bias.data = policies.nets[1][2].bias.data = torch.tensor(
        [0.0, 5.0]
    )  # enlarge everybody
    before, weight = model.table.sizes.copy(), model.table.weight.detach().clone()
    entities = policies.learn(0)
    assert (model.table.sizes == before).all() and torch.equal(model.table.weight, weight)
    assert not torch.equal(policies.nets[0][2].bias, torch.tensor([0.0, 5.0]))
    policies.act(entities)
    grown = model.table.sizes
    assert (grown >= before).all() and grown.sum() > before.sum()
    for _ in range(5):
        policies.act(entities)
    assert model.table.sizes.sum() <= context.budget.target


def test_twins_differ_and_both_learn_through_the_hard_choice(make):
    context = make(budget="80%")
    groups = FrequencyGroups(context.data.order)
    assert (
        groups.counts.sum() == context.budget.n
        and (np.bincount(groups.group) == groups.counts).all()
    )
    model = twin_recommender(context, groups, 0.1)
    table = model.table
    assert isinstance(table, TwinTable)
    frequent, rare = (twin(table.features) for twin in table.twins)
    assert not torch.allclose(frequent, rare)
    ego = table()
    assert ((ego != 0).sum(1) == torch.from_numpy(table.sizes)).all()  # the forward pass is hard
    bpr_loss(model, context.sampler.draw(64, torch_generator(0)), 0.0, None).backward()
    assert all(twin[0].weight.grad.abs().sum() > 0 for twin in table.twins)
    table.price += 1.0
    assert table.excess() > 0
    model.zero_grad()
    table.penalty().backward()
    assert all(twin[2].bias.grad.abs().sum() > 0 for twin in table.twins)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=30),
    st.integers(1, 6),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
def test_projection_is_exact_a_prefix_and_takes_the_likeliest(frequencies, d_max, share, seed):
    half = len(frequencies) // 2
    groups = FrequencyGroups(
        FrequencyOrder(np.array(frequencies[:half]), np.array(frequencies[half:]))
    )
    n = len(frequencies)
    keep = at_least(
        torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(d_max), len(groups.counts)))
    ).numpy()
    target = n + int(share * n * (d_max - 1))
    sizes = project(keep.copy(), groups, target)
    assert sizes.sum() == target and sizes.min() >= 1 and sizes.max() <= d_max
    # No column that was left out is likelier than one that was kept, beyond the first.
    kept = [keep[g, s - 1] for g, s in zip(groups.group, sizes, strict=True) if s > 1]
    left = [keep[g, s] for g, s in zip(groups.group, sizes, strict=True) if s < d_max]
    assert not kept or not left or min(kept) >= max(left) - 1e-12
