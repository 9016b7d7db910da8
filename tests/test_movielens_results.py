"""docs/results.md shows what the committed reports say of MovieLens-100K with three seeds."""

from itertools import product

from committed import (
    BUDGETS,
    OPPONENTS,
    RESULTS,
    SIGNIFICANT,
    cells_without_mlp,
    counts,
    duel_row,
    of_full,
    paired,
    printed,
    read,
    records,
    section,
    table_rows,
    together,
)

from bet.report.style import BACKBONES

EQUAL = "equal sizes for everybody"
SHOWN = ["su", "powerlaw", "magnitude", "magnitude-rotated", "pep", "bet-random", "bet", "bet-plus"]
OTHER_STARTS = ["su", "powerlaw", "bet", "bet-plus"]
THREE_SEEDS = " ".join(section(RESULTS, "MovieLens-100K, three seeds").split())
STARTS = " ".join(section(RESULTS, "MovieLens-100K: from other starts").split())


def signed(value):
    return ("-" if value < 0 else "+") + printed(abs(value))


def interval(duel):
    """A difference with its interval, as results.md prints it."""
    low, high = (signed(duel[name]).removeprefix("+") for name in ("low", "high"))
    return f"{signed(duel['difference'])} [{low}, {high}]"


def means(profile):
    """Of finished cells with the split's own seeds, by backbone, budget and method."""
    every = read(profile, "comparison")
    every = every[every["finished"]]
    if "search_seed" in every:
        every = every[every["search_seed"].isna()]
    return every.groupby(["backbone", "budget", "method"])[["validation", "ndcg@20"]].mean()


def mean_rows():
    """Mean NDCG@20 over the seeds, by backbone and budget; the best with a budget in bold."""
    every = read("full", "comparison").groupby(["backbone", "budget", "method"])["finished"]
    assert (every.sum() == 3).all(), "every seed"
    data = means("full")["ndcg@20"]
    for backbone, budget in product(("lightgcn", "ncf", "ngcf", "ials"), BUDGETS):
        row = data[backbone, budget]
        quality = [printed(row[name]) if name in row else "–" for name in SHOWN]
        best = max(number for number in quality if number != "–")
        marked = [f"**{number}**" if number == best else number for number in quality]
        yield [backbone, budget, printed(data[backbone, "none", "full"]), *marked]


def duel_rows(profile):
    """Over all pairs, how BET and ``bet-plus`` compare with others."""
    opponents = OPPONENTS | {"equal sizes": ("equal sizes (`su`)", EQUAL)}
    for method, (kind, (name, words)) in product(("bet", "bet-plus"), opponents.items()):
        if len(paired(kind, method, profile)):
            yield [f"`{method}`", name, *duel_row(kind, words, method, profile)]


def same_bytes_rows():
    """At every size the best on validation of both kinds, of those with every seed."""
    data = read("full", "bytes")
    data = data[(data["backbone"] == "lightgcn") & (data["seeds"] == data["seeds"].max())]
    for size, sparsity in (("51.2", "80%"), ("25.6", "90%"), ("12.8", "95%")):
        row = [size, sparsity]
        for budget in (f"{size} B/entity", sparsity):
            best = data.loc[data[data["budget"] == budget]["validation"].idxmax()]
            row += [f"`{best['method']}`", of_full(best)]
        yield row


def test_three_seeds_are_the_reports():
    rows = table_rows(section(RESULTS, "MovieLens-100K, three seeds"))
    expected = [*duel_rows("full"), *mean_rows(), *same_bytes_rows()]
    assert [row for row in rows if row[0] not in ("backbone", "bytes per entity")] == expected


