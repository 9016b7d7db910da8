"""The tables of a report, each as HTML, CSV and LaTeX."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bet.analysis.results import METRICS, Results, in_group
from bet.analysis.serving import GRAPH, VECTORS, explanation, serving_bytes
from bet.analysis.statistics import average_ranks, compare
from bet.files import atomic_path

MISSING = "missing"
SIGNIFICANT = 0.05
ENOUGH = 0.8  # share of su's cells that a method must have to be ranked
SHORT = {"recall@5": "R@5", "ndcg@5": "N@5", "recall@20": "R@20", "ndcg@20": "N@20"}


@dataclass(frozen=True)
class Table:
    """``text`` as printed, ``bold`` of the same shape, and ``data``: the same numbers unrounded,
    for the CSV.
    """

    name: str
    caption: str
    text: pd.DataFrame
    data: pd.DataFrame
    bold: pd.DataFrame | None = None

    def _styler(self):
        bold = (
            self.bold
            if self.bold is not None
            else pd.DataFrame(False, self.text.index, self.text.columns)
        )
        css = bold.map(lambda on: "font-weight: bold" if on else "")
        return self.text.style.apply(lambda _: css, axis=None).set_caption(self.caption)

    def html(self) -> str:
        """An HTML table with its caption."""
        styles = [
            {
                "selector": "td, th",
                "props": "text-align: right; padding: 0.15em 0.6em; white-space: nowrap",
            }
        ]
        styles.append(
            {
                "selector": "caption",
                "props": "text-align: left; caption-side: top; padding-bottom: 0.4em",
            }
        )
        return self._styler().set_table_styles(styles).set_uuid(self.name).to_html()

    def latex(self) -> str:
        """A LaTeX table for booktabs (and multirow, where rows are grouped)."""
        text = self._styler()
        text.format(escape="latex").format_index(escape="latex", axis=0).format_index(
            escape="latex", axis=1
        )
        text.set_caption(self.caption.replace("%", r"\%").replace("_", r"\_").replace("@", "@"))
        return text.to_latex(
            hrules=True,
            convert_css=True,
            position="t",
            multicol_align="c",
            label=f"tab:{self.name}",
        )

    def write(self, folder: Path) -> None:
        """Write ``<name>.html``, ``.csv`` and ``.tex`` into ``folder``."""
        parts = {"html": self.html(), "tex": self.latex(), "csv": self.data.to_csv(index=False)}
        for suffix, content in parts.items():
            with atomic_path(folder / f"{self.name}.{suffix}") as temporary:
                temporary.write_text(content)


def mean_sd(values: pd.Series, digits: int = 4) -> str:
    """``.1234`` or, with several values, ``.1234 ± .0012`` (sample standard deviation); ``missing``
    when none is there.
    """
    values = values.dropna()
    if values.empty:
        return MISSING
    number = f"{values.mean():.{digits}f}".removeprefix("0")
    return (
        number
        if len(values) == 1
        else f"{number} ± " + f"{values.std(ddof=1):.{digits}f}".removeprefix("0")
    )


def comparison(study: Results, dataset: str, protocol: str, suffix: str = "") -> Table:
    """Methods x backbones x budgets (Table 1): mean and deviation over seeds, best budgeted method
    in bold, * as tested.
    """
    cells = in_group(study.main, dataset, protocol)
    budgets = [budget for budget in dict.fromkeys(cells["budget"]) if budget != "none"]
    backbones = list(dict.fromkeys(cells["backbone"]))
    tests = {metric: compare(study, metric) for metric in METRICS}
    columns = pd.MultiIndex.from_tuples(
        [(f"sparsity {b}", SHORT[m]) for b in budgets for m in METRICS]
    )
    index, text, bold, data = [], [], [], []
    for backbone in backbones:
        own = cells[cells["backbone"] == backbone]
        blocks = [
            leaders(block).assign(budget=budget)
            for budget, block in own.groupby("budget", sort=False)
        ]
        means = pd.concat(blocks).groupby(["budget", "method"])[list(METRICS)].mean()
        for method, free in rows_of(own):
            index.append(
                (
                    backbone,
                    method
                    if not free or method == "full"
                    else f"{method} ({own_sparsity(own, method)})",
                )
            )
            line, marks = [], []
            for budget in budgets:
                block = own[
                    (own["method"] == method) & (own["budget"] == ("none" if free else budget))
                ]
                rivals = (
                    means.loc[[budget]]
                    if budget in means.index.get_level_values(0)
                    else means.iloc[:0]
                )
                for metric in METRICS:
                    entry = mean_sd(block[metric]) if len(block) else "–"
                    best = not free and len(rivals) > 1 and (budget, method) in rivals.index
                    best = bool(
                        best and rivals[metric].max() == rivals.loc[(budget, method), metric]
                    )
                    if method == "bet" and _significant(
                        tests[metric], dataset, protocol, backbone, budget
                    ):
                        entry += "*"
                    line.append(entry)
                    marks.append(best)
            text.append(line)
            bold.append(marks)
    rows = pd.MultiIndex.from_tuples(index, names=["backbone", "method"])
    names = ["dataset", "protocol", "backbone", "budget", "method", "seed", "finished"]
    data = cells.reset_index()[[*names, *METRICS, "validation", "parameters", "limit"]]
    caption = (
        f"Test quality on {dataset}, protocol {protocol}: mean and, with several seeds, standard deviation over seeds."
        " Bold: best method with a budget. full: the whole table, for reference; other rows without a budget: as published, at the "
        "sparsity that the method chose itself. –: not in the profile. *: BET differs from its best competitor (chosen on "
        f"validation, neither full nor an ablation), Wilcoxon signed-rank over users, Holm-adjusted p < {SIGNIFICANT}."
    )
    return Table(
        f"comparison{suffix}",
        caption,
        pd.DataFrame(text, rows, columns),
        data,
        pd.DataFrame(bold, rows, columns),
    )


def rows_of(cells: pd.DataFrame) -> list[tuple[str, bool]]:
    """The rows of a table of one backbone's ``cells``: (method, whether it is the variant without a
    budget).
    """
    kinds = [
        (method, budget == "none")
        for method, budget in zip(cells["method"], cells["budget"], strict=True)
    ]
    methods = list(dict.fromkeys(cells["method"]))
    return sorted(dict.fromkeys(kinds), key=lambda kind: (methods.index(kind[0]), kind[1]))


def own_sparsity(cells: pd.DataFrame, method: str) -> str:
    """``own, 75%``: the mean sparsity that ``method`` reached without a budget."""
    own = cells[(cells["method"] == method) & (cells["budget"] == "none") & cells["finished"]]
    share = (1 - own["parameters"] / own["full_parameters"]).mean()
    return "own" if own.empty else f"own, {share:.0%}"


def ranks(study: Results, metric: str = "ndcg@20") -> Table:
    """Average ranks of all budgeted methods over the cells that all of them have finished, with a
    critical difference.
    """
    blocks = rank_blocks(study, metric)
    found = average_ranks(blocks)
    caption = f"Average rank by {SHORT[metric]} on test, 1 is best."
    if found is None:
        return Table("ranks", caption, pd.DataFrame({"result": [MISSING]}), blocks.reset_index())
    caption = (
        f"Average rank by {SHORT[metric]} on test, 1 is best, over {found.blocks} cells (dataset, backbone, budget; protocol "
        f"clean, mean over seeds) that all methods shown have finished. Friedman's test: p = {found.p:.2g}. Two methods differ at "
        f"the 5 % level if their average ranks are more than {found.difference:.2f} apart (Nemenyi's critical difference)."
    )
    wins = (blocks.rank(axis=1, ascending=False) == 1).sum()
    best = found.mean.iloc[0]
    text = pd.DataFrame(
        {
            "average rank": found.mean.map("{:.2f}".format),
            "first in": wins[found.mean.index],
            "apart from the first": [
                "yes" if rank - best > found.difference else "no" for rank in found.mean
            ],
        }
    ).rename_axis("method")
    return Table("ranks", caption, text, blocks.reset_index())


def rank_blocks(study: Results, metric: str) -> pd.DataFrame:
    """Mean of ``metric`` over seeds, protocol clean: a row per (dataset, backbone, budget), a
    column per method.

    Methods that have finished less than four fifths of the cells that ``su`` has are left out, then
    the cells that lack a method.
    """
    cells = study.main[
        (study.main["budget"] != "none")
        & (study.main["protocol"] == "clean")
        & study.main["finished"]
    ]
    keys = ["dataset", "backbone", "budget"]
    wide = cells.pivot_table(metric, [*keys, "seed"], "method", sort=False, observed=True)
    ours = wide[wide["su"].notna()] if "su" in wide else wide
    often = [
        name
        for name in dict.fromkeys(cells["method"])
        if len(ours) and ours[name].notna().mean() >= ENOUGH
    ]
    return ours[often].dropna().groupby(keys, sort=False).mean()


def leaders(cells: pd.DataFrame) -> pd.DataFrame:
    """The rows of one block's finished cells of methods that have every seed that any method has:
    others saw other splits.
    """
    finished = cells[cells["finished"]]
    seeds = finished.groupby("method")["seed"].transform("nunique")
    return finished[seeds == seeds.max()] if len(finished) else finished


def trials(study: Results, dataset: str, protocol: str, suffix: str = "") -> Table:
    """What the competitors' own knobs were set to: of the values tried, the best on validation."""
    cells = in_group(study.main, dataset, protocol)
    rows = []
    for cell_id in cells.index[cells["finished"]]:
        record = study.record(str(cell_id))
        tried = (record or {}).get("trials")
        if tried:
            best = max(range(len(tried)), key=lambda i: tried[i]["quality"])
            facts = ", ".join(
                f"{name.replace('_', ' ')} {value:.4g}" for name, value in tried[best].items()
            )
            cell = cells.loc[cell_id]
            place = {name: cell[name] for name in ("backbone", "method", "budget", "seed")}
            rows.append(place | {"retrained": len(tried), "best on validation": facts})
    data = pd.DataFrame(rows)
    caption = (
        f"Tuning of the competitors on {dataset}, protocol {protocol}: how many settings were trained from scratch, and what the "
        "best one on validation was. BET, its ablations, powerlaw and ciess retrain as many of their actions; su, sr train once."
    )
    if data.empty:
        return Table(f"trials{suffix}", caption, pd.DataFrame({"result": [MISSING]}), data)
    return Table(
        f"trials{suffix}", caption, data.set_index(["backbone", "method", "budget", "seed"]), data
    )


