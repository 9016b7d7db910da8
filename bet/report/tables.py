"""The tables of methods: quality, tests, ranks; None where no record has anything to show."""

from itertools import product

import pandas as pd

from bet.analysis import summaries
from bet.analysis.paired import SIGNIFICANT
from bet.analysis.published import DRAWS, OWN, beside_published, formula_use, has_published
from bet.analysis.results import METRIC, METRICS, NO_BUDGET, REFERENCE, Group, Results
from bet.analysis.statistics import OURS, average_ranks, compare, rank_blocks
from bet.methods import IN_BYTES
from bet.report.opponents import OPPONENTS
from bet.report.table import (
    ABSENT,
    LONG,
    SHORT,
    Table,
    decimal,
    formatted,
    intervals,
    mean_sd,
)

RIVAL = (
    "the competitor with the best quality on validation, mean over seeds, of those that ran with "
    "all seeds, or one that lacks seeds, if it is better than that on those that it has. Quality "
    "is that of the table that a method keeps: the best of those it trained, or the only one of "
    "su, sr and uniform tables (the column of trainings says of how many)"
)


def comparison(results: Results, group: Group, cutoff: int = 20) -> Table | None:
    """Methods x backbones x budgets (Table 1): mean and deviation over seeds, best budgeted method
    in bold, * as tested.
    """
    cells = group.of(results.main)
    if not cells["finished"].any():
        return None
    metrics = (f"recall@{cutoff}", f"ndcg@{cutoff}")
    means = {metric: summaries.over_seeds(cells, metric) for metric in metrics}
    best = {metric: summaries.best_settings(cells, metric) for metric in metrics}
    stars = {metric: _differs(results, group, metric) for metric in metrics}
    rows, text, bold = _rows(cells, finished=True), {}, {}
    for budget, metric in product(_budgets(cells) or [NO_BUDGET], metrics):
        column, marks = [], []
        for backbone, method, free in rows:
            key = (backbone, method, NO_BUDGET if free else budget)
            known = key in means[metric].index
            entry = mean_sd(means[metric].loc[key]) if known else ABSENT
            star = not free and (method, backbone, budget) in stars[metric]
            column.append(entry + "*" * star)
            marks.append(key in best[metric])
        text[f"sparsity {budget}", SHORT[metric]] = column
        bold[f"sparsity {budget}", SHORT[metric]] = marks
    labels = [(backbone, _label(cells, backbone, m, free)) for backbone, m, free in rows]
    index = pd.MultiIndex.from_tuples(labels, names=["backbone", "method"])
    names = ["dataset", "protocol", "backbone", "budget", "method", "seed", "finished"]
    data = cells.reset_index()[[*names, *METRICS, "validation", "parameters", "limit"]]
    caption = (
        f"{LONG[metrics[0]]} (R) and {LONG[metrics[1]]} (N) on test, {group}; {_seeds(cells)}. "
        "Bold: best method with a budget; one that lacks seeds is compared on those that it has. "
        "full: the whole table. references: rankings without a "
        "table, in no test and no rank. (own): a method as published, without a budget, at the "
        f"sparsity that it chose. {ABSENT}: not in the profile. *: bet, bet-plus or "
        "magnitude-rotated differs from its best competitor on validation "
        f"(p < {SIGNIFICANT}, as in the table of tests)."
    )
    name = "comparison" if cutoff == 20 else f"comparison_at_{cutoff}"
    frames = (pd.DataFrame(text, index), data, pd.DataFrame(bold, index))
    return Table(f"{name}{group.suffix}", caption, *frames, apart=("backbone",))