def test_what_is_said_of_bet_plus_holds():
    best = paired("best on validation", "bet-plus")
    behind = best[best["difference"] <= 0]
    ahead = len(best) - len(behind)
    assert f"`bet-plus` is ahead of its best competitor in {ahead} of {len(best)}**" in THREE_SEEDS
    assert list(behind["opponent"]) == ["magnitude-rotated", "magnitude-rotated", "su", "amtl"]
    for _, duel in behind.iterrows():
        where = f"{duel['budget'].replace('%', ' %')} ({interval(duel)})"
        named = f"`{duel['opponent']}` with {BACKBONES[duel['backbone']]} at {where}"
        assert (where if duel["backbone"] == "lightgcn" else named) in THREE_SEEDS
    assert (best[best["p_holm"] < SIGNIFICANT]["difference"] > 0).all()
    others = best[best["backbone"] != "ials"]["difference"] > 0
    assert len(others) == 9 and f"trained by gradients in {others.sum()}:" in THREE_SEEDS
    rule = counts("tuned rule", "bet-plus")
    assert f"ahead of the power law in {rule[1]} of {rule[0]}" in THREE_SEEDS
    assert f"in {cells_without_mlp('full')} cells" in THREE_SEEDS
    sized = means("full")["validation"].unstack("method").drop(index="none", level="budget")
    sized = sized[sized.index.get_level_values("budget").isin(BUDGETS)].idxmax(axis=1)
    beaten = dict(sized[sized != "bet-plus"])
    assert beaten == {("lightgcn", "90%"): "magnitude-rotated", ("ials", "95%"): "powerlaw"}
    data = means("full")["ndcg@20"]
    ours, equal = (
        data["lightgcn", "95%", name] / data["lightgcn", "none", "full"]
        for name in ("bet-plus", "su")
    )
    assert f"`bet-plus` has {ours:.0%} of the" in THREE_SEEDS.replace(" %", "%")
    assert f"equal rows {equal:.0%}." in THREE_SEEDS.replace(" %", "%")


def test_what_is_said_of_sparse_axes_holds():
    others = paired("single numbers", "magnitude-rotated")
    assert len(others) == 3 and (others["p_holm"] >= SIGNIFICANT).all()
    smallest, largest = (printed(pick(others["difference"])) for pick in (min, max))
    assert float(smallest) > 0 and f"by {smallest} to {largest}, not significantly" in THREE_SEEDS
    quality = means("full")["ndcg@20"]["lightgcn"].unstack().loc[[*BUDGETS]]
    assert list(quality.idxmax(axis=1)) == ["magnitude-rotated", "magnitude-rotated", "bet-plus"]


def test_what_is_said_of_the_search_with_ngcf_holds():
    searches = [
        record["search"]["retrained"]
        for record in records("full")
        if (record["cell"]["backbone"], record["cell"]["method"]) == ("ngcf", "bet-plus")
    ]
    highest = [max(tables, key=lambda table: table["quality"])["t"] for tables in searches]
    fittest = [max(tables, key=lambda table: table["fitness"])["t"] for tables in searches]
    agree = sum(ours == theirs for ours, theirs in zip(highest, fittest, strict=True))
    equal = highest.count(1)  # the first that is measured
    said = f"prefer ended highest in {agree} of {len(searches)} searches, equal rows in {equal}."
    assert said in THREE_SEEDS


def test_what_is_said_of_bet_holds():
    pairs, ahead, *_ = counts("best on validation")
    assert f"**BET is ahead of its best competitor in {ahead} of {pairs}**" in THREE_SEEDS
    best = paired("best on validation")
    behind = best[(best["p_holm"] < SIGNIFICANT) & (best["difference"] < 0)]
    where = behind[["opponent", "backbone", "budget"]].to_numpy().tolist()
    assert where == [["amtl", "ngcf", "80%"]]
    for words in (OPPONENTS["tuned rule"][1], OPPONENTS["random selection"][1], EQUAL):
        assert together(words)[0].startswith("-")


