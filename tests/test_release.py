"""From interactions and bytes to a file: what is written, what it is chosen from, what the page
says.
"""

import re
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial
from html import unescape

import numpy as np
import pandas as pd
import pytest

import bet
import bet.__main__
from bet.data import from_pairs, planted
from bet.errors import BetError
from bet.packed import load
from bet.release import build as module
from bet.release import judge as judging
from bet.release import searched
from bet.release.build import build_table
from bet.release.page import write_page
from bet.release.sentences import (
    decision_sentence,
    expectations,
    history_sentence,
    left_out_sentence,
    load_lines,
    reference_sentence,
)
from bet.release.task import Fixed
from bet.search import SearchSettings
from bet.search.gate import GateDecision

# What is fixed is not swept: a second instead of ten.
FAST = Fixed(epochs=2, learning_rate=0.03, l2=0.3)
# Columns that are fixed are not halved: every byte is used, and there is something to search.
SEARCHABLE = replace(FAST, columns=256)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    # Of which the predictor chooses one.
    monkeypatch.setattr(searched, "SearchSettings", partial(SearchSettings, actions=10))


def build(limit, file, **options):
    return build_table(planted(), limit, file, fixed=FAST, **options)


def pasted(release, *users):
    """What the three lines print in a fresh process, for the example or for each of ``users``."""
    lines = [load_lines(replace(release, example_user=user)) for user in users]
    code = "\n".join(lines or [load_lines(release)])
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return [eval(line)[0] for line in run.stdout.splitlines()]


def seen_by(data, user):
    return {str(item) for item in data.matrix[[user]].indices}


@pytest.mark.parametrize("limit", [1_300, 3_000, 8_000, 60_000])
def test_the_file_fits_is_described_and_recommends(tmp_path, limit):
    data, file = planted(), tmp_path / "out" / "table.safetensors"
    release = build(limit, file)
    assert file.stat().st_size == release.report.total <= release.chosen.n_bytes <= limit
    assert all(measured.n_bytes <= limit for measured in release.measured)
    check_choice(release)
    assert release.holds_history == release.chosen.history
    page = unescape(write_page(release).read_text())
    sentences = decision_sentence, expectations, history_sentence, load_lines, left_out_sentence
    for sentence in sentences:
        assert sentence(release) in page
    assert f"{release.report.total:,} bytes" in page
    for reference in release.references:
        assert f"{reference.n_bytes:,}" in page and reference.name in page
        assert f"{reference.test['ndcg@20']:.4f}" in reference_sentence(release)
    (items,) = pasted(release)
    assert len(items) == 10 and set(items) <= {str(i) for i in range(data.n_items)}
    if release.holds_history:
        assert not set(items) & seen_by(data, 0), "the example is user 0, who has seen these"
    check_style(page)


def check_choice(release):
    """The simple one is the best, and holds histories unless the others are clearly better."""
    best = {
        history: max(
            (each for each in release.measured if each.history == history and not each.is_searched),
            key=lambda each: each.quality,
            default=None,
        )
        for history in (True, False)
    }
    decision = release.without_histories
    if best[True] is None:
        assert release.simple == best[False] and decision is None
    elif best[False].quality <= 1.05 * best[True].quality:
        assert release.simple == best[True] and decision is None
    else:
        assert release.simple == best[not decision.accepted]
        used = "without" if decision.accepted else "with"
        assert f"A file {used} histories is used." in decision_sentence(release)


def test_every_family_is_tried_where_there_is_room(tmp_path):
    release = build(60_000, tmp_path / "t")
    assert {each.family for each in release.measured} >= {
        "popularity", "filter", "knn", "ials", "blend", "lightgcn", "rows", "graph-blend",
    }  # fmt: skip
    bits = {each.bits for each in release.measured if each.family == "ials"}
    assert bits == {1, 2, 4, 8}
    assert {each.bits for each in release.measured if each.family == "lightgcn"} == {1, 2, 4, 8}
    assert not release.too_large or set(release.too_large) == {"200 nearest items"}


def test_without_histories_nobody_is_in_the_file(tmp_path):
    release = build(8_000, tmp_path / "t", history=False)
    assert not release.holds_history and not any(each.history for each in release.measured)
    report = load(tmp_path / "t").byte_report()
    assert report.interactions == report.seen == 0
    assert {each.family for each in release.measured} == {"popularity", "ials", "lightgcn"}
    assert "holds no histories" in history_sentence(release)
    assert "exclude_seen=False" in load_lines(release) and len(pasted(release)[0]) == 10


def test_a_budget_that_only_popularity_fits_says_so(tmp_path):
    with pytest.raises(BetError, match=r"50 bytes is below the smallest possible file, ([0-9]+)"):
        build(50, tmp_path / "t")
    with pytest.raises(BetError) as error:
        build(50, tmp_path / "t")
    smallest = int(re.search(r"file, ([0-9,]+)", str(error.value))[1].replace(",", ""))
    release = build(smallest, tmp_path / "t")
    assert (tmp_path / "t").stat().st_size == smallest
    assert release.chosen.name == "popularity, without histories"
    assert len(set(pasted(release)[0])) == 10
    assert f"Only popularity fits into {smallest} bytes" in decision_sentence(release)
    assert "takes" in decision_sentence(release)
    half = f"Half the bytes ({smallest // 2}): nothing that recommends fits."
    assert expectations(release).startswith(half)
    with pytest.raises(BetError, match="below the smallest"):
        build(smallest - 1, tmp_path / "t")


