"""Seeds of the split, of the start and of the search: each decides what it names and nothing
else; streams are common to methods, not to data, backbones and budgets.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bet.__main__ import main
from bet.actions import Allocation
from bet.data import planted, split_interactions
from bet.errors import BetError
from bet.methods import METHODS
from bet.methods.fixed import random_sizes
from bet.methods.powerlaw import PowerlawSelector
from bet.predictor import DeepSets, SizesOnly
from bet.search import (
    PredictorSelector,
    RandomSelector,
    TrainingData,
    initialize_recommender,
    train_from_scratch,
)
from bet.study.cell import Cell
from bet.study.profiles import PROFILES, load_profile

ROOT = Path(__file__).resolve().parent.parent


def with_seeds(context, **seeds):
    return replace(context, settings=replace(context.settings, **seeds))


def test_a_stream_differs_by_data_backbone_budget_seed_and_name(make):
    context = make(budget="80%")
    other = split_interactions(planted(), 1)
    budget = context.budget
    streams = {
        "itself": context.stream("actions", 1),
        "data": replace(context, data=TrainingData(other.train, other.validation)),
        "backbone": make("ngcf", "80%"),
        "budget": make(budget="90%"),
        "copies": replace(context, budget=replace(budget, copies=2)),
        "byte limit": make(budget="80%", limit=3_000),
        "search seed": with_seeds(context, search_seed=1),
        "t": context.stream("actions", 2),
        "name": context.stream("predictor", 1),
    }
    drawn = [
        each if isinstance(each, int) else each.stream("actions", 1) for each in streams.values()
    ]
    assert len(set(drawn)) == len(streams)
    # What has no part in it.
    for same in (
        make(budget="80%"),
        with_seeds(context, init_seed=5),
        with_seeds(context, seed=3, search_seed=0),
        context.in_folder(Path("elsewhere")),
    ):
        assert same.stream("actions", 1) == drawn[0]
    assert context.search_rng("a").random() == context.search_rng("a").random()
    first, second = (torch.rand(1, generator=context.search_generator("a")) for _ in range(2))
    assert torch.equal(first, second)


def test_methods_draw_the_same_actions_and_budgets_others(make):
    def chosen(context):
        """The random picks of t = 3 by BET, its ablations and chance."""
        known = [PredictorSelector(context, kind) for kind in (DeepSets, SizesOnly)]
        picks = [selector.choose(3, []).action.sizes for selector in known]
        return picks, RandomSelector(context).choose(3, []).action.origin

    (bet, simple), random = chosen(make(budget="80%"))
    np.testing.assert_array_equal(bet, simple)
    assert chosen(make(budget="80%"))[1] == random
    # The families of a draw do not depend on the size of the budget, only on the stream.
    assert chosen(make(budget="90%"))[1] != random
    assert chosen(make("ngcf", "80%"))[1] != random


@pytest.mark.parametrize("name", ["seed", "init_seed", "search_seed"])
def test_a_seed_varies_only_what_it_names(make, name):
    context = make(budget="80%")
    other = with_seeds(context, **{"init_seed": 0, "search_seed": 0} | {name: 1})

    def numbers(context):
        start = initialize_recommender(context, Allocation.uniform(context.budget.n, 3))
        return start.table.weight.detach(), random_sizes(context)

    (weights, sizes), (others, other_sizes) = numbers(context), numbers(other)
    assert torch.equal(weights, others) == (name != "init_seed")
    assert np.array_equal(sizes, other_sizes) == (name != "search_seed")
    points, others = (PowerlawSelector(each).points for each in (context, other))
    assert np.array_equal(points, others) == (name != "search_seed")
    assert (context.key == other.key) == (name == "search_seed")


def test_the_start_decides_the_order_of_triples(make, tmp_path):
    context = make(budget="80%")
    allocation = Allocation.uniform(context.budget.n, 3)
    init = with_seeds(context, init_seed=1).in_folder(tmp_path / "init")
    search = with_seeds(context, search_seed=1).in_folder(tmp_path / "search")
    first, second, third = (
        train_from_scratch(each, allocation, "t").model.table.weight
        for each in (context, init, search)
    )
    assert torch.equal(first, third) and not torch.equal(first, second)


def test_seeds_are_parts_of_ids_and_keys_where_they_are_given():
    cell = Cell("tiny", "lightgcn", "80%", "bet", profile="smoke")
    seeded = replace(cell, init_seed=1, search_seed=2)
    assert seeded.id == f"{cell.id}_init1_search2"
    assert replace(seeded, protocol="merged").selection_id == seeded.id
    key = PROFILES["smoke"].key
    cells = [cell, replace(cell, init_seed=0), replace(cell, search_seed=0), seeded]
    assert len({key(each) for each in cells}) == len({each.id for each in cells}) == 4
    assert not {"init_seed", "search_seed"} & set(cell.in_old_spelling())
    for name in ("init_seed", "search_seed"):
        with pytest.raises(BetError, match=f"{name} must be from 0 to .*, got -1"):
            replace(cell, **{name: -1})


def test_a_version_of_a_method_and_of_the_protocol_changes_the_key(monkeypatch):
    cell = Cell("tiny", "lightgcn", "80%", "su", profile="smoke")
    key, before = PROFILES["smoke"].key, PROFILES["smoke"].key(cell)
    monkeypatch.setitem(METHODS, "su", replace(METHODS["su"], version=2))
    assert key(cell) != before
    monkeypatch.setattr("bet.study.profiles.MERGED", 3)
    assert key(replace(cell, protocol="merged")) != key(cell)


def test_a_grid_lists_seeds(tmp_path):
    text = (ROOT / "workflow" / "studies" / "smoke.toml").read_text().split("[[grids]]")[0]
    text += '[[grids]]\ndataset = "tiny"\nbackbones = ["lightgcn"]\nbudgets = ["80%"]\n'
    text += 'methods = ["su"]\nseeds = [0, 1]\ninit_seeds = [3]\nsearch_seeds = [4, 5]\n'
    (tmp_path / "seeded.toml").write_text(text)
    cells = load_profile(tmp_path / "seeded.toml").cells
    seeds = [(cell.seed, cell.init_seed, cell.search_seed) for cell in cells]
    assert seeds == [(0, 3, 4), (0, 3, 5), (1, 3, 4), (1, 3, 5)]


def test_the_command_line_takes_seeds_and_the_record_names_them(tmp_path, monkeypatch, capsys):
    for name in ("RESULTS", "CACHE"):
        monkeypatch.setenv(f"BET_{name}", str(tmp_path / name))
    shared = ["run", "--data", "tiny", "--profile", "smoke", "--method", "sr", "--budget", "80%"]
    assert main([*shared, "--init-seed", "1", "--search-seed", "2"]) == 0 and main(shared) == 0
    folder = tmp_path / "RESULTS" / "smoke"
    seeded, plain = (
        json.loads((folder / f"tiny_lightgcn_80_sr_s0{more}.json").read_text())["cell"]
        for more in ("_init1_search2", "")
    )
    assert (seeded["init_seed"], seeded["search_seed"]) == (1, 2)
    assert plain.keys() == seeded.keys() - {"init_seed", "search_seed"}
