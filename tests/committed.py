"""The committed reports as README.md and docs/results.md quote them."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
BUDGETS = ("80%", "90%", "95%")
SIGNIFICANT = 0.05
OPPONENTS = {  # by kind: in results.md, and in the sentences of the report
    "best on validation": ("its best competitor", "its best competitor"),
    "tuned rule": ("the tuned power law (`powerlaw`)", "the tuned power-law rule"),
    "random selection": (
        "the same search with random picks (`bet-random`)",
        "the same search with random selection",
    ),
    "no fine-tuning": (
        "the same search without fine-tuning (`nested`)",
        "a search that scores actions without fine-tuning",
    ),
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


def records(profile):
    """The committed records of a profile in a folder of its name."""
    lines = (ROOT / "reports" / profile / "records.jsonl").read_text(encoding="utf-8").splitlines()
    return list(map(json.loads, lines))


def cells_without_mlp(profile):
    """Of the cells of ``bet-plus`` with NCF, "n of m" that left the MLP's table out."""
    weights = [
        record["size"]["backbone_parameters"]
        for record in records(profile)
        if (record["cell"]["method"], record["cell"]["backbone"]) == ("bet-plus", "ncf")
    ]
    return f"{weights.count(64)} of {len(weights)}"  # GMF has a weight per column


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


def paired(kind, method="bet", profile="full"):
    data = read(profile, "paired")
    return data[(data["kind"] == kind) & (data["method"] == method)]


def duels(profile, method, kind, backbone="lightgcn", protocol="merged"):
    """The comparisons by budget, and which of them are significant, +1 ahead."""
    data = paired(kind, method, profile)
    chosen = (data["backbone"] == backbone) & (data["protocol"] == protocol)
    data = data[chosen].set_index("budget").reindex(BUDGETS)
    return data, list(np.sign(data["difference"]) * (data["p_holm"] < SIGNIFICANT))


def together(opponent, method="BET", profile="full"):
    """The mean over all pairs and its interval, from the report's sentence."""
    start = re.escape(f"Against {opponent}")
    name = rf"(?:<code>)?{re.escape(method)}(?:</code>)? is ahead"
    number = r"([+-][.\d]+)"
    pattern = rf"{start}[^;]*?, {name}[^;]*; over all of them the mean difference is {number} "
    report = (ROOT / "reports" / profile / "report.html").read_text(encoding="utf-8")
    return re.search(pattern + r"(\[.*?\])\.", report).groups()


def of_full(row):
    """As the reports write it: 100 % only of what is equivalent to the full table."""
    share, equivalent = row["of full"], row["equivalent"]
    digits = 0 if equivalent or f"{share:.0%}" != "100%" else 1
    return f"{share:.{digits}%}" + " ≈" * bool(equivalent)


def counts(kind, method="bet", profile="full"):
    """Pairs of backbone and budget: all, ``method`` ahead, behind, both significantly."""
    data = paired(kind, method, profile)
    clear = data["p_holm"] < SIGNIFICANT
    ahead, behind = int((data["difference"] > 0).sum()), int((data["difference"] < 0).sum())
    return (
        len(data),
        ahead,
        behind,
        int((clear & (data["difference"] > 0)).sum()),
        int((clear & (data["difference"] < 0)).sum()),
    )


def duel_row(kind, words, method="bet", profile="full"):
    """How ``method`` compares over all pairs: the range, the counts, the mean and its interval."""
    difference = paired(kind, method, profile)["difference"]
    numbers = [f"{x:+.4f}" for x in (difference.min(), difference.max())]
    pairs, ahead, _, *clear = counts(kind, method, profile)
    mean = together(words, "BET" if method == "bet" else method, profile)
    return [*numbers, f"{ahead} of {pairs}", *map(str, clear), *mean]


def printed(value):
    return f"{value:.4f}".removeprefix("0")


def served(method, backbone="references", budget="none", dataset="gowalla"):
    """Recall@20 and bytes to serve, protocol merged."""
    data = read("paper", f"bytes_{dataset}_merged").set_index(["backbone", "method", "budget"])
    row = data.loc[(backbone, method, budget)]
    return printed(row["recall@20"]), f"{row['bytes to serve per entity']:.1f}"