def test_what_is_said_of_quantized_tables_holds():
    """The sentences of results.md on the same bytes, at 6.4 to 51.2 bytes per entity."""
    every = read("full", "bytes").set_index(["backbone", "budget", "method"]).sort_index()
    data, gains = every["of full"], []
    for size in ("6.4", "12.8", "25.6", "51.2"):
        lightgcn = data["lightgcn", f"{size} B/entity"]
        searched = lightgcn[["bet-int8", "bet-int4", "bet-bytes"]]
        equal = lightgcn[lightgcn.index.str.startswith("uniform-")]
        gains.append(searched.max() - equal.max())
    said = f"gains at most {max(gains):.1%} of the full table's NDCG@20"
    assert said in THREE_SEEDS.replace(" %", "%")
    for name, rows in (("ncf", "uniform-int4"), ("ngcf", "uniform-int8")):
        tables = every.loc[name, "25.6 B/entity"]
        assert tables["validation"].idxmax() == rows
        assert tables.loc[rows, "of full"] > tables.loc["bet-bytes", "of full"]


def test_best_to_serve_is_the_reports():
    expected = []
    for _, row in read("full", "best_to_serve").iterrows():
        numbers = [printed(row[name]) for name in ("recall@20", "ndcg@20")]
        names = [f"{row['at most']:.1f}", f"`{row['method']}`", row["backbone"], row["holds"]]
        expected.append([*names, *numbers, of_full(row)])
    assert table_rows(section(RESULTS, "MovieLens-100K: bytes to serve")) == expected


def test_what_is_said_beside_the_best_to_serve_holds():
    text = " ".join(section(RESULTS, "MovieLens-100K: bytes to serve").split())
    full = read("full", "bytes").set_index(["method", "backbone"]).loc[("full", "lightgcn")]
    assert f"LightGCN's full table, {printed(full['ndcg@20'])} in 256 bytes" in text
    best = read("full", "best_to_serve").set_index("at most").loc[25.6]
    assert (best["method"], best["rival"]) == ("blend", "bet-plus-bytes")
    assert best["low"] < 0 < best["high"], "level"
    assert f"(`bet-plus-bytes`, {printed(best['rival ndcg@20'])})" in text
    rows = read("full", "bytes").set_index(["method", "backbone", "budget"]).sort_index()
    equal = rows.loc[("uniform-int8", "ials", "25.6 B/entity to serve"), "ndcg@20"]
    assert f"(`uniform-int8`) have {printed(equal)} without a search" in text
    data = read("full", "paired").set_index(["kind", "method", "budget"]).sort_index()
    vectors = data.loc["equal vectors", "bet-plus-vectors"]
    for size in ("12.8", "25.6"):
        duel = vectors.loc[f"{size} B/entity"]
        assert duel["difference"] > 0 and f"by {interval(duel)} at {size}" in text


def test_what_is_said_of_the_search_in_bytes_holds():
    data = read("full", "paired").set_index(["method", "kind", "budget"]).sort_index()
    equal = data.loc["bet-plus-bytes", "equal rows"]
    ahead = {budget.split()[0]: row for budget, row in equal.iterrows()}
    assert ahead["6.4"]["p_holm"] < SIGNIFICANT and ahead["6.4"]["low"] > 0
    leads = {size: (row["ahead"], row["seeds"]) for size, row in ahead.items()}
    assert leads["12.8"] == (3, 3) and ahead["12.8"]["p_holm"] > SIGNIFICANT
    assert all(0 < leads[size][0] < 3 for size in ("25.6", "51.2"))


def other_start_rows():
    """The mean NDCG@20 of profile ``converged`` over the seeds that all methods have there."""
    every = read("converged", "comparison")
    for backbone, budget in product(("lightgcn", "ncf", "ngcf"), BUDGETS):
        cells = every[(every["backbone"] == backbone) & every["finished"]]
        full = cells[cells["method"] == "full"].set_index("seed")["ndcg@20"]
        by_seed = cells[cells["budget"] == budget].pivot_table("ndcg@20", "seed", "method")
        by_seed = by_seed[OTHER_STARTS].dropna()
        quality = [full[by_seed.index].mean(), *by_seed.mean()]
        yield [backbone, budget, str(len(by_seed)), *map(printed, quality)]