def beside_paper(results: Results, group: Group, metric: str = "recall@20") -> Table | None:
    """Methods x backbones x budgets: ours, published, and the difference (Tables 1 and 2)."""
    if not has_published(group):
        return None
    cells, data = group.of(results.main), beside_published(results, group)
    ran = set(cells.loc[cells["finished"], "backbone"])
    printed = data[data["metric"] == metric].set_index(["backbone", "method", "budget"])
    printed = printed[["ours", "published", "difference"]]
    index, lines = [], []
    for backbone, method, free in _rows(cells):
        budgets = _budgets(cells)
        keys = [(backbone, method, budget) for budget in budgets]
        if free:
            keys = [(backbone, method, NO_BUDGET if method == "full" else OWN)] * len(budgets)
        known = printed.reindex(keys)
        if backbone not in ran or known.isna().all(axis=None):
            continue
        index.append((backbone, _label(cells, backbone, method, free)))
        line = []
        for ours, paper, difference in known.itertuples(index=False):
            line += [decimal(ours), decimal(paper), *formatted(pd.Series([difference]), "{:+.4f}")]
        lines.append(line)
    if not lines:
        return None
    columns = pd.MultiIndex.from_product(
        [[f"sparsity {b}" for b in _budgets(cells)], ["ours", "paper", "diff."]]
    )
    rows = pd.MultiIndex.from_tuples(index, names=["backbone", "method"])
    caption = (
        f"{LONG[metric]} on {group}: ours, the paper's, and the difference, {_seeds(cells)}. "
        "Empty: the paper has no such number, or ours has not run. (own): without a budget, at the "
        "sparsity that ours chose; the one result is repeated. The paper's split, seeds and "
        "training length are not known; two evident misprints are repaired, see the CSV."
    )
    name = f"published_{metric.replace('@', '_')}{group.suffix}"
    return Table(name, caption, pd.DataFrame(lines, rows, columns), data, apart=("backbone",))


def paired_tests(results: Results) -> Table | None:
    """Every method of ours against its best competitor, rules and variants, per run and user,
    whichever way it falls.
    """
    tests = []
    for method, opponents in OPPONENTS.items():
        for each in opponents:
            tests.append(compare(results, METRIC, method, each.names).assign(kind=each.kind))
    # Without those that are empty: they would turn counts into floats.
    tests = [frame for frame in tests if len(frame)]
    if not tests:
        return None
    data = pd.concat(tests, ignore_index=True)
    text = pd.DataFrame(
        {
            "method": data["method"],
            "kind": data["kind"],
            "data": data["dataset"] + ", " + data["protocol"],
            "backbone": data["backbone"],
            "sparsity": data["budget"],
            "opponent": data["opponent"],
            "difference": data["difference"].map("{:+.4f}".format),
            "interval": intervals(data["low"], data["high"]),
            "p (Holm)": ["< 0.0001" if p < 1e-4 else f"{p:.4f}" for p in data["p_holm"]],
            "ahead": data["ahead"].astype(str) + " of " + data["seeds"].astype(str),
            "trainings": [
                f"{ours:.0f} against {theirs:.0f}"
                for ours, theirs in zip(
                    data["candidates"], data["opponent_candidates"], strict=True
                )
            ],
        }
    )
    caption = (
        f"Method minus opponent in {LONG[METRIC]} on test: mean, 95 % interval, and p, adjusted by "
        "Holm over all comparisons of the same method and kind. The seeds of both are resampled, "
        "then users, with Student's t for their small number; of one seed users only, and then "
        "what another split, start or search would change is not in interval and p. Ahead: seeds "
        f"in which the method's mean is higher. Best on validation: {RIVAL}. Trainings: tables of "
        "which the method, and its opponent, kept the best on validation."
    )
    place = text.groupby(["method", "kind"], sort=False).ngroup()
    text = (
        text.assign(place=place).sort_values(["place", "data"], kind="stable").drop(columns="place")
    )
    text = text.set_index(["method", "kind", "data", "backbone", "sparsity"])
    data = data.drop(columns=["wins", "loses"])
    return Table("paired", caption, text, data, apart=("method", "data", "backbone"))


