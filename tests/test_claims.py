"""docs/claims.md: rows that can be read, expected values that the committed records have."""

import doctest
import importlib
import re
import sys

import pytest
from committed import ROOT, read

sys.path.insert(0, str(ROOT / ".ci"))
claims = importlib.import_module("claims")
CLAIMS = claims.read_claims((ROOT / "docs/claims.md").read_text(encoding="utf-8"))


def test_every_row_is_read():
    lines = (ROOT / "docs/claims.md").read_text(encoding="utf-8").splitlines()
    assert len(CLAIMS) == sum(line.startswith("|") for line in lines) - 2 >= 10
    assert {claim.quick for claim in CLAIMS} == {True, False}


def test_the_check_can_fail():
    assert doctest.testmod(claims).failed == 0
    runs = next(claim for claim in CLAIMS if claim.value == "runs equal")
    assert claims.check(runs, "58 of 59 runs equal the committed records", 0)
    assert claims.check(runs, "59 of 59 runs equal the committed records", 0) is None
    assert claims.check(runs, "nothing", 0)
    assert claims.check(runs, "59 of 59 runs equal", 1)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.command)
def test_expected_values_are_those_of_the_committed_records(claim):
    options = dict(re.findall(r"--([a-z]+) (\"[^\"]+\"|\S+)", claim.command))
    if not claim.command.startswith("bet run") or "data" in options:
        return
    budget = options.get("budget", "none").strip('"')
    backbone = options.get("backbone", "lightgcn").replace("none", "references")
    where = (backbone, options["method"], budget)
    cells = read("default", "comparison").set_index(["backbone", "method", "budget"])
    if where not in cells.index:
        cells = read("default", "bytes").set_index(["backbone", "method", "budget"])
    assert cells.loc[where, claim.value].item() == pytest.approx(claim.expected, abs=6e-5)