def _significant(
    tests: pd.DataFrame, dataset: str, protocol: str, backbone: str, budget: str
) -> bool:
    if tests.empty:
        return False
    found = in_group(tests, dataset, protocol)
    found = found[(found["backbone"] == backbone) & (found["budget"] == budget)]
    return bool(len(found) and found["p_holm"].iloc[0] < SIGNIFICANT)


def paired_tests(study: Results, metric: str = "ndcg@20") -> Table:
    """BET against its best competitor, the tuned rule and two of its own variants, per user,
    whichever way it falls.
    """
    kinds = {
        "best on validation": None,
        "tuned rule": "powerlaw",
        "random selection": "bet-random",
        "no fine-tuning": "nested",
    }
    compared = [
        compare(study, metric, opponent=name).assign(kind=kind) for kind, name in kinds.items()
    ]
    # Without those that are empty: they would turn counts into floats.
    data = pd.concat([frame for frame in compared if len(frame)] or compared[:1], ignore_index=True)
    caption = (
        f"Paired difference in {metric} on test, BET minus opponent: mean over users, 95 % bootstrap interval over "
        "users, p of Wilcoxon's signed-rank test, adjusted by Holm over all comparisons with the same kind of "
        "opponent. Best on validation: of all competitors, ablations apart. With several seeds a user's metric is first averaged "
        "over seeds; ahead: seeds in which BET's mean is higher."
    )
    if data.empty:
        return Table("paired", caption, pd.DataFrame({"result": [MISSING]}), data)
    text = pd.DataFrame(
        {
            "dataset": data["dataset"] + ", " + data["protocol"],
            "backbone": data["backbone"],
            "sparsity": data["budget"],
            "kind": data["kind"],
            "opponent": data["opponent"],
            "difference": [f"{x:+.4f}" for x in data["difference"]],
            "interval": [
                f"[{low:+.4f}, {high:+.4f}]"
                for low, high in zip(data["low"], data["high"], strict=True)
            ],
            "p (Holm)": [f"{p:.3g}" for p in data["p_holm"]],
            "users": data["users"],
            "ahead": [
                f"{ahead} of {seeds}"
                for ahead, seeds in zip(data["ahead"], data["seeds"], strict=True)
            ],
        }
    )
    return Table(
        "paired", caption, text.set_index(["dataset", "backbone", "sparsity", "kind"]), data
    )


