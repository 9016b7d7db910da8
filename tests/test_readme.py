"""The README shows what the committed reports say, and names commands and files that exist."""

import re
from pathlib import Path

import pandas as pd
import pytest

from bet.report.findings import findings
from bet.report.frames import load_study
from bet.report.tables import mean_sd
from bet.study.profiles import PROFILES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_result_table_equals_the_report():
    numbers = pd.read_csv(ROOT / "reports/tables/comparison.csv")
    rows = [line.strip("| ").split(" | ") for line in README.splitlines() if re.match(r"\| `[\w-]+` \|", line) and " | ." in line]
    assert {row[0].strip("`") for row in rows} == set(numbers["method"])
    own = numbers[numbers["backbone"] == "lightgcn"]
    for name, *entries in rows:
        method = name.strip("`")
        expected = []
        for budget in ("80%", "90%", "95%"):
            block = own[(own["method"] == method) & (own["budget"] == ("none" if method == "full" else budget))]
            expected += [mean_sd(block[metric]) for metric in ("recall@20", "ndcg@20")]
        assert [entry.strip("* ") for entry in entries] == expected, method


def test_findings_equal_the_report():
    study = load_study("full", ROOT / "nowhere", ROOT / "reports/full")
    assert not study.missing
    for line in findings(study).splitlines():
        assert line in README


@pytest.mark.parametrize("profile", ["smoke", "default", "full", "paper"])
def test_profiles_are_described(profile):
    assert re.search(rf"`{profile}` \| {len(PROFILES[profile].cells)}: ", README)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