def ranks(results: Results) -> Table | None:
    """Average ranks of all budgeted methods over the cells that all of them have finished, with a
    critical difference.
    """
    blocks = rank_blocks(results, METRIC)
    averages = average_ranks(blocks)
    if averages is None:
        return None
    wins = (blocks.rank(axis=1, ascending=False) == 1).sum()
    apart = averages.mean - averages.mean.iloc[0] > averages.difference
    text = pd.DataFrame(
        {
            "average rank": averages.mean.map("{:.2f}".format),
            "first in": wins[averages.mean.index],
            "apart from the first": apart.map({True: "yes", False: "no"}),
        }
    ).rename_axis("method")
    caption = (
        f"Average rank by {LONG[METRIC]} on test, 1 is best, over the {averages.blocks} settings "
        "(dataset, backbone, budget; protocol clean, mean over seeds) that all methods shown have "
        f"finished, {_of_data(blocks)}. Were they, Friedman's test would give p = {averages.p:.2g} "
        "and two methods would differ at the 5 % level if their average ranks were more than "
        f"{averages.difference:.2f} apart (Nemenyi)."
    )
    return Table("ranks", caption, text, blocks.reset_index())


def _of_data(blocks: pd.DataFrame) -> str:
    data = dict.fromkeys(blocks.index.get_level_values("dataset"))
    if len(data) > 1:
        return f"of {len(data)} data sets, those of one not independent of each other"
    return f"all settings of one data set ({next(iter(data))}), not independent of each other"


def published_formula(results: Results) -> Table | None:
    """How often and by how much actions of the paper's formula miss the budgets."""
    data = formula_use(results)
    if data.empty:
        return None
    most_over, excess, unused = (f"{data[name].max():.1%}" for name in data.columns[2:])
    caption = (
        f"The paper's formula misses budgets: of {DRAWS} actions at each budget, up to {most_over} "
        f"exceed it, by up to {excess}, and the others leave up to {unused} of it unused on "
        "average. Ours use the budget exactly."
    )
    text = data.set_index(["dataset", "sparsity"]).map("{:.1%}".format)
    return Table("published_formula", caption, text, data)


def _budgets(cells: pd.DataFrame) -> list[str]:
    return [budget for budget in dict.fromkeys(cells["budget"]) if budget != NO_BUDGET]


def _seeds(cells: pd.DataFrame) -> str:
    seeds = sorted(set(cells.loc[cells["finished"], "seed"]))
    if len(seeds) == 1:
        return f"a single seed ({seeds[0]})"
    return f"mean and standard deviation over {len(seeds)} seeds, each with a split of its own"


def _rows(cells: pd.DataFrame, *, finished: bool = False) -> list[tuple[str, str, bool]]:
    """The rows of a table: backbone, method, and whether it is the variant without a budget; all,
    or those of which a cell is ``finished``.
    """
    order = list(dict.fromkeys(cells["method"]))
    chosen = cells[cells["finished"]] if finished else cells
    variants = chosen.assign(free=chosen["budget"] == NO_BUDGET)[["backbone", "method", "free"]]
    place = {name: i for i, name in enumerate(dict.fromkeys(cells["backbone"]))}
    rows = variants.drop_duplicates().itertuples(index=False, name=None)
    return sorted(rows, key=lambda row: (place[row[0]], order.index(row[1]), row[2]))


def _label(cells: pd.DataFrame, backbone: str, method: str, free: bool) -> str:
    """``esapn (own, 75%)`` for a method without a budget, at the sparsity that it reached."""
    if not free or method == "full" or backbone == REFERENCE:
        return method
    chosen = cells[(cells["method"] == method) & (cells["backbone"] == backbone)]
    chosen = chosen[(chosen["budget"] == NO_BUDGET) & chosen["finished"]]
    sparsity = (1 - chosen["parameters"] / chosen["full_parameters"]).mean()
    return f"{method} (own)" if pd.isna(sparsity) else f"{method} (own, {sparsity:.0%})"


def _differs(results: Results, group: Group, metric: str) -> set[tuple[str, str, str]]:
    """Methods of ours, backbones and budgets where these surely differ from the best competitor."""
    sized = [method for method in OURS if method not in IN_BYTES]  # bytes have tables of their own
    tests = pd.concat([group.of(compare(results, metric, method)) for method in sized])
    tests = tests[tests["wins"] | tests["loses"]]
    return set(zip(tests["method"], tests["backbone"], tests["budget"], strict=True))
