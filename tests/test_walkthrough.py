"""What the walkthrough notebooks show holds."""

import re
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest

from bet.data import planted, split_interactions
from bet.methods.amtl import FrequencyGroups, at_least, project, twin_recommender
from bet.predictor import DeepSets
from bet.search import PredictorSelector, search
from bet.walkthrough import amtl as show_amtl
from bet.walkthrough import search as show_search


@pytest.fixture(scope="module")
def data():
    return planted()


@pytest.fixture(scope="module")
def split(data):
    return split_interactions(data, 0)


def labeled(figure):
    assert all(axis.get_xlabel() for axis in figure.axes) and figure.axes[0].get_ylabel()
    plt.close(figure)
    return True


def test_search_pictures(split, tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    context = show_search.small_context(split, "tiny", 0, 6)
    population = search(context, PredictorSelector(context, DeepSets))
    assert list(show_search.population_table(population).index) == [1, 2, 3, 4, 5, 6]
    order, sizes = context.data.order, show_search.best_median_worst(population)
    assert [label.split(",")[0] for label in sizes] == ["best", "median", "worst"]
    for figure in (
        show_search.plot_population(population),
        show_search.plot_sizes(sizes, order),
    ):
        assert labeled(figure)


def test_the_sentence_says_what_the_difference_means():
    def trained(quality):
        return SimpleNamespace(result=SimpleNamespace(quality=quality))

    for quality, words in (
        (0.44, "reaches 110.0% .* different sizes were the better use"),
        (0.404, "reaches 101.0% .* cannot tell the two apart"),
        (0.36, "reaches 90.0% .* equal rows were the better use"),
    ):
        assert re.search(words, show_search.explain("X", trained(quality), trained(0.4)))


def test_pictures_of_a_competitor(split, tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    context = show_search.small_context(split, "tiny", 0, 1)
    groups = FrequencyGroups(context.data.order)
    table = twin_recommender(context, groups, 0.1).table
    sizes = project(at_least(table.choice()).detach().numpy(), groups, context.budget.target)
    totals = show_amtl.totals_table(table, sizes, context.budget)["columns"]
    assert totals["projected"] == totals["budget"] == context.budget.target
    assert totals["hard choice"] == table.sizes.sum()
    figure = show_amtl.plot_choice(table, groups, context.data.order)
    assert figure.axes[0].get_xlabel() and figure.axes[0].get_ylabel()
    assert figure.axes[2].get_ylabel()
    plt.close(figure)