def ablation(study: Results, dataset: str, protocol: str, suffix: str = "") -> Table:
    """How the next action is selected (Table 2): at random, by sizes only, by DeepSets."""
    names = {"bet-random": "random", "bet-simple": "simple (sizes only)", "bet": "DeepSets"}
    cells = in_group(study.main, dataset, protocol)
    cells = cells[cells["method"].isin(names)]
    complete = cells.groupby("backbone")["method"].nunique()
    cells = cells[cells["backbone"].isin(complete.index[complete == len(names)])]
    metrics = ("recall@20", "ndcg@20", "validation")
    budgets, backbones = (
        list(dict.fromkeys(cells["budget"])),
        list(dict.fromkeys(cells["backbone"])),
    )
    columns = pd.MultiIndex.from_product(
        [[f"sparsity {b}" for b in budgets], ["R@20", "N@20", "validation"]]
    )
    text, bold = [], []
    for backbone in backbones:
        blocks = {m: cells[(cells["backbone"] == backbone) & (cells["method"] == m)] for m in names}
        means = {m: block.groupby("budget")[list(metrics)].mean() for m, block in blocks.items()}
        for method in names:
            row, marks = [], []
            for budget in budgets:
                for metric in metrics:
                    row.append(
                        mean_sd(blocks[method].loc[blocks[method]["budget"] == budget, metric])
                    )
                    best = max(
                        mean.loc[budget, metric] for mean in means.values() if budget in mean.index
                    )
                    marks.append(
                        bool(
                            budget in means[method].index
                            and means[method].loc[budget, metric] == best
                        )
                    )
            text.append(row)
            bold.append(marks)
    rows = pd.MultiIndex.from_product(
        [backbones, list(names.values())], names=["backbone", "selection"]
    )
    caption = (
        f"Selection of actions on {dataset}, protocol {protocol} (Table 2 of the paper): test metrics, and quality on "
        "validation. Bold: best."
    )
    data = (
        cells.reset_index()[["backbone", "budget", "method", "seed", *metrics]]
        if len(cells)
        else cells
    )
    if not text:
        return Table(f"ablation{suffix}", caption, pd.DataFrame({"result": [MISSING]}), data)
    return Table(
        f"ablation{suffix}",
        caption,
        pd.DataFrame(text, rows, columns),
        data,
        pd.DataFrame(bold, rows, columns),
    )


