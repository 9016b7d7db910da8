"""docs/results.md shows what the committed report says of competitors on Gowalla."""

from itertools import product

import pandas as pd
from committed import (
    BUDGETS,
    RESULTS,
    SIGNIFICANT,
    duels,
    paired,
    printed,
    read,
    records,
    section,
    table_rows,
)

METRICS = ("recall@20", "ndcg@20")


def on_the_first_split():
    """Gowalla's LightGCN tables of split 0 by sparsity, the best on validation first: bytes of the
    file per entity, ``validation``, and both metrics by protocol.
    """
    cells = pd.concat(read("gowalla", f"comparison_gowalla_{name}") for name in ("clean", "merged"))
    cells = cells[(cells["seed"] == 0) & (cells["backbone"] == "lightgcn") & cells["finished"]]
    cells = cells[cells["budget"].isin(BUDGETS)]
    data = cells.pivot(
        index=["budget", "method"], columns="protocol", values=[*METRICS, "validation"]
    )
    sizes = read("gowalla", "bytes_gowalla_clean").set_index(["backbone", "budget", "method"])
    data["bytes", ""] = sizes["table bytes per entity"]["lightgcn"]
    return data.sort_values(("validation", "clean"), ascending=False).sort_index(
        level="budget", sort_remaining=False, kind="stable"
    )


def rows_on_the_first_split():
    """As docs/results.md has them."""
    for (budget, method), row in on_the_first_split().iterrows():
        names = [(metric, protocol) for protocol in ("clean", "merged") for metric in METRICS]
        numbers = [printed(row[name]) if row[name] == row[name] else "" for name in names]
        quality = printed(row["validation", "clean"])
        yield [budget, f"`{method}`", f"{row['bytes', '']:.1f}", quality, *numbers]


def test_competitors_on_gowalla_are_the_reports():
    text = section(RESULTS, "Gowalla: competitors")
    assert table_rows(text) == list(rows_on_the_first_split())
    text, data = " ".join(text.split()), on_the_first_split()
    gains, bytes_of = data["ndcg@20"], data["bytes"]
    ordered = {budget: list(block.droplevel(0).index) for budget, block in data.groupby("budget")}
    assert ordered["80%"][:2] == ["pep", "magnitude"]
    for budget in ("90%", "95%"):
        assert ordered[budget][:2] == ["magnitude-rotated", "pep"]
    sized = gains["clean"]["80%"].drop(["pep", "magnitude", "magnitude-rotated"])
    assert sized.idxmax() == "optembed"
    assert ordered["95%"].index("bet-plus") < ordered["95%"].index("magnitude")
    best, clear = duels("gowalla", "bet-plus", "best on validation", protocol="clean")
    assert list(best["opponent"]) == ["pep", "magnitude-rotated", "magnitude-rotated"]
    assert clear == [-1, -1, -1]
    said = "are ahead of `bet-plus` by {}, {} and {} NDCG@20 under `clean`"
    assert said.format(*map(printed, -best["difference"])) in text
    ratios = bytes_of.unstack()["pep"] / bytes_of.unstack()["bet-plus"] - 1
    assert f"{100 * ratios.min():.0f} to {100 * ratios.max():.0f} % larger" in text
    small, large = ("95%", "magnitude-rotated"), ("90%", "bet-plus")
    for name in (small, large):
        assert f"{printed(gains['clean'][name])} in {bytes_of[name]:.1f}" in text.replace(
            " per entity", ""
        )
    assert gains["clean"][small] > gains["clean"][large] and bytes_of[small] < bytes_of[large]
    served = read("gowalla", "bytes_gowalla_merged").query("backbone == 'lightgcn'")
    served = served.set_index(["method", "budget"])[["recall@20", "bytes to serve per entity"]]
    pairs = ("vectors-int2", "25.6 B/entity to serve"), ("magnitude-rotated", "90%")
    few, single = (f"{printed(row.iloc[0])} in {row.iloc[1]:.1f}" for row in map(served.xs, pairs))
    assert f"of {few} bytes to serve, `magnitude-rotated` at 90 % {single}." in text