def test_other_starts_are_the_reports():
    rows = table_rows(section(RESULTS, "MovieLens-100K: from other starts"))
    expected = [*other_start_rows(), *duel_rows("scratch")]
    rows = [[entry.strip("*") for entry in row] for row in rows if row[0] != "NDCG@20 of"]
    assert rows == expected


def test_what_is_said_of_the_start_holds():
    full, other = (means(profile) for profile in ("full", "converged"))
    both = [
        at
        for at in other.index.intersection(full.index)
        if at[0] in ("lightgcn", "ncf") and at[2] in (*OTHER_STARTS, "magnitude", "pep")
    ]
    worse = (other.loc[both].round(4) < full.loc[both].round(4)).sum()
    pairs = f"{len(both)} pairs of setting and method"
    assert f"worse on validation in {worse['validation']} of {pairs}" in STARTS
    assert f"on test in {worse['ndcg@20']}." in STARTS
    for profile in ("converged", "scratch"):
        pairs, ahead, *_ = counts("best on validation", "bet-plus", profile)
        text = STARTS[STARTS.index(f"From profile `{profile}`") :]
        assert f"`bet-plus` is ahead of its best competitor in {ahead} of {pairs}" in text


def duels_of_bet_plus(backbone):
    """Its comparisons of profile ``converged`` by kind and budget."""
    data = read("converged", "paired")
    data = data[(data["backbone"] == backbone) & (data["method"] == "bet-plus")]
    return data.set_index(["kind", "budget"]).sort_index()


def test_what_is_said_of_lightgcn_from_factors_holds():
    duels = duels_of_bet_plus("lightgcn")
    best = duels.loc["best on validation"]
    assert (best["seeds"] == 3).all()
    assert list(best.loc[[*BUDGETS], "opponent"]) == ["powerlaw", "pep", "pep"]
    assert list(best.loc[[*BUDGETS], "ahead"]) == [1, 3, 2]
    for budget in ("90%", "95%"):
        assert interval(best.loc[budget]) in STARTS, budget
    assert duels.loc["equal sizes", "95%"]["low"] > 0
    assert round(duels.loc["equal sizes", "80%"]["difference"], 4) == 0.0006


def test_what_is_said_of_ncf_from_chance_holds():
    best = duels_of_bet_plus("ncf").loc["best on validation"].loc[[*BUDGETS]]
    assert (best["seeds"] == 3).all() and (best["opponent"] == "magnitude").all()
    assert list(best["difference"] > 0) == [True, False, False]
    for _, duel in best.iterrows():
        assert interval(duel) in STARTS, interval(duel)
    for row in other_start_rows():
        if row[0] == "ncf":
            assert max(row[4:]) == row[-1], row
    data = means("converged")["ndcg@20"]
    halves = (("80%", "90%"), ("90%", "95%"))  # as many numbers: GMF has half as many tables
    for ours, theirs in halves:
        gmf, ncf = data["gmf", ours, "su"], data["ncf", theirs, "su"]
        assert gmf > ncf
        assert f"{printed(gmf)} (NCF's {printed(ncf)})" in STARTS
    gmf, ncf = (data[name, "none", "full"] for name in ("gmf", "ncf"))
    assert f"{printed(gmf)} (NCF's {printed(ncf)})" in STARTS
    assert (best["opponent_mean"] + best["difference"] >= 0.97 * ncf).all()


def test_what_is_said_of_ngcf_from_factors_holds():
    best = duels_of_bet_plus("ngcf").loc["best on validation"]
    assert list(best.loc[[*BUDGETS], "opponent"]) == ["su", "su", "bet"]
    assert best.loc["80%", "difference"] == 0
    assert best.loc["90%", "low"] < 0 < best.loc["90%", "high"]
    assert best.loc["95%", "p_holm"] < SIGNIFICANT
    numbers = (printed(best.loc["95%", name]) for name in ("difference", "low", "high"))
    assert "+{} [{}, {}]), level with".format(*numbers) in STARTS
