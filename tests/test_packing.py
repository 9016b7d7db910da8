"""The report's tables for a reader with a token limit: the cap, the rows that stay, the numbers."""

import pytest
from committed import ROOT, printed, read
from hypothesis import given
from hypothesis import strategies as st
from made_up import cells_of

from bet.analysis.results import results_of
from bet.cli.command import run
from bet.errors import BetError
from bet.report import packing, tables
from bet.report.packing import LEGEND, Block, blocks_of, pack, tokens
from bet.study import bundle

CAP = 2000
BACKBONES = {"lightgcn": "LightGCN", "ncf": "NCF", "ngcf": "NGCF", "ials": "iALS"}
ENTRY = st.text(st.characters(exclude_characters="\n|", exclude_categories=["Cs"]), max_size=12)


@st.composite
def made_blocks(draw):
    """Tables of any entries, of which some rows always stay."""
    blocks = []
    for number in range(draw(st.integers(1, 4))):
        width, height = draw(st.integers(1, 4)), draw(st.integers(0, 12))
        row = st.tuples(*[ENTRY] * width)
        rows = tuple(draw(st.lists(row, min_size=height, max_size=height)))
        kept = draw(st.frozensets(st.integers(0, height - 1))) if height else frozenset()
        order = tuple(draw(st.permutations(range(height))))
        blocks.append(Block(f"table {number}", tuple("c" * width), rows, kept, order))
    return blocks


def least(blocks):
    """The smallest cap, as the error says it."""
    with pytest.raises(BetError, match="give at least") as error:
        pack(blocks, 0)
    return int(str(error.value).rsplit(" ", 1)[1])


@given(blocks=made_blocks(), more=st.integers(0, 400))
def test_the_cap_is_never_exceeded_and_what_must_stay_stays(blocks, more):
    smallest = least(blocks)
    cap = smallest + more
    text = pack(blocks, cap)
    assert tokens(text) <= cap
    lines = text.removeprefix(LEGEND).split("\n")
    for block in blocks:
        for number in block.kept:
            assert "|".join(block.rows[number]) in lines
    entries = {"|".join(row) for block in blocks for row in block.rows}
    heads = {"|".join(block.columns) for block in blocks}
    assert all(line in entries | heads or line[:2] in ("# ", "") for line in lines)
    with pytest.raises(BetError, match=f"give at least {smallest}$"):
        pack(blocks, smallest - 1)


@given(blocks=made_blocks())
def test_with_enough_tokens_every_row_is_there_once_in_its_order(blocks):
    text = pack(blocks, 10**6)
    whole = [block.text(frozenset(range(len(block.rows)))) for block in blocks]
    assert text == LEGEND + "".join(whole) and "left out" not in text


def test_the_most_relevant_rows_of_every_table_come_first():
    rows = tuple((f"m{i}",) for i in range(4))
    one, two = (Block(t, ("m",), rows, frozenset({0}), (0, 3, 2, 1)) for t in ("one", "two"))
    both = pack([one, two], least([one, two]) + 8)
    assert both.count("m3") == 2 and "m2" not in both and "m1" not in both
    assert "# one (2 of 4 rows left out)\nm\nm0\nm3\n" in both


@given(text=st.text(), further=st.text())
def test_tokens_are_counted_by_a_plain_rule(text, further):
    """No more than bytes, no fewer than half the letters and every digit and mark; a join at the
    end of a line adds nothing.
    """
    assert tokens(text) <= len(text.encode())
    assert tokens(text) >= len(text.replace(" ", "")) / 2
    assert tokens(f"{text}\n{further}") == tokens(text) + 1 + tokens(further)


def test_packed_rows_are_the_tables_own(synthetic):
    results = synthetic(cells_of())
    (group,) = results.groups
    blocks = {block.title: block for block in blocks_of(results)}
    block = blocks["tiny, NCF, by sparsity"]
    text = tables.comparison(results, group).text.xs("ncf").xs("N@20", axis=1, level=1)
    assert [row[0] for row in block.rows] == list(text.index)
    for row, entries in zip(block.rows, text.itertuples(index=False), strict=True):
        assert [entry.split(" ")[0] for entry in entries] == list(row[1:])
    names = [row[0] for row in block.rows]
    assert {"su", "full", "bet"} == {names[i] for i in block.kept}, "bet is the best here"
    assert [names[i] for i in block.order[:2]] == ["bet", "powerlaw"]
    by_bytes = blocks["tiny, LightGCN, by bytes"]
    assert {"su", "full"} <= {by_bytes.rows[i][0] for i in by_bytes.kept}
    best = max((row for row in by_bytes.rows), key=lambda row: row[2])
    assert best in {by_bytes.rows[i] for i in by_bytes.kept}


