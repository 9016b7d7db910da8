"""Text from outside is data: through ids, columns, paths, data sets and reasons it reaches every
output, and moves no cursor, opens no tag, loads nothing and calls no macro in any.
"""

import contextlib
import logging
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.display import HTML, Markdown
from made_up import cells_of

import bet
from bet.__main__ import main
from bet.data import from_pairs, planted
from bet.packed import code_interactions, write_recommender
from bet.release.build import build_table
from bet.release.page import write_page
from bet.release.task import Fixed
from bet.report import display
from bet.report.drawing import finish
from bet.report.finding import Finding
from bet.report.page import render_html
from bet.report.style import use_style
from bet.report.table import Table
from bet.study.cell import file_name_of
from bet.study.unreached import Unreached
from bet.text import for_file_name, for_html, for_latex, printable, quoted

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>$(touch x) `id` \x1b[31m\u202e\r"
    "![p](http://x/y.png) [l](javascript:x) \\input{/etc/passwd} $a$ ${b} {{ c }} \" '"
)
NAME = HOSTILE.replace("/", "|").replace("\r", "")  # of a file


class Loads(HTMLParser):
    """What a page would run or load."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        is_ours = str(names.get("src", "")).startswith("data:image/png;base64,")
        if tag in ("script", "iframe", "object") or (tag == "img" and not is_ours):
            self.found.append((tag, attrs))
        if "javascript" in str(names.get("href")) or any(name.startswith("on") for name in names):
            self.found.append((tag, attrs))


def check_terminal(text):
    assert all(line.replace("\t", " ").isprintable() for line in text.split("\n")), ascii(text)


@given(st.text())
def test_helpers_change_only_what_is_shown(text):
    assert printable(text).isprintable() and quoted(text).isprintable()
    assert unescape(for_html(text)) == text and not set("<>\"'") & set(for_html(text))
    plain = for_latex(text)
    for escaped in ("\\textbackslash{}", "\\textasciitilde{}", "\\textasciicircum{}"):
        plain = plain.replace(escaped, "")
    for sign in "&%$#_{}":
        plain = plain.replace("\\" + sign, "")
    assert not set("\\&%$#_{}~^") & set(plain)
    assert len(for_file_name(text)) <= 40 and "/" not in for_file_name(text)
    assert len(file_name_of(text.replace("\0", "") or "a").encode()) < 200


@pytest.fixture
def hostile_file(tmp_path):
    """A file that recommends, of hostile ids and name."""
    path, ids = tmp_path / NAME, ([HOSTILE, "b"], ["x" + HOSTILE, "y", "z"])
    lists = code_interactions(np.array([0, 1, 3]), np.array([0, 1, 2]), n_items=3)
    write_recommender(path, "popularity", {}, n_users=2, n_items=3, seen=lists, ids=ids)
    return path


def test_the_terminal_shows_ids_columns_and_paths_as_text(tmp_path, hostile_file, capsys, caplog):
    table = tmp_path / f"{NAME}.csv"
    table.write_text(f'"{HOSTILE.replace(chr(34), "")}",item\n1,2\n')
    commands = [
        ["recommend", hostile_file, "--user", "b", "-k", "1"],
        ["recommend", hostile_file, "--user", HOSTILE, "-k", "2"],
        ["recommend", hostile_file, "--user", HOSTILE + "x"],
        ["inspect", hostile_file],
        ["inspect", tmp_path / "nowhere" / NAME],
        ["export", hostile_file, "--to", "npy"],
        ["table", "--data", table, "--budget", "1 MB", "--out", tmp_path / "o"],
        ["table", "--data", table, "--budget", HOSTILE, "--out", tmp_path / "o"],
        ["run", "--data", HOSTILE],
        ["run", "--data", "tiny", "--device", HOSTILE],
        ["study", HOSTILE],
        ["study", "smoke", "--cell", HOSTILE],
    ]
    for command in commands:
        with contextlib.suppress(SystemExit):
            main([str(word) for word in command])
        shown = capsys.readouterr()
        assert shown.out or shown.err
        check_terminal(shown.out + shown.err)
    table.write_text("user,item\n1,2\n")
    handler = logging.StreamHandler()
    from bet.cli.command import Printable

    handler.setFormatter(Printable("%(message)s"))
    with caplog.at_level(logging.INFO, "bet"):
        bet.data.read_interactions(table)
    for record in caplog.records:
        check_terminal(handler.format(record))


def test_the_page_of_a_file_shows_names_and_ids_as_text(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    stored = planted().matrix.tocoo()
    users = pd.Series([f"{HOSTILE}{row}" for row in stored.row])
    data = from_pairs(HOSTILE, users, pd.Series([f"{HOSTILE}{column}" for column in stored.col]))
    fast = Fixed(epochs=1, learning_rate=0.03, l2=0.3)
    release = build_table(data, 9_000, tmp_path / NAME, fixed=fast, minutes=0.1)
    release = replace(release, left_out=(HOSTILE,), unsearched=HOSTILE, decision=None)
    page = write_page(release).read_text(encoding="utf-8")
    assert not Loads(page).found
    assert HOSTILE.replace("\r", "\\r")[:20] in unescape(page)


def test_a_report_shows_data_sets_and_reasons_as_text(tmp_path, synthetic, monkeypatch):
    results, shown = synthetic(cells_of()), []
    numbers = {"key": "k", "commit": None, "target": 1, "reached": 2}
    why = Unreached(cell_id=results.records[0].cell_id, why=HOSTILE, **numbers)
    monkeypatch.setattr(display, "display", lambda value, **_: shown.append(value))
    hostile = Finding(f"Best? ({HOSTILE})", HOSTILE, (HOSTILE,))
    monkeypatch.setattr(display, "findings", lambda _: [hostile])
    display.show_findings(results)
    display.show_provenance(replace(results, unreached=(why,)))
    frame = pd.DataFrame({HOSTILE: [HOSTILE]}, index=pd.Index([HOSTILE], name="backbone"))
    table = Table("t", HOSTILE, frame, frame)
    display.show_table(results, table)
    display.show_table(results, table, folded=True)
    outputs = []
    for value in shown:
        kind = "text/markdown" if isinstance(value, Markdown) else "text/html"
        assert isinstance(value, Markdown | HTML)
        outputs.append(nbformat.v4.new_output("display_data", {kind: value.data}))
    cell = nbformat.v4.new_code_cell("", outputs=outputs)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "n.ipynb")
    render_html(tmp_path / "n.ipynb", tmp_path / "page.html", title=HOSTILE)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not Loads(page).found and "onerror=alert(1)&gt;" in page
    assert "<b>Best?" in page or "<strong>Best?" in page
    latex = table.latex()
    assert "\\input" not in latex and "$(touch" not in latex.replace("\\$", "")


def test_a_figure_shows_a_formula_as_text_and_powers_of_ten_as_such(tmp_path):
    with plt.rc_context():
        use_style()
        figure, axis = plt.subplots()
        axis.set(xscale="log", xlim=(1, 1000))
        finish(figure, "$a$ ${b} $(touch x) $\\frac{$", [axis])
        figure.savefig(tmp_path / "f.svg")
        assert all(label.get_parse_math() for label in axis.get_xticklabels())
        plt.close(figure)


def test_a_data_set_is_a_part_of_a_file_name_only_as_its_name(tmp_path):
    name = file_name_of(f"{tmp_path}/../../x/{NAME}.csv")
    assert "/" not in name and name.isprintable() and not set("$`<>{}\"' ") & set(name)
    assert (
        file_name_of("tiny") == "tiny"
        and len({file_name_of("a/b.csv"), file_name_of("b.csv")}) == 2
    )