def test_the_gate_sees_users_that_selection_did_not(tmp_path, monkeypatch):
    seen = []
    original = judging.evaluate

    def spy(ranker, positives, *rest, **options):
        seen.append(set(np.flatnonzero(np.diff(positives.indptr))))
        return original(ranker, positives, *rest, **options)

    selected = []
    unseen = judging.unseen_users

    def look(task, context, model):
        selected.append(set(np.flatnonzero(np.diff(context.selection.indptr))))
        return unseen(task, context, model)

    monkeypatch.setattr(judging, "evaluate", spy)
    monkeypatch.setattr(judging, "unseen_users", look)
    monkeypatch.setattr(
        "bet.release.choice._weigh_histories", lambda task, best: (best["ials"], None)
    )
    release = build_table(planted(), 3_500, tmp_path / "t", fixed=SEARCHABLE)
    assert selected and all(users == selected[0] for users in selected)
    everyone = set(np.flatnonzero(np.diff(planted().matrix.indptr) >= 3))
    judged = seen[1 : len(selected) + 1]  # behind ALS of default settings
    assert all(users == everyone - selected[0] and users for users in judged)
    # Test three times: the references and the chosen one.
    assert len(seen) == len(selected) + 3 and release.test


@pytest.mark.parametrize("family", ["ials", "blend", "rows"])
def test_a_search_that_is_accepted_is_written(tmp_path, monkeypatch, family):
    def only(task, best):
        return best[family], None

    monkeypatch.setattr("bet.release.choice._weigh_histories", only)
    accepted = GateDecision(accepted=True, difference=0.1, bound=0.05, users=60)
    monkeypatch.setattr(module, "judge", lambda *_: accepted)
    release = build_table(planted(), 3_500, tmp_path / "t", fixed=SEARCHABLE)
    assert release.chosen.is_searched and release.chosen == release.measured[-1]
    assert release.simple.family == family
    assert "The searched table is used." in decision_sentence(release)
    assert (tmp_path / "t").stat().st_size <= release.chosen.n_bytes <= 3_500
    kinds = load(tmp_path / "t").table.layout
    assert (kinds.counts.sum(0) > 0).sum() > 1, "rows differ"
    assert len(pasted(release)[0]) == 10


def test_rules_have_nothing_to_search(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "bet.release.choice._weigh_histories", lambda task, best: (best["filter"], None)
    )
    release = build(8_000, tmp_path / "t")
    assert decision_sentence(release).endswith("No search: graph filter has no rows.")


def test_an_interrupted_call_continues_to_the_same_file(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, "_refit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            build(4_000, tmp_path / "t")
    assert not (tmp_path / "t").exists()
    trained = []
    with monkeypatch.context() as patch:
        patch.setattr("bet.release.candidates.Candidate.train", counting(trained), raising=True)
        continued = build(4_000, tmp_path / "t")
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "another"))
    whole = build(4_000, tmp_path / "u")
    assert (tmp_path / "t").read_bytes() == (tmp_path / "u").read_bytes()
    assert len(trained) < len(whole.measured), "what was no better is not trained again"

    def timeless(release):
        fields = asdict(release) | {"file": None, "seconds": 0}
        return re.sub(r"'seconds': [0-9.e-]+", "", repr(fields))

    assert timeless(continued) == timeless(whole)


def counting(trained):
    from bet.release.candidates import Candidate

    original = Candidate.train

    def train(self, ends):
        trained.append(self.name)
        return original(self, ends)

    return train


def test_no_time_leaves_popularity_and_names_the_rest(tmp_path):
    release = build(8_000, tmp_path / "t", minutes=1e-6)
    assert release.chosen.family == "popularity"
    assert "graph filter" in release.left_out and "iALS vectors at 2 bits" in release.left_out
    said = "Not finished in 1e-06 minutes, or not with all settings: graph filter; "
    assert left_out_sentence(release).startswith(said)
    for minutes in (0, -1, float("nan"), float("inf")):
        with pytest.raises(BetError, match="minutes must lie in"):
            build(8_000, tmp_path / "t", minutes=minutes)


def test_interrupted_writing_never_leaves_ids_of_another_file(tmp_path, monkeypatch):
    file = tmp_path / "table"
    build(4_000, file)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("table*")}
    assert set(before) == {"table", "table.ids"}
    with monkeypatch.context() as patch:
        patch.setattr(
            "bet.study.output.write_served", lambda *_, **__: (_ for _ in ()).throw(OSError)
        )
        with pytest.raises(OSError):
            build(3_000, file)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("table*")} == before
    release = build(3_000, file, with_ids=True)
    assert {path.name for path in tmp_path.glob("table*")} == {"table"}
    assert file.stat().st_size <= 3_000 and load(file).byte_report().ids
    assert len(pasted(release)[0]) == 10


HOSTILE = ["<script>alert(1)</script>", "a'b\"c", "new\nline", "{{ 7 }}", "日本", "\\", "x" * 300]


def test_ids_of_any_characters_are_safe(tmp_path):
    data = planted()
    users, items = data.matrix.nonzero()
    names = [HOSTILE[u] if u < len(HOSTILE) else f"u{u}" for u in range(data.n_users)]
    hostile = from_pairs(
        "<b>shop</b>",
        pd.Series([names[u] for u in users]),
        pd.Series([f"<i>{i}</i>" for i in items]),
    )
    for with_ids in (False, True):
        release = build_table(hostile, 9_000, tmp_path / "<t>.x", fixed=FAST, with_ids=with_ids)
        page = write_page(release).read_text()
        assert "<script" not in page and "<t>" not in page
        model = bet.load(release.file)
        again = model.recommend(HOSTILE, k=10, exclude_seen=release.holds_history).items
        assert pasted(release, *HOSTILE) == again


def check_style(page):
    """The page restyles nothing but itself."""
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    selectors = re.findall(r"([^{}]+)\{", style)
    assert selectors
    for selector in ",".join(selectors).split(","):
        assert selector.strip().startswith(".bet-table")
