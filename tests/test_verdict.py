"""The sentences after results, and code shown in notebooks."""

import inspect
import re
from html import unescape

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bet.search.loop import top_actions
from bet.training import RankingMetrics
from bet.walkthrough.source import show_source
from bet.walkthrough.verdict import (
    quality_by_user,
    verdict_of_count,
    verdict_of_difference,
    verdict_of_ranked,
    verdict_of_skill,
)

QUALITIES = st.floats(0.01, 1.0)


@given(QUALITIES, QUALITIES)
def test_without_an_interval_only_large_differences_count(value, other):
    sentence = verdict_of_difference("A", value, "B", other)
    if abs(value / other - 1) <= 0.02:
        assert "cannot tell" in sentence
    else:
        assert sentence.endswith(f"{'A' if value > other else 'B'} is better here.")


@given(QUALITIES, QUALITIES, st.floats(0.0, 0.5))
def test_an_interval_with_zero_in_it_shows_nothing(value, other, reach):
    difference = value - other
    interval = (difference - reach, difference + reach)
    sentence = verdict_of_difference("A", value, "B", other, interval=interval)
    assert ("cannot tell" in sentence) == (interval[0] <= 0 <= interval[1])


def ranked(hits):
    hits = np.asarray(hits, dtype=bool)
    users = np.arange(len(hits))
    return RankingMetrics(users, np.ones(len(hits), dtype=np.int64), hits)


def test_models_are_compared_user_by_user():
    good, bad = np.zeros((40, 20)), np.zeros((40, 20))
    good[:30, 0], bad[:10, 0] = 1, 1
    good, bad = ranked(good), ranked(bad)
    assert quality_by_user(good).mean() == pytest.approx(good.means()["quality"]) == 0.75
    assert verdict_of_ranked("A", good, "B", bad).endswith("A is better here.")
    assert verdict_of_ranked("B", bad, "A", good).endswith("A is better here.")
    half = ranked(np.roll(good.hits, 5, axis=0))
    assert "cannot tell" in verdict_of_ranked("A", good, "C", half)


def test_skill_is_sure_only_with_enough_actions():
    noise = np.random.default_rng(0).normal(size=200)
    measured = np.arange(200.0) + 150 * noise
    assert "it has skill" in verdict_of_skill("P", np.arange(200), measured)
    assert "no skill" in verdict_of_skill("P", np.arange(5), measured[:5])
    assert "backwards" in verdict_of_skill("P", -np.arange(200), measured)


def test_a_claim_holds_without_exception_only():
    assert "always holds" in verdict_of_count(3, 3, "draws fit")
    assert "does not hold" in verdict_of_count(2, 3, "draws fit")


def test_source_is_shown_with_its_name_and_without_a_style_sheet():
    shown = show_source(top_actions).data
    text = unescape(re.sub("<[^>]*>", "", shown))
    assert text.startswith("# bet.search.loop.top_actions\ndef top_actions(")
    assert text.rstrip().endswith(inspect.getsource(top_actions).rstrip())
    assert "<style" not in shown and "class=" not in shown
