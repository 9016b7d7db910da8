"""docs/results.md shows what the committed reports of converged tables say."""

from itertools import product

import pandas as pd
import pytest
from committed import BUDGETS, RESULTS, SIGNIFICANT, printed, published, read, section, table_rows

SHOWN = ["su", "powerlaw", "bet", "bet-plus"]
METRICS = ("recall@20", "ndcg@20")


def movielens_rows():
    """The mean NDCG@20 over the seeds that all methods have at that budget."""
    every = read("converged", "comparison")
    for backbone, budget in product(("lightgcn", "ncf"), BUDGETS):
        cells = every[(every["backbone"] == backbone) & every["finished"]]
        full = cells[cells["method"] == "full"].set_index("seed")["ndcg@20"]
        by_seed = cells[cells["budget"] == budget].pivot_table("ndcg@20", "seed", "method")
        by_seed = by_seed[SHOWN].dropna()
        means = [full[by_seed.index].mean(), *by_seed.mean()]
        yield [backbone, budget, str(len(by_seed)), *map(printed, means)]


def test_movielens_converged_is_the_reports():
    rows = table_rows(section(RESULTS, "MovieLens-100K: trained to convergence"))
    assert [[entry.strip("*") for entry in row] for row in rows] == list(movielens_rows())


def test_what_is_said_of_bet_plus_holds():
    data = read("converged", "paired").set_index(["backbone", "method", "kind", "budget"])
    data = data.sort_index()
    duels = data.loc["lightgcn", "bet-plus"]
    best = duels.loc["best on validation"]
    assert (best["seeds"] == 3).all()
    assert list(best.loc[[*BUDGETS], "opponent"]) == ["powerlaw", "pep", "pep"]
    assert list(best.loc[[*BUDGETS], "ahead"]) == [1, 3, 2]
    text = section(RESULTS, "MovieLens-100K: trained to convergence")
    for budget in ("90%", "95%"):
        duel = best.loc[budget]
        assert f"+{printed(duel['difference'])}" in text, budget
        for bound in (duel["low"], duel["high"]):
            sign = "-" if bound < 0 else ""
            assert sign + printed(abs(bound)) in text, budget
    assert duels.loc["equal sizes", "95%"]["low"] > 0
    assert round(duels.loc["equal sizes", "80%"]["difference"], 4) == 0.0006
    with_ncf = data.loc["ncf", "bet-plus", "best on validation"]
    assert list(with_ncf.loc[[*BUDGETS], "opponent"]) == ["powerlaw", "su", "su"]
    duel = with_ncf.loc["80%"]
    assert duel["p_holm"] < SIGNIFICANT
    numbers = (printed(duel[name]) for name in ("difference", "low", "high"))
    assert "+{} [{}, {}]".format(*numbers) in " ".join(text.split())
    low, high = with_ncf.loc["90%", ["low", "high"]]
    assert low < 0 < high and with_ncf.loc["95%", "difference"] == 0
    beside_bet = data.loc["ncf", "bet-plus", "the paper's search"]
    assert (beside_bet["low"] > 0).all()


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
    counts = cells[cells["finished"]].groupby([*names, "protocol"])["seed"].nunique()
    means["splits"] = counts.unstack().max(axis=1)
    return means


def rows_at_scale(profile):
    """The rows of ``means_at_scale`` as docs/results.md has them."""
    means = means_at_scale(profile)
    order = ["lightgcn", "ials", "ncf", "references"]
    methods = ["full", "su", "sr", *SHOWN[1:], "graph-filter"]
    columns = [("validation", "clean"), *product(METRICS, ["clean", "merged"])]
    columns = [columns[i] for i in (0, 1, 3, 2, 4)]
    for where in product(order, ("none", *BUDGETS), methods):
        if where in means.index:
            row = means.loc[where]
            numbers = [printed(row[name]) if row[name] == row[name] else "" for name in columns]
            backbone, budget, method = where
            yield [backbone, budget, f"`{method}`", f"{row['splits'].item():.0f}", *numbers]


@pytest.mark.parametrize("name", ["Gowalla", "Yelp2018"])
def test_converged_at_scale_is_the_reports(name):
    rows = table_rows(section(RESULTS, f"{name}: trained to convergence"))
    expected = list(rows_at_scale(name.lower()))
    assert [[entry.strip("*") for entry in row] for row in rows] == expected


