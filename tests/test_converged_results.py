"""docs/results.md shows what the committed reports of converged tables say."""

from itertools import product

import pandas as pd
import pytest
from committed import (
    BUDGETS,
    RESULTS,
    duels,
    printed,
    published,
    read,
    records,
    section,
    table_rows,
)

SHOWN = ["su", "powerlaw", "bet", "bet-plus"]
METRICS = ("recall@20", "ndcg@20")


def means_at_scale(profile):
    """Of every finished cell that has a table in columns, the means over its splits: a row by
    backbone, budget and method with ``splits``, ``validation`` and both metrics by protocol. The
    profile has the name of its data set.
    """
    cells = pd.concat(
        read(profile, f"comparison_{profile}_{protocol}") for protocol in ("clean", "merged")
    )
    names = ["backbone", "budget", "method"]
    means = cells[cells["finished"]].pivot_table([*METRICS, "validation"], names, "protocol")
    counts = cells[cells["finished"]].groupby([*names, "protocol"])["seed"].nunique().unstack()
    assert (counts.nunique(axis=1) == 1).all(), "both protocols"
    means["splits", ""] = counts.max(axis=1)
    return means


def rows_at_scale(profile):
    """The rows of ``means_at_scale`` as docs/results.md has them."""
    means = means_at_scale(profile)
    order = ["lightgcn", "ials", "ncf", "ngcf", "references"]
    methods = ["full", "su", "sr", *SHOWN[1:], "graph-filter"]
    columns = [("validation", "clean")]
    columns += [(metric, protocol) for protocol in ("clean", "merged") for metric in METRICS]
    for where in product(order, ("none", *BUDGETS), methods):
        if where in means.index:
            row = means.loc[where]
            numbers = [printed(row[name]) if row[name] == row[name] else "" for name in columns]
            backbone, budget, method = where
            yield [backbone, budget, f"`{method}`", f"{row['splits', '']:.0f}", *numbers]


@pytest.mark.parametrize("name", ["Gowalla", "Yelp2018"])
def test_converged_at_scale_is_the_reports(name):
    rows = table_rows(section(RESULTS, f"{name}: trained to convergence"))
    expected = list(rows_at_scale(name.lower()))
    assert [[entry.strip("*") for entry in row] for row in rows] == expected


def quality_at_scale(profile, backbone, protocol="merged", metric="recall@20"):
    """By budget and method of tables with a budget."""
    return means_at_scale(profile)[metric, protocol].loc[backbone].unstack().loc[[*BUDGETS]]


def published_bet(text, backbone, dataset):
    """The paper's Recall@20 by budget, which ``text`` has in brackets."""
    paper = published("merged", backbone, dataset).loc["bet"]["published"].loc[[*BUDGETS]]
    assert "({}, {} and {})".format(*map(printed, paper)) in text
    return paper


def test_what_is_said_of_yelp_holds():
    text = " ".join(section(RESULTS, "Yelp2018: trained to convergence").split())
    recalls = quality_at_scale("yelp2018", "lightgcn")
    assert list(recalls.idxmax(axis=1)) == ["su", "bet-plus", "bet"]
    gains = quality_at_scale("yelp2018", "lightgcn", metric="ndcg@20")
    assert gains.loc["80%"].idxmax() == "bet"
    paper = published_bet(text, "lightgcn", "yelp2018")
    assert all((recalls[method] > paper).all() for method in ("su", "bet", "bet-plus"))
    assert duels("yelp2018", "bet", "tuned rule")[1] == [1, 1, 1]
    assert duels("yelp2018", "bet-plus", "the paper's search")[1] == [0, 1, -1]
    means = means_at_scale("yelp2018")["recall@20", "merged"]
    assert means.idxmax() == ("references", "none", "graph-filter")


def test_full_tables_of_yelp_are_best_at_the_first_look():
    curves = [
        [point["quality"] for point in record["learning_curve"]]
        for record in records("yelp2018")
        if record["cell"]["method"] == "full" and record["cell"]["backbone"] != "ials"
    ]
    assert len(curves) == 4 and all(max(curve) == curve[0] for curve in curves)


@pytest.mark.parametrize("name", ["Gowalla", "Yelp2018"])
def test_bet_plus_is_ahead_with_ncf(name):
    text = " ".join(section(RESULTS, f"{name}: trained to convergence").split())
    recalls = quality_at_scale(name.lower(), "ncf")
    best, clear = duels(name.lower(), "bet-plus", "best on validation", "ncf")
    assert clear == [1, 1, 1] and list(best["opponent"]) == ["powerlaw", "powerlaw", "su"]
    assert duels(name.lower(), "bet-plus", "the paper's search", "ncf")[1] == [1, 1, 1]
    rivals = [recalls.loc[budget, rival] for budget, rival in best["opponent"].items()]
    for numbers in (recalls["bet-plus"], rivals):
        assert "{}, {} and {}".format(*map(printed, numbers)) in text
    full = means_at_scale(name.lower())["recall@20", "merged"]["ncf", "none", "full"]
    assert f"the full NCF's {printed(full)}" in text
    assert recalls.loc["80%", "bet-plus"] > (1.0 if "passes the full" in text else 0.99) * full
    for record in records(name.lower()):
        if (record["cell"]["method"], record["cell"]["backbone"]) == ("bet-plus", "ncf"):
            assert record["size"]["backbone_parameters"] == 128, "GMF: a weight per column"


