"""What the page and the last lines of ``bet table`` say: the lengths of files that were trained,
the numbers that the file has, what there was no time for.
"""

from dataclasses import replace
from html import unescape

import pytest

from bet.data import planted
from bet.packed import load
from bet.release.build import build_table
from bet.release.page import write_page
from bet.release.sentences import (
    decision_sentence,
    expectations,
    reference_sentence,
    refit_sentence,
)
from bet.release.task import Fixed
from bet.search.gate import GateDecision

FAST = Fixed(epochs=2, learning_rate=0.03, l2=0.3)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """What is usually made of the planted interactions."""
    folder = tmp_path_factory.mktemp("usual")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BET_CACHE", str(folder / "cache"))
        return build_table(planted(), 8_000, folder / "t", fixed=FAST)


def only(monkeypatch, family):
    """Let ``family`` be chosen, and nothing be searched."""
    monkeypatch.setattr(
        "bet.release.choice._weigh_histories", lambda task, best: (best[family], None)
    )
    monkeypatch.setattr("bet.release.build.search", lambda *_: (None, "not here"))


@pytest.mark.parametrize("family", ["filter", "blend", "ials"])
def test_the_page_describes_the_file_that_was_written(tmp_path, monkeypatch, family):
    """Its length, also of a blend that takes fewer bits than fit, and the numbers in it."""
    only(monkeypatch, family)
    release = build_table(planted(), 20_000, tmp_path / "t", fixed=FAST)
    length = (tmp_path / "t").stat().st_size
    assert length <= release.chosen.n_bytes <= length + 120
    assert release.half.best is None or release.half.best.n_bytes <= 10_000
    shown = {**release.chosen.settings, **release.chosen_again}
    facts = dict(load(tmp_path / "t").facts)
    assert facts == {name: shown[name] for name in facts}
    page = unescape(write_page(release).read_text())
    again = replace(release, chosen_again={"user_exponent": 0.25})
    assert "the file has user_exponent 0.25." in refit_sentence(again)
    assert refit_sentence(release) in page
    assert refit_sentence(replace(release, chosen_again={})) == ""
    assert bool(release.chosen_again) <= (family != "ials")


def test_what_there_was_no_time_for_is_not_called_worse(tmp_path, monkeypatch):
    """Filter and vectors were trained for the budget; for half and double nothing else is."""
    only(monkeypatch, "filter")
    with monkeypatch.context() as patch:
        patch.setattr("bet.release.build.ALTERNATIVES", -1.0)
        release = build_table(planted(), 6_000, tmp_path / "t", fixed=FAST)
    assert "Double the bytes (12,000): not known, for want of time" in expectations(release)
    release = build_table(planted(), 6_000, tmp_path / "t", fixed=FAST)
    assert not release.double.is_partial and "for want of time" not in expectations(release)
    some = replace(release, half=replace(release.double, is_partial=True))
    assert "(not all of it was trained, for want of time)" in expectations(some)


def test_a_file_below_popularity_is_warned_about(usual):
    popular = usual.references[0].test["ndcg@20"]
    worse, equal = (
        replace(usual, test={**usual.test, "ndcg@20": popular - gap}) for gap in (0.01, 0.0)
    )
    said = "This file is worse than popularity on test"
    assert said in reference_sentence(worse) and said in write_page(worse).read_text()
    assert said not in reference_sentence(equal) and said not in write_page(equal).read_text()


def test_a_file_without_histories_is_always_offered(usual, tmp_path):
    """With what it gives and the rule by which it would have been used, also where no users were
    asked.
    """
    best = {
        history: max(each.quality for each in usual.measured if each.history == history)
        for history in (True, False)
    }
    offered = f"has validation quality {best[False] / best[True] - 1:+.1%} against the best with"
    rule = "only if its quality is higher by more than 5% and users that the selection never saw"
    asked = GateDecision(accepted=False, difference=0.1, bound=-0.1, users=60)
    for decision in (None, asked, replace(asked, accepted=True)):
        said = decision_sentence(replace(usual, without_histories=decision))
        assert offered in said and rule in said
    bare = build_table(planted(), 8_000, tmp_path / "u", fixed=FAST, history=False)
    assert "--no-history" not in decision_sentence(bare)


def test_what_there_was_no_time_for_is_not_called_too_large(tmp_path):
    release = build_table(planted(), 8_000, tmp_path / "t", fixed=FAST, minutes=1e-6)
    assert release.too_large and "graph filter" in release.left_out
    said = decision_sentence(release)
    assert said.startswith("Only popularity was trained.") and "Only popularity fits" not in said
