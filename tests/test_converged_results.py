"""docs/results.md shows what the committed reports of converged tables say."""

import pandas as pd
from committed import BUDGETS, RESULTS, printed, read, section, table_rows

SHOWN = ["su", "powerlaw", "bet", "bet-plus"]
METRICS = ("recall@20", "ndcg@20")


def movielens_rows():
    """The mean NDCG@20 over the seeds that all methods have at that budget."""
    cells = read("converged", "comparison")
    cells = cells[(cells["backbone"] == "lightgcn") & cells["finished"]]
    full = cells[cells["method"] == "full"].set_index("seed")["ndcg@20"]
    for budget in BUDGETS:
        by_seed = cells[cells["budget"] == budget].pivot_table("ndcg@20", "seed", "method")
        by_seed = by_seed[SHOWN].dropna()
        means = [full[by_seed.index].mean(), *by_seed.mean()]
        yield [budget, str(len(by_seed)), *map(printed, means)]


def test_movielens_converged_is_the_reports():
    rows = table_rows(section(RESULTS, "MovieLens-100K: trained to convergence"))
    assert [[entry.strip("*") for entry in row] for row in rows] == list(movielens_rows())


def test_what_is_said_of_bet_plus_holds():
    data = read("converged", "paired").set_index(["method", "kind", "budget"]).sort_index()
    for budget in ("90%", "95%"):
        for kind in ("equal sizes", "tuned rule", "the paper's search"):
            duel = data.loc["bet-plus", kind, budget]
            assert duel["ahead"] == duel["seeds"] >= 2, (budget, kind)
    duel = data.loc["bet-plus", "tuned rule", "80%"]
    assert duel["ahead"] == 0 and duel["seeds"] >= 2


def gowalla_rows():
    """Of every finished cell: quality on validation, then both metrics under both protocols."""
    cells = pd.concat(
        read("gowalla", f"comparison_gowalla_{protocol}") for protocol in ("clean", "merged")
    )
    cells = cells[cells["finished"]]
    for budget in ("none", *BUDGETS):
        for method in ("full", *SHOWN):
            chosen = cells[(cells["budget"] == budget) & (cells["method"] == method)]
            if chosen.empty:
                continue
            numbers = chosen.set_index("protocol")
            row = [budget, f"`{method}`", printed(numbers.loc["clean", "validation"])]
            for protocol in ("clean", "merged"):
                known = protocol in numbers.index
                row += [printed(numbers.loc[protocol, name]) if known else "" for name in METRICS]
            yield row


def test_gowalla_converged_is_the_reports():
    rows = table_rows(section(RESULTS, "Gowalla: trained to convergence"))
    assert [[entry.strip("*") for entry in row] for row in rows] == list(gowalla_rows())


def test_what_is_said_of_gowalla_holds():
    recall = {(row[0], row[1].strip("`")): float(row[3]) for row in gowalla_rows()}
    assert recall["95%", "bet-plus"] >= recall["90%", "su"]
    cells = read("paper", "comparison_gowalla_clean").set_index(["backbone", "method", "seed"])
    before = cells["recall@20"].sort_index()
    rule = before.loc["references", "graph-filter", 0].item()
    assert before.loc["lightgcn", "full", 0].item() < rule < recall["none", "full"]