def test_what_is_said_of_ncf_on_yelp_holds():
    text = " ".join(section(RESULTS, "Yelp2018: trained to convergence").split())
    assert duels("yelp2018", "bet", "best on validation", "ncf")[1] == [-1, -1, -1]
    recalls = quality_at_scale("yelp2018", "ncf")
    paper = published("merged", "ncf", "yelp2018").loc["bet"]["published"]
    for at, where in (
        ("80%", "above the paper's at 80 %"),
        ("90%", "below the paper's at 90 %"),
        ("95%", "above it at 95 %"),
    ):
        assert (recalls.loc[at, "bet"] > paper[at]) == where.startswith("above")
        assert f"{where} ({printed(recalls.loc[at, 'bet'])} against {printed(paper[at])})" in text


def test_what_is_said_of_ials_on_yelp_holds():
    text = " ".join(section(RESULTS, "Yelp2018: trained to convergence").split())
    for kind in ("equal sizes", "tuned rule"):
        assert duels("yelp2018", "bet-plus", kind, "ials")[1] == [0, 1, 1]
    small = quality_at_scale("yelp2018", "ials").loc["95%"]
    behind = printed(small["powerlaw"] - small["bet-plus"])
    assert f"at 95 % its Recall@20 is {behind} below the power law's" in text
    full = means_at_scale("yelp2018").xs(("none", "full"), level=("budget", "method"))
    on_validation = full["validation", "clean"]
    said = "({} against {})".format(
        *(printed(on_validation[name]) for name in ("ials", "lightgcn"))
    )
    assert on_validation["ials"] > on_validation["lightgcn"] and said in text
    recalls = full["recall@20", "merged"]
    assert f"(Recall@20 {printed(recalls['ials'])} and {printed(recalls['lightgcn'])})" in text
    assert abs(recalls["ials"] / recalls["lightgcn"] - 1) < 0.01


def test_what_is_said_of_lightgcn_on_gowalla_holds():
    text = " ".join(section(RESULTS, "Gowalla: trained to convergence").split())
    merged = quality_at_scale("gowalla", "lightgcn")[SHOWN]
    assert list(merged.idxmax(axis=1)) == ["powerlaw", "bet-plus", "bet-plus"]
    gains = quality_at_scale("gowalla", "lightgcn", metric="ndcg@20")[SHOWN]
    assert list(gains.idxmax(axis=1)) == ["powerlaw", "powerlaw", "bet-plus"]
    clean = quality_at_scale("gowalla", "lightgcn", "clean")
    assert abs(clean.loc["80%", "bet"] - clean.loc["80%", "powerlaw"]) < 0.0002
    for recalls in (merged, clean):
        assert recalls.loc["95%", "bet-plus"] > recalls.loc["90%", "su"]
    significant = {"equal sizes": [1, 1, 1], "tuned rule": [0, 0, 1]}
    for kind, ahead in (significant | {"the paper's search": [0, 1, 0]}).items():
        data, clear = duels("gowalla", "bet-plus", kind)
        assert clear == ahead and (data["seeds"] == 3).all(), kind
    row = duels("gowalla", "bet-plus", "tuned rule")[0].loc["95%"]
    numbers = (printed(row[name]) for name in ("difference", "low", "high"))
    assert "NDCG@20 +{} [{}, {}]".format(*numbers) in text
    paper = published_bet(text, "lightgcn", "gowalla")
    assert (merged["bet"] > paper).all() and (merged["bet-plus"] > paper).all()
    assert f"at 90 % by {printed((merged['bet'] - paper)['90%'])}" in text
    means = means_at_scale("gowalla")["recall@20", "merged"]
    rule = means["references", "none", "graph-filter"]
    assert abs(means["lightgcn", "none", "full"] - rule) < 0.01 * rule


def test_what_is_said_of_ncf_on_gowalla_holds():
    text = " ".join(section(RESULTS, "Gowalla: trained to convergence").split())
    recalls = quality_at_scale("gowalla", "ncf")
    for metric in METRICS:
        quality = quality_at_scale("gowalla", "ncf", metric=metric).drop(
            columns=["bet-plus", "full"]
        )
        assert list(quality.idxmax(axis=1)) == ["bet", "powerlaw", "su"]
    paper = published_bet(text, "ncf", "gowalla")
    assert (recalls["bet"] > paper).all()


def test_what_is_said_of_ngcf_on_gowalla_holds():
    text = " ".join(section(RESULTS, "Gowalla: trained to convergence").split())
    recalls = means_at_scale("gowalla")["recall@20"].xs(("ngcf", "90%"))
    clean, merged = recalls["clean"], recalls["merged"]
    paper = published("merged", "ngcf", "gowalla")["published"].xs("90%", level="budget")
    said = f"a Recall@20 of {printed(clean['su'])}, BET {printed(clean['bet'])}, the power law "
    assert said + f"{printed(clean['powerlaw'])}." in text
    assert clean["su"] > clean["bet"] > clean["powerlaw"]
    assert merged["su"] > paper["su"] and merged["bet"] < paper["bet"]
    for method in ("su", "bet"):
        assert f"{printed(merged[method])} against {printed(paper[method])}" in text


def test_splits_of_gowalla_do_not_agree_at_80_percent():
    cells = read("gowalla", "comparison_gowalla_clean")
    cells = cells[(cells["backbone"] == "lightgcn") & (cells["budget"] == "80%")]
    by_split = cells.pivot_table("validation", "seed", "method")
    assert list(by_split["bet-plus"] > by_split["powerlaw"]) == [True, True, False]
    by_id = {record["cell_id"]: record for record in records("gowalla")}
    trained = by_id["gowalla_lightgcn_80_powerlaw_s2"]["search"]["retrained"]
    best = max(trained, key=lambda table: table["quality"])
    text = " ".join(section(RESULTS, "Gowalla: trained to convergence").split())
    assert f"learns for {best['epochs']} epochs and ends higher" in text