def budget_use(study: Results, dataset: str, protocol: str, suffix: str = "") -> Table:
    """Limit, parameters used and file size of every table; a share above 1 would be a broken
    promise.
    """
    cells = in_group(study.main, dataset, protocol)
    cells = cells[cells["finished"] & (cells["budget"] != "none")]
    keys = ["backbone", "budget", "method"]
    caption = (
        f"Budget use on {dataset}, protocol {protocol}: the most parameters that any seed's table holds, all tables of"
        " a backbone together (NCF keeps two per side), and the bytes of its file, sizes and header included."
    )
    if cells.empty:
        return Table(f"budget{suffix}", caption, pd.DataFrame({"result": [MISSING]}), cells)
    data = (
        cells.groupby(keys, sort=False)[["limit", "parameters", "bytes", "full_parameters"]]
        .max()
        .astype("int64")
        .reset_index()
    )
    data["share used"] = data["parameters"] / data["limit"]
    data["share of full"] = data["parameters"] / data["full_parameters"]
    text = data.copy()
    for name in ("limit", "parameters", "bytes", "full_parameters"):
        text[name] = [f"{value:,}" for value in data[name]]
    text["share used"] = [f"{value:.6f}" for value in data["share used"]]
    text["share of full"] = [f"{value:.4f}" for value in data["share of full"]]
    return Table(
        f"budget{suffix}",
        caption,
        text.rename(columns={"full_parameters": "full table"}).set_index(keys),
        data,
    )


