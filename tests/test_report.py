"""The report: what its sentences, figures and page say is so in the records."""

import re
from itertools import combinations, pairwise

import matplotlib.pyplot as plt
import pytest
from made_up import cells_of, sized_study

from bet.analysis.answers import budget_use
from bet.analysis.results import Group
from bet.methods import METHODS
from bet.paths import notebooks_dir
from bet.report import drawing, figures, opening_figure, search_figures
from bet.report.build import build, load
from bet.report.display import missing
from bet.report.findings import findings, further_findings, is_it_complete
from bet.report.provenance import provenance
from bet.report.style import METHOD_COLORS, METHOD_MARKERS, use_style
from bet.study.profiles import PROFILES
from bet.study.run import run_cell


def test_every_method_has_a_color_and_a_marker():
    assert set(METHOD_COLORS) >= set(METHODS) and set(METHOD_MARKERS) == set(METHODS)
    assert len(set(METHOD_COLORS.values())) == len(METHOD_COLORS)


def further(results):
    return "\n".join(finding.answer for finding in further_findings(results))


def test_findings_say_what_is_missing(synthetic):
    cells = cells_of()
    results = synthetic(cells, left_out=[cells[0].id, cells[1].id])
    first, *_ = findings(results)
    assert first.answer.startswith("No: 2 of 60 cells have not run (") and len(results.missing) == 2
    assert "come from 1 to 2 seeds a setting, each with its own split" in further(results)
    assert "come from 2 seeds, each with its own split" in further(synthetic(cells))
    assert is_it_complete(synthetic(cells)) is None
    nothing = synthetic(cells, left_out=[cell.id for cell in cells])
    assert "seed" not in further(nothing)
    assert "0 of 60 finished" in provenance(nothing).to_string()
    some = synthetic(cells, left_out=[cell.id for cell in cells if cell.method == "sr"])
    counts = missing(some).set_index(["backbone", "method"])
    assert counts.loc[("ncf", "sr"), ["missing", "of"]].tolist() == [4, 4] and len(counts) == 2


def test_a_table_over_its_limit_would_show(synthetic):
    def change(record):
        record["size"]["parameters"] += record["cell"]["method"] == "sr"

    cells = cells_of(seeds=(0,))
    use = budget_use(results := synthetic(cells))
    assert use.max() == use.min() == 1.0 and "none exceeds it" in further(results)
    use = budget_use(results := synthetic(cells, change=change))
    assert (use > 1).sum() == 4 and "4 EXCEED it" in further(results)


def test_there_is_no_quantized_table_in_the_comparison_by_parameters(search_record, sized):
    quality = {"su": {"80%": (53.0, None, 0.4)}, "uniform-int4": {"26 B/entity": (26, 26, 0.5)}}
    results = sized(quality)
    assert set(results.main["method"]) == {"full", "su"}
    assert set(results.by_bytes["method"]) == {"full", "su", "uniform-int4"}
    assert len(sized_study(search_record, quality)[0]) == len(results.cells)


GROUPED = [
    opening_figure.quality_against_bytes,
    figures.bytes_by_backbone,
    figures.quality_against_budget,
    figures.sizes_against_frequency,
    figures.quality_against_epochs,
]
OVERALL = [
    search_figures.quality_against_actions,
    search_figures.quality_against_iterations,
    search_figures.predictor_loss,
]


