"""What notebooks 01 to 04 show holds."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from bet.actions import Budget, parse_budget, sample_action, sample_actions
from bet.data import FrequencyOrder, planted, split_interactions
from bet.predictor import DeepSets, stack_histograms
from bet.seeds import numpy_generator, torch_generator
from bet.walkthrough import data as show_data
from bet.walkthrough import predictor as show_predictor
from bet.walkthrough import sampling as show_sampling
from bet.walkthrough import tables as show_tables


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


def test_rankings_that_differ_by_chance_are_chosen_by_chance(data, split):
    qualities = show_data.score_equal_rankings(split, count=40, seed=0)
    assert len(qualities) == 40 and ((qualities > 0) & (qualities < 1)).all(axis=None)
    assert abs(qualities.corr().loc["validation", "test"]) < 0.5
    assert labeled(show_data.plot_winner(qualities))
    assert labeled(show_data.plot_long_tail(FrequencyOrder.of(data.matrix)))


def test_a_masked_table_shows_every_number_and_a_graph_every_node():
    names = ["ann", "tea", "cup"]
    figure = show_tables.plot_mask(np.ones((3, 2)), np.array([2, 1, 1]), names)
    shown = [text for text in figure.axes[0].texts if text.get_color() == "black"]
    assert len(figure.axes[0].texts) == 6 and len(shown) == 4
    assert labeled(figure)
    signals = {"layer 0": np.array([0, 1, 0]), "layer 1": np.array([0.7, 0, 0])}
    figure = show_tables.plot_propagation(np.array([[1, 1]]), names, signals)
    for axis, (title, signal) in zip(figure.axes, signals.items(), strict=True):
        texts = [text.get_text() for text in axis.texts]
        assert axis.get_title() == title and len(axis.lines) == 2
        assert texts[::2] == [f"{number:.2f}" for number in signal] and texts[1::2] == names
    plt.close(figure)


def test_bars_of_bytes_are_stacked():
    kilobytes = pd.DataFrame({"table": [3.0, 1.0], "weights": [0.5, 0.5]}, index=["full", "90 %"])
    figure = show_tables.plot_bytes(kilobytes)
    ends = [bar.get_x() + bar.get_width() for bar in figure.axes[0].patches]
    assert ends == [3.0, 1.0, 3.5, 1.5]
    assert figure.axes[0].get_xlabel().startswith("kB")
    plt.close(figure)


def test_the_scale_is_drawn_as_a_staircase_that_jumps_over_the_budget():
    figure = show_sampling.plot_scale(np.array([5.0, 2.0, 1.0, 1.0]), 10, 1, 4)
    scales, sums = figure.axes[0].lines[0].get_data()
    assert (np.diff(sums) >= 0).all() and (sums[0], sums[-1]) == (4, 16)
    assert (sums[(scales > 1.51) & (scales < 1.99)] == 9).all() and 10 not in sums
    assert labeled(figure)


def test_columns_are_drawn_in_percent_of_the_budget():
    budget = Budget(total=200, n=10, d_max=64)
    figure = show_sampling.plot_budget_use({"a": [180, 200], "b": [200, 210]}, budget)
    drawn = [bar.get_x() for bar in figure.axes[0].patches if bar.get_height()]
    assert len(drawn) == 4 and min(drawn) == pytest.approx(90) and max(drawn) < 105
    assert labeled(figure)


def test_sampled_shapes_and_masks_are_labeled(split):
    order = FrequencyOrder.of(split.train)
    budget = parse_budget("90%", order.n, 64)
    action = sample_action(order, budget, numpy_generator(0, "mask"))
    figure = show_sampling.plot_mask(action, order, budget.d_max)
    by_id, by_rank = (axis.images[0].get_array() for axis in figure.axes)
    assert by_id.sum() == by_rank.sum() == budget.total  # every kept number once
    assert (np.diff(by_rank[: order.n_users].sum(1)) <= 0).all()
    assert labeled(figure)
    assert labeled(show_sampling.plot_families(order.n - order.n_users, 400, budget.d_max))


def test_the_predictor_by_hand_is_the_library(split):
    order = FrequencyOrder.of(split.train)
    budget = parse_budget("90%", order.n, 64)
    predictor = DeepSets(order, budget.d_max, torch_generator(0, "predictor"))
    for action in sample_actions(order, budget, 5, numpy_generator(0, "by hand")):
        histograms = stack_histograms([action], budget.d_max)
        by_hand = show_predictor.predict_by_hand(
            predictor, order.frequency, action.sizes, order.n_users, budget.d_max
        )
        assert {name: tuple(tensor.shape) for name, tensor in by_hand.items()} == {
            "q": (order.n, 16),
            "s": (64, 64),
            "h": (64,),
            "r": (1,),
        }
        torch.testing.assert_close(by_hand["h"], predictor.embed(histograms)[0].detach())
        torch.testing.assert_close(by_hand["r"], predictor(histograms).detach())
        sets = show_predictor.sets_table(action, order)
        assert sets["users"].sum() == order.n_users
        assert np.dot(sets.index, sets["users"] + sets["items"]) == budget.target


def test_predictions_are_drawn_apart_from_what_was_learned():
    measured = np.linspace(0.8, 0.9, 6)
    figure = show_predictor.plot_predictions({"a": measured, "b": measured[::-1]}, measured, 4)
    counts = [[len(line.get_xdata()) for line in axis.lines] for axis in figure.axes]
    assert counts == [[2, 4, 2], [2, 4, 2]]
    assert labeled(figure)
