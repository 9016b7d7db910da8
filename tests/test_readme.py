"""README.md and docs/results.md show what the committed reports say, and README.md stays short."""

import json
import re
from pathlib import Path

import pandas as pd

from bet.backbones import BACKBONES
from bet.methods import IN_BYTES, METHODS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
BUDGETS = ("80%", "90%", "95%")
SIGNIFICANT = 0.05
OPPONENTS = {
    "best on validation": "its best competitor",
    "tuned rule": "the tuned power law (`powerlaw`)",
    "random selection": "the same search with random picks (`bet-random`)",
    "no fine-tuning": "the same search without fine-tuning (`nested`)",
}


def section(text, heading):
    """What stands between a heading of the second level and the next."""
    return text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def table_rows(text):
    """The entries of the lines of tables, without the headings."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[entry.strip() for entry in line.strip("|").split("|")] for line in lines]
    return [row for i, row in enumerate(rows) if not set("".join(row)) <= set("-: ") and i > 0]


def read(profile, name):
    folder = ROOT / "reports" / profile if profile != "default" else ROOT / "reports"
    return pd.read_csv(folder / "tables" / f"{name}.csv")


def gowalla_bytes():
    data = read("paper", "bytes_gowalla_merged")
    return data[data["backbone"] == "lightgcn"]


def best_to_serve(profile, group=""):
    """By the most bytes per entity to serve: the best that fits, and the best searched or float32
    table.
    """
    return read(profile, f"best_to_serve{group}").set_index("at most")


def published(protocol, backbone, dataset="gowalla"):
    """Recall@20 of ours and of the paper, by method and budget."""
    data = read("paper", f"published_recall_20_{dataset}_{protocol}")
    chosen = (data["backbone"] == backbone) & (data["metric"] == "recall@20")
    return data[chosen].set_index(["method", "budget"])[["ours", "published"]]


def paired(kind):
    data = read("full", "paired")
    return data[data["kind"] == kind]


def counts(kind):
    """Pairs of backbone and budget: all, BET ahead, behind, significantly ahead and behind."""
    data = paired(kind)
    # The test looks at ranks, the interval at the mean that is reported: both must say so.
    clear = data["p_holm"] < SIGNIFICANT
    ahead, behind = int((data["difference"] > 0).sum()), int((data["difference"] < 0).sum())
    return (
        len(data),
        ahead,
        behind,
        int((clear & (data["low"] > 0)).sum()),
        int((clear & (data["high"] < 0)).sum()),
    )


def printed(value):
    return f"{value:.4f}".removeprefix("0")


def test_readme_is_short():
    assert len(README.split()) <= 900


def test_readme_names_every_method_and_backbone():
    for name in [*METHODS, *BACKBONES]:
        assert f"`{name}`" in README, name


def served(method, backbone="references", budget="none", dataset="gowalla"):
    """Recall@20 and bytes to serve, protocol merged."""
    data = read("paper", f"bytes_{dataset}_merged").set_index(["backbone", "method", "budget"])
    row = data.loc[(backbone, method, budget)]
    return printed(row["recall@20"]), f"{row['bytes to serve per entity']:.1f}"


def beside(dataset):
    """BET's Recall@20 at the three budgets with LightGCN, ours and published."""
    ours = published("merged", "lightgcn", dataset).loc["bet"]
    for column in ours.columns:
        first, second, third = (printed(ours.loc[budget, column]) for budget in BUDGETS)
        yield f"{first}, {second} and {third}"