def quality_by_bytes(study: Results, dataset: str, protocol: str, suffix: str = "") -> Table:
    """Every table with a budget by what its file takes: quality on test, also relative to the full
    table's.
    """
    cells = in_group(study.by_bytes, dataset, protocol)
    own = cells[cells["budget"] != "none"]
    caption = (
        f"Quality and bytes on {dataset}, protocol {protocol}, mean over seeds. Bytes per entity: length of the table's file over "
        "the number of entities; of full: NDCG@20 relative to the full table's. Quantized rows: bits per number in the name; "
        "everything in the file counts. Columns per entity: trained numbers over entities and copies; of codes (pq, mec) those of "
        "the codebooks and of rows of their own. "
    )
    if own.empty:
        return Table(f"bytes{suffix}", caption.rstrip(), pd.DataFrame({"result": [MISSING]}), own)
    own, caption = own.join(serving_bytes(own)), caption + explanation(own)
    keys = ["backbone", "budget", "method"]
    mean = {
        name: (name, "mean")
        for name in ("bytes_per_entity", "recall@20", "ndcg@20", "validation", "entities")
    }
    mean |= {name: (name, "mean") for name in (GRAPH, VECTORS)}
    data = (
        own.groupby(keys, sort=False)
        .agg(seeds=("seed", "nunique"), columns=("parameters", "mean"), **mean)
        .reset_index()
    )
    data["columns"] /= data.pop("entities") * data["backbone"].map(
        own.groupby("backbone")["tables"].first()
    )
    ceiling = cells[cells["method"] == "full"].groupby("backbone")["ndcg@20"].mean()
    data["of full"] = data["ndcg@20"] / data["backbone"].map(ceiling)
    order = {backbone: i for i, backbone in enumerate(dict.fromkeys(data["backbone"]))}
    data = data.sort_values(
        ["backbone", "bytes_per_entity"], key=lambda x: x.map(order) if x.name == "backbone" else x
    )
    text = pd.DataFrame(
        {
            **{name: data[name] for name in ("backbone", "method", "budget", "seeds")},
            "columns per entity": data["columns"].map("{:.1f}".format),
            "bytes per entity": data["bytes_per_entity"].map("{:.2f}".format),
            "R@20": data["recall@20"].map("{:.4f}".format),
            "N@20": data["ndcg@20"].map("{:.4f}".format),
            "of full": data["of full"].map("{:.0%}".format),
            **{
                name: ["–" if value != value else f"{value:.1f}" for value in data[name]]
                for name in (GRAPH, VECTORS)
            },
        }
    )
    return Table(f"bytes{suffix}", caption, text.set_index(["backbone", "method", "budget"]), data)


def cost(study: Results, dataset: str, protocol: str, suffix: str = "") -> Table:
    """What a cell took: seconds by stage, models trained, memory; means over budgets and seeds."""
    cells = in_group(study.main, dataset, protocol)
    cells = cells[cells["finished"]]
    stages = [f"{name}_seconds" for name in ("pretrain", "search", "retrain", "total")]
    caption = (
        f"Cost per cell on {dataset}, protocol {protocol}: wall-clock seconds, mean over budgets and seeds, as measured where the "
        "cells ran, several at a time. The full table that a search starts from (pretrain) is trained once and shared by all cells "
        "of a backbone and seed; total is what the cell itself took. Fine-tunings and trainings from scratch are counts per "
        "cell, evaluations those of a supernet on validation; memory is the largest peak of a process."
    )
    if cells.empty:
        return Table(f"cost{suffix}", caption, pd.DataFrame({"result": [MISSING]}), cells)
    counts = ["finetunings", "trainings", "evaluations"]
    numbers = {name: (name, "mean") for name in [*stages, *counts]}
    free = (cells["budget"] == "none") & (cells["method"] != "full")
    cells = cells.assign(method=cells["method"].where(~free, cells["method"] + " (own)"))
    grouped = cells.groupby(["backbone", "method"], sort=False)
    data = grouped.agg(
        cells=("finished", "size"), **numbers, peak_memory_MB=("peak_memory_bytes", "max")
    ).reset_index()
    data["peak_memory_MB"] /= 1e6
    text = data.copy()
    for name in [*stages, *counts]:
        text[name] = [f"{value:.1f}" for value in data[name]]
    text["peak_memory_MB"] = [f"{value:.0f}" for value in data["peak_memory_MB"]]
    shown = {name: name.replace("_seconds", " (s)") for name in stages} | {
        "peak_memory_MB": "peak memory (MB)"
    }
    return Table(
        f"cost{suffix}", caption, text.rename(columns=shown).set_index(["backbone", "method"]), data
    )
