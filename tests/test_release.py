"""From interactions and bytes to a file: what is written, and what the page says."""

import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import bet.__main__
from bet.data import planted, split_interactions
from bet.errors import BetError
from bet.packed import load
from bet.release import build as module
from bet.release.build import build_table
from bet.release.page import (
    decision_sentence,
    expectations,
    load_lines,
    serving_sentence,
    write_page,
)
from bet.release.result import bits_in_words
from bet.study.output import check_writable


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("backbone", ["lightgcn", "ncf", "ngcf", "ials"])
def test_the_chosen_table_fits_and_is_described(tmp_path, backbone):
    data, file = planted(), tmp_path / "out" / "table.safetensors"
    release = build_table(data, 4_000, file, backbone=backbone, profile="smoke")
    assert file.stat().st_size == release.report.total <= 4_000
    assert all(candidate.file_bytes <= 4_000 for candidate in release.candidates)
    uniform = [candidate for candidate in release.candidates if not candidate.is_searched]
    simple = max(uniform, key=lambda candidate: candidate.quality)
    if simple.columns < 16:
        check_search_and_alternatives(release, simple)
    else:
        assert release.decision is None, "everybody has all columns"
    accepted = release.decision is not None and release.decision.accepted
    assert release.chosen == (release.candidates[-1] if accepted else simple)
    packed = load(file)
    n = data.n_users + data.n_items
    assert packed.layout.n == n == len(packed.ids.user_rows) + len(packed.ids.item_rows)
    assert set(packed.layout.kinds[packed.layout.kind_of_rows(), 1]) == {simple.bits}
    page = write_page(release).read_text()
    for words in (decision_sentence(release), expectations(release), serving_sentence(release)):
        assert words.replace("'", "&#39;") in page
    assert f"{release.report.total:,}" in page
    has_weights = backbone in ("ncf", "ngcf")
    assert has_weights == (f"{file.name}.backbone.pt" in page)
    assert (release.serving.weights > 0) == (has_weights and release.serving.form != "vectors")
    if backbone == "ials":
        assert release.serving.form == "vectors" and release.serving.interactions == 0
    else:
        assert release.serving.bytes > release.report.total
    code = load_lines(release)
    assert len(code.splitlines()) == 3
    names: dict = {}
    exec(code, names)
    assert f"table.users(['{release.example_user}'])" in code
    np.testing.assert_array_equal(names["vectors"], packed.users([release.example_user]))
    assert f"{file.name}.ids</code>, which is to stay beside the file" in page


def check_search_and_alternatives(release, simple):
    searched = release.candidates[-1]
    assert searched.is_searched and searched.name == f"searched at {bits_in_words(simple.bits)}"
    assert release.decision.users > 20
    assert (release.half.limit, release.double.limit) == (2_000, 8_000)
    half, double = (
        {candidate.bits for candidate in alternative.candidates}
        for alternative in (release.half, release.double)
    )
    assert half == {simple.bits, simple.bits // 2} - {0}
    assert double and double <= {simple.bits, 2 * simple.bits}
    for alternative in (release.half, release.double):
        assert all(table.file_bytes <= alternative.limit for table in alternative.candidates)


def test_the_page_restyles_nothing_but_itself(tmp_path):
    page = write_page(build_table(planted(), 10**6, tmp_path / "t", profile="smoke")).read_text()
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    selectors = re.findall(r"([^{}]+)\{", style)
    assert selectors
    for selector in ",".join(selectors).split(","):
        assert selector.strip().startswith(".bet-table")


def test_the_gate_sees_users_that_selection_did_not(tmp_path, monkeypatch):
    seen = {}
    original, selection = module._unseen_users, []

    def spy(context, model):
        selection.append(set(np.flatnonzero(np.diff(context.selection.indptr))))
        return original(context, model)

    def metrics(ranker, positives, *rest, **options):
        seen[len(seen)] = set(np.flatnonzero(np.diff(positives.indptr)))
        return evaluate(ranker, positives, *rest, **options)

    evaluate = module.evaluate
    monkeypatch.setattr(module, "_unseen_users", spy)
    monkeypatch.setattr(module, "evaluate", metrics)
    data = planted()
    build_table(data, 4_000, tmp_path / "t", profile="smoke")
    everyone = set(np.flatnonzero(np.diff(split_interactions(data, 0).validation.indptr)))
    assert len(seen) == 3, "the gate twice, then test once"
    assert (
        seen[0] == seen[1] == everyone - selection[0]
        and selection[0]
        and not seen[0] & selection[0]
    )


def test_an_interrupted_call_continues_to_the_same_file(tmp_path, monkeypatch):
    data = planted()
    with monkeypatch.context() as patch:
        patch.setattr(module, "refit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            build_table(data, 4_000, tmp_path / "t", profile="smoke")
    assert not (tmp_path / "t").exists()
    continued = build_table(data, 4_000, tmp_path / "t", profile="smoke")
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "another"))
    whole = build_table(data, 4_000, tmp_path / "u", profile="smoke")
    assert (tmp_path / "t").read_bytes() == (tmp_path / "u").read_bytes()
    assert asdict(continued) | {"file": None} == asdict(whole) | {"file": None}