def test_sparse_axes_pay_on_gowalla():
    text = " ".join(section(RESULTS, "Gowalla: competitors").split())
    data, clear = duels("gowalla", "magnitude-rotated", "single numbers", protocol="clean")
    assert (data["opponent"] == "pep").all() and clear == [-1, 1, 1]
    low, middle, high = (f"{value:+.4f}".replace("0.", ".") for value in data["difference"])
    assert f"at 90 and 95 %** ({middle} and {high} NDCG@20" in text
    assert f"behind it at 80 % ({low})" in text
    gains = on_the_first_split()["ndcg@20", "clean"]
    few, many = gains["95%", "magnitude-rotated"], gains["90%", "pep"]
    assert f"5 % of the numbers it has {printed(few)}, `pep` with 10 % {printed(many)}." in text
    epochs = [
        trial["epochs"]
        for record in records("gowalla")
        if record["cell"]["method"] == "magnitude-rotated"
        for trial in record["trials"]
    ]
    assert f"was best after {min(epochs)} to {max(epochs)} epochs" in text


def test_more_iterations_help_bet_on_gowalla():
    text = " ".join(section(RESULTS, "Gowalla: competitors").split())
    curves = {
        record["cell"]["method"]: {
            row["t"]: row["test"]["ndcg@20"] for row in record["search"]["winners"]
        }
        for record in records("gowalla")
        if record["cell"]["iterations"]
    }
    bet, picks = curves["bet"], curves["bet-random"]
    assert f"BET has {printed(bet[50])} at 90 % under `clean`, random picks" in text
    passed = min(t for t in bet if bet[t] > picks[t])
    assert f"picks {printed(picks[50])}: it passes them after {passed} iterations" in text
    assert all((bet[t] > picks[t]) == (t >= passed) for t in bet)


def test_the_predictor_hardly_helps_on_gowalla():
    text = " ".join(section(RESULTS, "Gowalla: competitors").split())
    tests = paired("random selection", "bet", "gowalla").set_index(["protocol", "budget"])
    clear = tests["p_holm"] < SIGNIFICANT
    signs = (tests["difference"].map(lambda x: 1 if x > 0 else -1) * clear).to_dict()
    pairs = list(product(("clean", "merged"), ("90%", "95%")))
    assert signs == dict(zip(pairs, (-1, 0, -1, 1), strict=True))
    clean, merged = (tests["difference"][name] for name in ("clean", "merged"))
    said = f"by {printed(-clean['90%'])} NDCG@20 under `clean` and {printed(-merged['90%'])}"
    assert said in text and f"ahead by {printed(merged['95%'])} under `merged`" in text
    said = "{} and {} under `clean`, {} and {} under `merged`"
    by_protocol = on_the_first_split()["ndcg@20"].loc["90%"]
    gains = by_protocol.loc[["bet-simple", "bet-random"]] - by_protocol.loc["bet-plus"]
    assert (gains > 0).all(axis=None)
    assert said.format(*map(printed, [*gains["clean"], *gains["merged"]])) in text
    clean = by_protocol["clean"]
    assert clean["ciess"] > clean["bet"] > clean[["amtl", "esapn"]].max()
    assert abs(clean["optembed"] - clean["bet"]) < 0.0005


def test_more_sampled_actions_do_not_help_on_gowalla():
    text = " ".join(section(RESULTS, "Gowalla: competitors").split())
    gains = {100: on_the_first_split()["ndcg@20", "clean"]["90%", "bet"]}
    for record in records("gowalla"):
        if actions := record["cell"]["actions"]:
            gains[actions] = record["metrics"]["test"]["ndcg@20"]
    assert sorted(gains) == [20, 40, 60, 80, 100] and max(gains, key=gains.get) != 100
    assert (
        "BET has {}, {}, {}, {} and {}".format(*(printed(gains[m]) for m in sorted(gains))) in text
    )