def test_what_is_said_of_yelp_holds():
    rows = list(rows_at_scale("yelp2018"))
    paper = published("merged", "lightgcn", "yelp2018").loc["bet"]["published"]
    equal = {row[1]: float(row[6]) for row in rows if row[2] == "`su`"}
    (rule,) = (float(row[6]) for row in rows if row[2] == "`graph-filter`")
    assert all(equal[budget] > paper[budget] for budget in BUDGETS) and rule > max(equal.values())
    assert {row[2] for row in rows} == {"`su`", "`graph-filter`"}
    text = section(RESULTS, "Yelp2018: trained to convergence")
    assert all(printed(paper.loc[budget]) in text for budget in BUDGETS)


def test_what_is_said_of_gowalla_holds():
    rows = {(row[0], row[1], row[2].strip("`")): row for row in rows_at_scale("gowalla")}
    clean, merged = (
        {where: float(row[column]) for where, row in rows.items() if row[column]}
        for column in (4, 6)
    )
    gain = {where: float(row[7]) for where, row in rows.items() if row[7]}
    methods = ["su", "sr", *SHOWN[1:]]
    tables = {
        budget: {name: merged.get(("lightgcn", budget, name), 0.0) for name in methods}
        for budget in BUDGETS
    }
    best = {budget: max(recalls, key=recalls.get) for budget, recalls in tables.items()}
    assert [best[budget] for budget in BUDGETS] == ["bet", "bet-plus", "bet-plus"]
    by_clean = {name: clean["lightgcn", "95%", name] for name in methods}
    assert max(by_clean, key=by_clean.get) == "bet-plus"
    assert gain["lightgcn", "90%", "powerlaw"] > gain["lightgcn", "90%", "bet-plus"]
    data = published("merged", "lightgcn").loc["bet"]
    paper = [float(data.loc[budget, "published"]) for budget in BUDGETS]
    above = {
        name: [tables[budget][name] > value for budget, value in zip(BUDGETS, paper, strict=True)]
        for name in ("bet", "bet-plus")
    }
    assert above == {"bet": [True, False, True], "bet-plus": [True, True, True]}
    assert tables["80%"]["su"] == paper[0]
    for recalls in (clean, merged):
        assert recalls["lightgcn", "95%", "bet-plus"] > recalls["lightgcn", "90%", "su"]
    for by_metric in (merged, gain):
        ranked = [{name: by_metric.get(("ncf", at, name), 0.0) for name in SHOWN} for at in BUDGETS]
        assert [max(row, key=row.get) for row in ranked] == ["bet", "powerlaw", "su"]
        assert [at for at, row in zip(BUDGETS, ranked, strict=True) if not row["bet-plus"]] == [
            "95%"
        ]
    data = published("merged", "ncf").loc["bet"]["published"]
    text = section(RESULTS, "Gowalla: trained to convergence")
    for at in BUDGETS:
        assert merged["ncf", at, "bet"] > data[at] and printed(data[at]) in text
    rule = merged["references", "none", "graph-filter"]
    assert abs(merged["lightgcn", "none", "full"] - rule) < 0.01 * rule


def warm_rows():
    """NDCG@20 of seed 0 from both starts, by budget."""
    cells = [read(profile, "comparison") for profile in ("converged", "warm")]
    for budget in BUDGETS:
        row = [budget]
        for of_profile in cells:
            chosen = of_profile["finished"] & (of_profile["backbone"] == "lightgcn")
            chosen &= (of_profile["seed"] == 0) & (of_profile["budget"] == budget)
            if "search_seed" in of_profile:
                chosen &= of_profile["search_seed"].isna()
            quality = of_profile[chosen].groupby("method")["ndcg@20"].first()
            row += [printed(quality[method]) for method in SHOWN]
        yield row


def test_warm_starts_are_the_reports():
    text = section(RESULTS, "MovieLens-100K: from a warm start")
    rows = [[entry.strip("*") for entry in row] for row in table_rows(text)]
    assert rows == list(warm_rows())
    better = sum(row[i + 4] > row[i] for row in rows for i in range(1, 5))
    assert f"better in {better} of 12 pairs" in text
    data = read("warm", "paired").set_index(["method", "kind", "budget"]).sort_index()
    best = data.loc["bet-plus", "best on validation"]
    assert (best["difference"] > 0).all()
    assert list(best.loc[[*BUDGETS], "low"] > 0) == [True, False, True]
    full = read("warm", "comparison").set_index("method").loc["full", "ndcg@20"]
    assert f"full table has {printed(full)}" in " ".join(text.split())
    for budget in BUDGETS:
        low, high = (
            ("-" if bound < 0 else "") + printed(abs(bound))
            for bound in best.loc[budget, ["low", "high"]]
        )
        said = f"+{printed(best.loc[budget, 'difference'])} [{low}, {high}]"
        assert said in " ".join(text.split()), said