def answer():
    """The sentences of README's answer, from the tables of the reports."""
    rule, full = served("graph-filter"), served("full", "lightgcn")
    blend = served("blend", "lightgcn", "51.2 B/entity to serve")
    yelp = "yelp2018"
    elsewhere = served("graph-filter", dataset=yelp), served("full", "lightgcn", dataset=yelp)
    for simple, trained in ((rule, full), elsewhere):
        assert simple[0] > trained[0] and float(simple[1]) < float(trained[1])
    fitting = read("full", "best_to_serve").set_index("at most").loc[25.6]
    assert (fitting["method"], fitting["backbone"]) == ("bet-bytes", "ials")
    kept = gowalla_bytes().set_index(["budget", "method"])
    bits, floats = kept.loc[("25.6 B/entity", "uniform-int2")], kept.loc["95%"]
    best = floats["ndcg@20"].idxmax()
    assert best == "bet-simple" and floats.loc[best, "seeds"] == 1
    pairs, _, behind_best, _, clearly_behind_best = counts("best on validation")
    assert behind_best == pairs
    _, _, behind_rule, _, clearly_behind_rule = counts("tuned rule")
    (ours, theirs), (bet, paper) = (beside(dataset) for dataset in (yelp, "gowalla"))
    return [
        f"a Recall@20 of {rule[0]} in {rule[1]} bytes per entity",
        f"the full LightGCN has {full[0]} in {full[1]}.",
        f"the filter has {blend[0]} in {blend[1]}.",
        f"On Yelp2018 it is {elsewhere[0][0]} against {elsewhere[1][0]}.",
        f"keep {fitting['of full']:.0%} of the full LightGCN's NDCG@20 in "
        f"{fitting['bytes to serve per entity']:.1f}.",
        f"Trained at 2 bits per number they keep {bits['of full']:.0%} of the full table's NDCG@20 "
        f"in {bits['table bytes per entity']:.1f} bytes per entity, interactions not counted.",
        f"Of the {len(floats)} float32 tables that ran at that size, "
        f"{floats.loc[best, 'table bytes per entity']:.1f} bytes, the best keeps "
        f"{floats.loc[best, 'of full']:.0%} (`bet-simple`), a power law of frequency "
        f"{floats.loc['powerlaw', 'of full']:.0%} and BET {floats.loc['bet', 'of full']:.0%}.",
        f"below its best competitor's in all {pairs} pairs of backbone and budget (significantly "
        f"in {clearly_behind_best}) and below the tuned power law's in {behind_rule} "
        f"(significantly in {clearly_behind_rule}).",
        f"BET has a Recall@20 of {ours} at 80, 90 and 95 % sparsity; the paper reports {theirs}.",
        f"On Gowalla: {bet}; {paper}.",
    ]


def test_readme_answer_is_the_reports():
    text = " ".join(section(README, "The answer").replace(" %", "%").split())
    for sentence in answer():
        sentence = sentence.replace(" %", "%")
        assert sentence in text, sentence
        text = text.replace(sentence, "")
    # Names and links may hold digits; no other number goes unchecked.
    names = r"\]\([^)]*\)|(NDCG|Recall)@20|MovieLens-100K|Yelp2018|float32|^1\.|[234]\. \*\*"
    rest = re.sub(names, "", text)
    assert not re.findall(r"\d\S*", rest)


def test_default_table_is_the_reports():
    numbers = read("default", "comparison")
    rows = table_rows(section(RESULTS, "MovieLens-100K, one seed"))
    lightgcn = numbers[numbers["backbone"] == "lightgcn"]
    assert {row[0].strip("`") for row in rows} == set(lightgcn["method"])
    for name, *entries in rows:
        method, expected = name.strip("`"), []
        for budget in BUDGETS:
            cells = lightgcn[lightgcn["method"] == method]
            if method != "full":  # which has no budget
                cells = cells[cells["budget"] == budget]
            assert len(cells) == 1
            expected += [printed(cells[metric].item()) for metric in ("recall@20", "ndcg@20")]
        assert [entry.strip("* ") for entry in entries] == expected, method


def paired_rows():
    for kind, name in OPPONENTS.items():
        difference = paired(kind)["difference"]
        numbers = [f"{x:+.4f}" for x in (difference.mean(), difference.min(), difference.max())]
        pairs, ahead, _, *clear = counts(kind)
        yield [name, *numbers, f"{ahead} of {pairs}", *map(str, clear)]


def same_bytes_rows():
    """At every size the best on validation of both kinds, of those with every seed."""
    data = read("full", "bytes")
    data = data[(data["backbone"] == "lightgcn") & (data["seeds"] == data["seeds"].max())]
    for size, sparsity in (("51.2", "80%"), ("25.6", "90%"), ("12.8", "95%")):
        row = [size, sparsity]
        for budget in (f"{size} B/entity", sparsity):
            best = data.loc[data[data["budget"] == budget]["validation"].idxmax()]
            row += [f"`{best['method']}`", f"{best['of full']:.0%}"]
        yield row


def test_three_seeds_are_the_reports():
    rows = table_rows(section(RESULTS, "MovieLens-100K, three seeds"))
    expected = [*paired_rows(), *same_bytes_rows()]
    assert [row for row in rows if row[0] != "bytes per entity"] == expected


def test_what_is_said_of_quantized_tables_holds():
    """The sentences of results.md on the same bytes, at 6.4 to 51.2 bytes per entity."""
    data = read("full", "bytes").set_index(["backbone", "budget", "method"])["of full"].sort_index()
    searched = ["bet-int8", "bet-int4", "bet-bytes"]
    for size in ("6.4", "12.8", "25.6", "51.2"):
        lightgcn, ncf, ngcf = (
            data[name, f"{size} B/entity"] for name in ("lightgcn", "ncf", "ngcf")
        )
        equal = [name for name in lightgcn.index if name.startswith("uniform-")]
        assert lightgcn[equal].max() > lightgcn[searched].max()
        assert ngcf[["mec", "pq"]].max() > ngcf[equal].max()
        if size != "51.2":
            assert ncf.idxmax() == "uniform-int4"
        if size != "6.4":
            assert ngcf[["mec", "pq", "bet-int8", "bet-int4"]].min() > 1


