"""What notebooks 01 to 04 show holds."""

import matplotlib.pyplot as plt
import pytest

from bet.data import FrequencyOrder, planted, split_interactions
from bet.walkthrough import data as show_data


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