def test_an_empty_study_is_a_legend(synthetic):
    cells = cells_of()
    nothing = synthetic(cells, left_out=[cell.id for cell in cells])
    assert pack(blocks_of(nothing), CAP) == LEGEND


def test_the_command_prints_the_packed_tables(synthetic, monkeypatch, capsys):
    results = synthetic(cells_of())
    monkeypatch.setattr("bet.report.build.load", lambda profile: results)
    assert run(["report", "smoke", "--pack", "900"]) == 0
    assert capsys.readouterr().out == pack(blocks_of(results), 900)
    assert run(["report", "smoke", "--pack", "9"]) == 1
    assert "9 tokens are too few" in capsys.readouterr().err


@pytest.fixture(scope="module")
def committed_blocks(tmp_path_factory):
    nowhere = tmp_path_factory.mktemp("nothing")
    return blocks_of(results_of(bundle.load("full", nowhere, ROOT / "reports/full")))


def look_up(text, title, column):
    """A column of the table with that title: pairs of row and entry; none where it is cut off."""
    tables = [part.splitlines() for part in text.split("# ")[1:]]
    lines = next((part for part in tables if part[0].split(" (")[0] == title), [])
    rows = [line.split("|") for line in lines[1:]]
    if len(rows) < 2 or column not in rows[0]:
        return []
    at = rows[0].index(column)
    return [(row[0], row[at]) for row in rows[1:] if len(row) == len(rows[0])]


def questions():
    """Thirty, about all kinds of tables: where the answer is looked up (table, column, row; None:
    the best with a budget), and the right answers by the CSV files.
    """
    numbers = read("full", "comparison")
    means = numbers.groupby(["backbone", "budget", "method"])["ndcg@20"].mean()
    by_bytes = read("full", "bytes").set_index(["backbone", "method"])
    for backbone, name in BACKBONES.items():
        title = f"movielens-100k, {name}, by sparsity"
        for budget in ("80%", "90%", "95%"):
            yield title, f"sparsity {budget}", None, best_of(means[backbone, budget])
        yield title, "sparsity 90%", "bet", {printed(means[backbone, "90%", "bet"])}
        yield title, "sparsity 90%", "full", {printed(means[backbone, "none", "full"])}
        title = f"movielens-100k, {name}, by bytes"
        full = by_bytes.loc[(backbone, "full")]
        yield title, "bytes to serve", "full", {f"{full['bytes to serve per entity'].item():.2f}"}
        means_by_bytes = by_bytes.loc[backbone].drop(index="full")["ndcg@20"]
        yield title, "N@20", None, best_of(means_by_bytes)
    serve = read("full", "best_to_serve").set_index("at most")
    for size in (12.8, 25.6):
        title = "movielens-100k: the best within so many bytes to serve"
        yield title, "N@20", str(size), {printed(serve.loc[size, "ndcg@20"])}


def best_of(means):
    """The best method and its mean, in all ways that are right where printed means are equal."""
    shown = means.map(printed)
    return {f"{method} {shown.max()}" for method in shown.index[shown == shown.max()]}


def answered(text):
    """How many of the questions the text answers, and of which it says something false."""
    right, wrong = 0, []
    for title, column, method, answer in questions():
        found = look_up(text, title, column)
        if method is None:
            found = [pair for pair in found if pair[1] != "–"]  # did not run there
            budgeted = [pair for pair in found if pair[0] != "full" and "(own" not in pair[0]]
            said = " ".join(max(budgeted, key=lambda pair: pair[1])) if budgeted else ""
        else:
            said = next((entry for name, entry in found if name == method), "")
        right += said in answer
        wrong += [(title, column, said)] if said and said not in answer else []
    return right, wrong


def test_thirty_questions_are_answered_from_2000_tokens_and_fewer_by_the_first_lines(
    committed_blocks,
):
    text = pack(committed_blocks, CAP)
    assert tokens(text) <= CAP and len(list(questions())) == 30
    assert answered(text) == (30, [])
    first = ""
    for line in pack(committed_blocks, 10**6).splitlines(keepends=True):
        if tokens(first + line) > CAP:
            break
        first += line
    assert tokens(first) > CAP - 100, "as many tokens"
    assert answered(first)[0] <= 25 and answered(pack(committed_blocks, 10**6))[0] == 30


def test_the_examples_of_the_rule_are_counted_so():
    assert packing.tokens("bet-int4 .4131") == 11 and tokens("≈") == 3