def test_bad_places_for_the_table_are_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "load_or_pretrain", None)  # nothing is trained
    data, file = tmp_path / "data.csv", tmp_path / "table"
    check_writable(tmp_path / "new" / "folder" / "table")
    assert not (tmp_path / "new").exists(), "a probe leaves nothing"
    data.write_text("user,item\n" + "".join(f"{u},{i}\n" for u in range(9) for i in range(6)))
    for suffix in ("", ".html", ".ids"):
        (tmp_path / f"taken{suffix}").mkdir()
        with pytest.raises(BetError, match="it is a folder"):
            build_table(planted(), 4_000, tmp_path / "taken", profile="smoke")
        (tmp_path / f"taken{suffix}").rmdir()
    for folder in (".", "/", ""):
        with pytest.raises(BetError, match="it is a folder; name a file"):
            build_table(planted(), 4_000, Path(folder), profile="smoke")
    with pytest.raises(BetError, match="cannot write the table"):
        build_table(planted(), 4_000, tmp_path / ("x" * 250), profile="smoke")
    with pytest.raises(BetError, match="cannot write the table"):
        build_table(planted(), 4_000, data / "table", profile="smoke")
    with pytest.raises(BetError, match="unknown backbone 'mf'; known are ncf, ngcf, lightgcn"):
        build_table(planted(), 4_000, file, backbone="mf", profile="smoke")
    with pytest.raises(BetError, match="below the smallest"):
        build_table(planted(), 10, tmp_path / "new" / "table", profile="smoke")
    before = data.read_bytes()
    command = ["table", "--data", str(data), "--profile", "smoke", "--budget", "2 kB", "--out"]
    for out in (data, tmp_path / "." / "data.csv"):
        assert bet.__main__.main([*command, str(out)]) == 1
        assert "holds the interactions" in capsys.readouterr().err
    assert data.read_bytes() == before and sorted(
        path.name for path in tmp_path.iterdir() if path.name != "cache"
    ) == ["data.csv"]


def test_interrupted_writing_never_leaves_ids_of_another_table(tmp_path, monkeypatch):
    file = tmp_path / "table"
    build_table(planted(), 4_000, file, backbone="ncf", profile="smoke")
    assert {path.name for path in tmp_path.glob("table*")} == {
        "table",
        "table.ids",
        "table.backbone.pt",
    }
    with monkeypatch.context() as patch:
        patch.setattr(
            "bet.tables.quantized.write_packed", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            build_table(planted(), 3_000, file, profile="smoke")
    assert {path.name for path in tmp_path.glob("table*")} == {"table"}
    build_table(planted(), 3_000, file, profile="smoke")
    assert {path.name for path in tmp_path.glob("table*")} == {"table", "table.ids"}, (
        "LightGCN has no weights of its own"
    )


def test_room_for_everything_needs_no_search(tmp_path):
    release = build_table(planted(), 10**6, tmp_path / "t", profile="smoke")
    assert not release.chosen.is_searched
    assert decision_sentence(release) == "No searched table: everybody has all columns."
    half = "Half the bytes (500,000): the same table, whose file is no longer."
    double = "Double the bytes (2,000,000): the same table, which has all columns."
    assert expectations(release) == f"{half} {double}"
    assert write_page(release).is_file()


def test_too_few_bytes_name_the_smallest_file_and_that_one_works(tmp_path):
    data = planted()
    with pytest.raises(
        BetError, match=r"50 bytes is below the smallest possible file, ([0-9,]+) bytes"
    ) as error:
        build_table(data, 50, tmp_path / "t", profile="smoke")
    smallest = int(re.search(r"file, ([0-9,]+)", str(error.value))[1].replace(",", ""))
    release = build_table(data, smallest, tmp_path / "t", profile="smoke")
    assert (tmp_path / "t").stat().st_size == smallest
    assert "does not fit" in decision_sentence(release) or release.decision is not None
    assert (
        f"Half the bytes ({smallest // 2}): no table: the smallest file has {smallest} bytes."
        in expectations(release)
    )


def test_the_command_writes_table_and_page(tmp_path, capsys):
    file = tmp_path / "ratings.csv"
    users, items = planted().matrix.nonzero()
    file.write_text(
        "who,item\n" + "".join(f"u{u},i{i}\n" for u, i in zip(users, items, strict=True))
    )
    out = tmp_path / "table.safetensors"
    command = ["table", "--data", str(file), "--user-column", "who", "--out", str(out)]
    command += ["--profile", "smoke"]
    assert bet.__main__.main([*command, "--budget", "4 kB"]) == 0
    printed = capsys.readouterr().out
    assert f"{out.stat().st_size:,} bytes of at most 4,000" in printed
    assert "table is used" in printed and "bet.load(" in printed
    assert "table.users(['u0'])" in printed
    assert (tmp_path / "table.safetensors.html").is_file()
    without_ids = load(out)
    beside = without_ids.ids
    row_of = {**beside.user_rows, **beside.item_rows}
    assert {name[0] for name in beside.user_rows} == {"u"}
    assert {name[0] for name in beside.item_rows} == {"i"}
    assert bet.__main__.main([*command, "--budget", "4 kB", "--with-ids"]) == 0
    table = load(out)
    assert out.stat().st_size <= 4_000 and table.byte_report().ids > 0
    assert table.byte_report().rows < without_ids.byte_report().rows, "ids count"
    assert "table.users(['u0'])" in capsys.readouterr().out
    assert not (tmp_path / "table.safetensors.ids").exists()
    assert "The table holds your ids." in (tmp_path / "table.safetensors.html").read_text()
    for find, side in ((table.users, "u"), (table.items, "i")):
        names = [name for name in row_of if name[0] == side]
        np.testing.assert_array_equal(find(names), table.rows([row_of[name] for name in names]))
    assert bet.__main__.main([*command, "--budget", "90%"]) == 1
    assert "needs a budget in bytes" in capsys.readouterr().err
    assert bet.__main__.main([*command, "--budget", "4 kB to serve"]) == 1
    assert "leave 'to serve' out" in capsys.readouterr().err
    command = ["table", "--data", "movielens-100k", "--k-core", "5", "--out", str(out)]
    assert bet.__main__.main([*command, "--budget", "1 MB"]) == 1
    assert "named dataset" in capsys.readouterr().err
