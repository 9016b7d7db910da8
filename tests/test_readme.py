"""The README shows what the committed reports say, and names commands and files that exist."""

import re
from pathlib import Path

import pandas as pd
import pytest

from bet.methods import IN_BYTES
from bet.report.table import decimal
from bet.study.profiles import PROFILES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def rows_of(heading):
    """The entries of the lines about methods in a section's table."""
    section = README.split(f"{heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = (line for line in section.splitlines() if re.match(r"\| `[\w-]+` \|", line))
    return [[entry.strip() for entry in line.strip().strip("|").split("|")] for line in lines]


def test_paper_table_equals_the_report():
    numbers = pd.read_csv(ROOT / "reports/paper/tables/published_recall_20_gowalla_merged.csv")
    own = numbers[
        (numbers["backbone"] == "lightgcn") & (numbers["metric"] == "recall@20")
    ].set_index(["method", "budget"])
    rows = rows_of("## Gowalla, beside the paper")
    assert [row[0].strip("`") for row in rows] == ["full", "su", "sr", "powerlaw", "bet"]
    for name, *entries in rows:
        method, expected = name.strip("`"), []
        for budget in ("80%", "90%", "95%"):
            key = (method, "none" if method == "full" else budget)
            ours, printed = (
                own.loc[key, ["ours", "published"]]
                if key in own.index
                else (float("nan"), float("nan"))
            )
            expected += [
                decimal(ours),
                decimal(printed),
            ]
        assert [entry.strip("*") for entry in entries] == expected, method


def test_bytes_table_equals_the_report():
    data = pd.read_csv(ROOT / "reports/paper/tables/bytes_gowalla_merged.csv")
    own = data[data["backbone"] == "lightgcn"].sort_values("bytes_per_entity", kind="stable")
    expected = [
        [
            f"`{row.method}`",
            f"{row.bytes_per_entity:.1f}",
            f"{row.columns:.1f}",
            *(decimal(row[name]) for name in ("recall@20", "ndcg@20")),
            f"{row['of full']:.0%}",
        ]
        for _, row in own.iterrows()
        if row.method in ("su", "powerlaw", "bet") or row.method in IN_BYTES
    ]
    assert rows_of("## The same bytes") == expected


def test_result_table_equals_the_report():
    numbers = pd.read_csv(ROOT / "reports/tables/comparison.csv")
    rows = rows_of("## What comes out")
    assert {row[0].strip("`") for row in rows} == set(numbers["method"])
    own = numbers[numbers["backbone"] == "lightgcn"]
    for name, *entries in rows:
        method = name.strip("`")
        expected = []
        for budget in ("80%", "90%", "95%"):
            block = own[
                (own["method"] == method)
                & (own["budget"] == ("none" if method == "full" else budget))
            ]
            expected += [decimal(block[metric].mean()) for metric in ("recall@20", "ndcg@20")]
        assert [entry.strip("* ") for entry in entries] == expected, method


@pytest.mark.parametrize("profile", ["smoke", "default", "full", "paper"])
def test_profiles_are_described(profile):
    assert re.search(rf"`{profile}` \| {len(PROFILES[profile].cells)}: ", README)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