def test_best_to_serve_is_the_reports():
    expected = []
    for _, row in read("full", "best_to_serve").iterrows():
        numbers = [printed(row[name]) for name in ("recall@20", "ndcg@20")]
        names = [f"{row['at most']:.1f}", f"`{row['method']}`", row["backbone"], row["holds"]]
        expected.append([*names, *numbers, f"{row['of full']:.0%}"])
    assert table_rows(section(RESULTS, "MovieLens-100K: bytes to serve")) == expected


def test_gowalla_bytes_to_serve_are_the_reports():
    data = read("paper", "bytes_gowalla_merged")
    alone = (data["backbone"] == "references") | (data["method"] == "full")
    expected = []
    for _, row in data[alone | data["budget"].str.endswith("to serve")].iterrows():
        numbers = [printed(row[name]) for name in ("recall@20", "ndcg@20")]
        names = [f"`{row['method']}`", row["backbone"], row["holds"]]
        expected.append([*names, f"{row['bytes to serve per entity']:.1f}", *numbers])
    assert table_rows(section(RESULTS, "Gowalla: the same bytes to serve")) == expected


def test_gowalla_bytes_are_the_reports():
    data = gowalla_bytes().sort_values("table bytes per entity", kind="stable")
    data = data[~data["budget"].str.endswith("to serve")]
    expected = []
    for _, row in data.iterrows():
        if row["method"] in ("su", "powerlaw", "bet") or row["method"] in IN_BYTES:
            numbers = [printed(row[name]) for name in ("recall@20", "ndcg@20")]
            sizes = [f"{row['table bytes per entity']:.1f}", f"{row['columns']:.1f}"]
            expected.append([f"`{row['method']}`", *sizes, *numbers, f"{row['of full']:.0%}"])
    assert table_rows(section(RESULTS, "Gowalla: the same table bytes")) == expected


def beside_rows(protocol, backbone, methods, dataset="gowalla"):
    numbers = published(protocol, backbone, dataset)
    for method in methods:
        row = [f"`{method}`"]
        for budget in BUDGETS if method != "full" else ["none"] * len(BUDGETS):
            for value in numbers.loc[method, budget]:
                row.append("" if pd.isna(value) else printed(value))
        yield row


def test_gowalla_beside_the_paper_is_the_reports():
    rows = table_rows(section(RESULTS, "Gowalla: beside the paper"))
    rows = [[entry.strip("*") for entry in row] for row in rows if row[0]]
    lightgcn = beside_rows("merged", "lightgcn", ("full", "su", "sr", "powerlaw", "bet"))
    assert rows == [*lightgcn, *beside_rows("clean", "ncf", ("full", "su", "powerlaw", "bet"))]


def yelp_rows():
    methods = ("full", "su", "sr", "powerlaw", "bet")
    reference = served("graph-filter", dataset="yelp2018")[0]
    return [
        *beside_rows("merged", "lightgcn", methods, "yelp2018"),
        ["`graph-filter`", *[reference, ""] * len(BUDGETS)],
    ]


def test_yelp_beside_the_paper_is_the_reports():
    rows = table_rows(section(RESULTS, "Yelp2018: beside the paper"))
    assert [[entry.strip("*") for entry in row] for row in rows] == yelp_rows()


def test_training_had_not_converged():
    """Why README and results say that shares of the full table are to be read with care."""
    curves = []
    for line in (ROOT / "reports/paper/records.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        cell = record["cell"]
        at_float32 = cell["budget"] in (None, "none", *BUDGETS)
        where = (cell["dataset"], cell["backbone"], cell["protocol"])
        if where == ("gowalla", "lightgcn", "merged") and at_float32:
            curves.append([row["quality"] for row in record["learning_curve"]])
            if cell["method"] == "full":
                assert max(curves[-1]) == curves[-1][-1]
    last = sum(max(quality) == quality[-1] for quality in curves)
    assert f"In {last} of {len(curves)} LightGCN models" in RESULTS


def test_finished_cells_are_counted():
    records = (ROOT / "reports/paper/records.jsonl").read_text(encoding="utf-8").splitlines()
    assert f"{len(records)} have run" in RESULTS