@pytest.mark.parametrize("state", ["whole", "half", "nothing"])
@pytest.mark.parametrize("make", GROUPED + OVERALL, ids=lambda make: make.__name__)
def test_figures_are_labeled_and_not_empty(synthetic, tmp_path, make, state):
    use_style()
    cells = cells_of()
    half, everything = ([cell.id for cell in cells[::step]] for step in (2, 1))
    left_out = {"whole": [], "half": half, "nothing": everything}[state]
    results = synthetic(cells, left_out)
    figure = make(results, *results.groups) if make in GROUPED else make(results)
    if state == "nothing":
        assert figure is None
        return
    for axis in figure.axes:
        assert axis.get_xlabel() and (axis.lines or axis.containers)
    assert any(axis.get_ylabel() for axis in figure.axes)
    drawing.write(figure, "figure", tmp_path)
    sizes = {path.suffix: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes[".png"] > 5_000 and sizes.keys() == {".png", ".pdf"}
    plt.close(figure)


def test_at_most_seven_lines_have_names(synthetic):
    results = synthetic(cells_of())
    for make in GROUPED[1:]:
        figure = make(results, *results.groups)
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        lines = [name for name in labels if name != "other methods" and "bytes" not in name]
        assert len(lines) <= 7
        plt.close(figure)


def test_the_opening_figure_names_at_most_seven_lines_at_their_ends(sized):
    """The full LightGCN, the best at every size, the search and the rule; the rest is gray."""
    size = {"80%": (50.0, None, 0.42), "90%": (25.0, None, 0.40)}
    others = ("su", "sr", "pep", "ciess", "powerlaw", "bet-random", "bet-simple", "magnitude")
    results = sized(dict.fromkeys(("bet", *others), size))
    (group,) = results.groups
    figure = opening_figure.quality_against_bytes(results, group)
    (axis,) = figure.axes
    names = [text.get_text() for text in axis.texts]
    assert len(names) <= 7 and not figure.legends and axis.get_legend() is None
    assert {"full LightGCN", "bet on LightGCN", "powerlaw on LightGCN"} <= set(names)
    colored = [line for line in axis.lines if line.get_color() != drawing.OTHERS["color"]]
    assert len(colored) == len(names) < len(axis.lines)
    assert {line.get_linestyle() for line in axis.lines if line not in colored} == {"None"}
    points = [text.get_text() for text in axis.texts if text.anncoords == "offset points"]
    assert points == ["full LightGCN"]  # beside it; the others stand in the margin
    margin = [text for text in axis.texts if text.anncoords == "axes fraction"]
    assert len(margin) == len(names) - 1
    heights = sorted(text.xyann[1] for text in margin)
    assert min(b - a for a, b in pairwise(heights)) >= opening_figure.GAP - 1e-5
    assert 0 <= heights[0] and heights[-1] <= 1
    plt.close(figure)


def test_the_opening_figure_reaches_to_a_reference_that_serves_best(sized):
    """A filter of few bytes that is better than all tables is drawn and named; an order of
    popularity, which is far worse, is not.
    """
    quality = {"bet": {"80%": (60.0, None, 0.42)}, "powerlaw": {"80%": (60.0, None, 0.41)}}
    quality |= {"graph-filter": {"none": (8.0, None, 0.45)}}
    quality |= {"popularity": {"none": (0.1, None, 0.1)}}
    results = sized(quality)
    figure = opening_figure.quality_against_bytes(results, *results.groups)
    (axis,) = figure.axes
    names = {text.get_text() for text in axis.texts}
    assert "graph-filter (reference)" in names and "popularity (reference)" not in names
    low, high = axis.get_xlim()
    assert 1 < low < 8 < high
    plt.close(figure)


def test_the_best_reference_has_a_name_though_tables_are_better(sized):
    sizes = {"vectors-int2": 6.0, "uniform-int2": 12.0, "pq": 25.0}
    quality = {
        method: {"80%": (size, None, 0.42 + size / 1000)} for method, size in sizes.items()
    } | {method: {"80%": (60.0, None, 0.4)} for method in ("bet", "bet-plus", "powerlaw")}
    quality |= {"graph-filter": {"none": (20.0, None, 0.41)}}
    results = sized(quality)
    figure = opening_figure.quality_against_bytes(results, *results.groups)
    names = {text.get_text() for text in figure.axes[0].texts}
    assert "graph-filter (reference)" in names and len(names) == opening_figure.NAMED
    plt.close(figure)


@pytest.mark.parametrize("x", [2.0, 30.0])
def test_names_of_points_at_one_place_do_not_cover_each_other(x):
    figure, axis = plt.subplots(figsize=(8, 4))
    axis.set(xscale="log", xlim=(1, 100), ylim=(0, 1))
    points = [(x, 0.50, "a full table"), (x, 0.51, "another table"), (x, 0.8, "far away")]
    opening_figure._name_points(axis, points, middle=10.0)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in axis.texts]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert [axis.texts[i].xyann[1] > 0 for i in range(3)] == [False, True, True]
    plt.close(figure)


def test_a_second_backbone_has_white_markers(synthetic):
    def change(record):
        if record["cell"]["backbone"] == "ncf":
            record["serving"]["bytes"] //= 2  # so that it serves best

    results = synthetic(cells_of(), change=change)
    figure = opening_figure.quality_against_bytes(results, *results.groups)
    (axis,) = figure.axes
    colored = [line for line in axis.lines if line.get_color() != drawing.OTHERS["color"]]
    white = [line.get_markerfacecolor() == "white" for line in colored]
    of_ncf = [text for text in axis.texts if "NCF" in text.get_text()]
    assert 0 < sum(white) == len(of_ncf) < len(colored)
    plt.close(figure)


def test_group_names_its_rows_and_files(synthetic):
    results = synthetic(cells_of())
    assert results.groups == [Group("tiny", "clean", "")]
    assert len(Group("tiny", "merged").of(results.main)) == 0


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Call with a name for results and cache of their own; the reports stay the same."""
    monkeypatch.setenv("BET_REPORTS", str(tmp_path / "reports"))

    def use(name):
        for kind in ("RESULTS", "CACHE"):
            monkeypatch.setenv(f"BET_{kind}", str(tmp_path / name / kind.lower()))
        return tmp_path / "reports" / "smoke"

    return use


def test_a_repeated_study_writes_the_same_bytes(folders):
    """Reports of two independent runs of the same cells."""
    cells = PROFILES["smoke"].cells[:2]
    folder = folders("first")
    records = [run_cell(cell) for cell in cells]
    html = build("smoke")
    assert html == folder / "report.html"
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    names = {path.relative_to(folder).as_posix() for path in files}
    assert {"records.jsonl", "per_user.parquet", "report.ipynb", "tables/comparison.csv"} <= names
    assert "figures/quality_against_bytes.png" in names
    folders("second")
    again = [run_cell(cell) for cell in cells]
    assert again[1].run.seconds != records[1].run.seconds
    build("smoke")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == files
    folders("nothing")
    assert load("smoke").records == tuple(records), "without results, what is committed"

    page = html.read_text()
    assert f"2 of {len(PROFILES['smoke'].cells)} finished" in page
    assert f"{len(PROFILES['smoke'].cells) - 2} cells that have not run" in page
    headings = re.findall(r'<h2 id="(s\d+)">(.*?)</h2>', page)
    links = re.findall(r'<a href="#(s\d+)">(.*?)</a>', page)
    assert headings == links and ("s0", "The answers") in headings
    checklist = (notebooks_dir().parent / "docs" / "checklist.md").read_text()
    questions = re.findall(r"^\*\*(.*?)\*\*", checklist, flags=re.MULTILINE)
    assert questions == re.findall(r"<strong>(.*?\?)</strong>", page) and "](" not in page
    # Sections about cells that this study has not run are left out, in the notebook as well.
    for absent in ("The number of iterations T", "Average ranks", "Is BET better"):
        assert absent not in page and absent not in (folder / "report.ipynb").read_text()
        assert absent in (notebooks_dir() / "report.ipynb").read_text()
