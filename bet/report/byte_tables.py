"""The tables of bytes and costs; None where no record has anything to show."""

import pandas as pd

from bet.analysis import summaries
from bet.analysis.answers import best_to_serve
from bet.analysis.results import METRIC, REFERENCE, TABLE_BYTES, TO_SERVE, Group, Results
from bet.report.style import on_backbone
from bet.report.table import ABSENT, Table, decimal, formatted, intervals, of_full

EQUIVALENT = (
    "≈: equivalent within 1 %, by two one-sided tests at 5 %: the 90 % interval of the difference "
    "is within 1 % of the full table's NDCG@20."
)


def best_at(results: Results, group: Group) -> Table | None:
    """What is best within every size to serve, beside the best searched or float32 table."""
    data = best_to_serve(results, group)
    if data.empty:
        return None
    rivals = data[["rival", "rival backbone"]].dropna().agg(lambda pair: on_backbone(*pair), axis=1)
    text = pd.DataFrame(
        {
            "at most": data["at most"].map("{:.1f}".format),
            "best": list(map(on_backbone, data["method"], data["backbone"])),
            "bytes to serve": data[TO_SERVE].map("{:.1f}".format),
            "holds": data["holds"],
            "table bytes": data[TABLE_BYTES].map("{:.1f}".format),
            "R@20": data["recall@20"].map(decimal),
            "N@20": data[METRIC].map(decimal),
            "of full LightGCN": _shares(data),
            "best searched or float32": formatted(rivals.reindex(data.index), "{}"),
            "difference": formatted(data["difference"], "{:+.4f}"),
            "interval": intervals(data["low"], data["high"]),
        }
    ).set_index("at most")
    caption = (
        f"The best that fits on {group}, of all methods, backbones and references that have run, "
        "chosen on validation; bytes per entity. Bytes to serve: the whole file from which a fresh "
        "process answers; table bytes: its table alone, as the paper counts. Of full LightGCN: "
        f"NDCG@20 on test over the full table's. {EQUIVALENT} Best searched or float32: of BET's "
        "variants and of all tables of float32 numbers that fit; difference: of NDCG@20, mean over "
        "users, with its 95 % interval: seeds, then users resampled, or users only of one seed."
    )
    return Table(f"best_to_serve{group.suffix}", caption, text, data)


def _shares(data: pd.DataFrame) -> list[str]:
    pairs = zip(data["of full"], data["equivalent"], strict=True)
    return [of_full(*pair) or ABSENT for pair in pairs]


def quality_by_bytes(results: Results, group: Group) -> Table | None:
    """Everything that has run by what serving it takes: quality on test, also relative to the full
    table's.
    """
    data = summaries.quality_by_bytes(results, group)
    if data.empty:
        return None
    text = pd.DataFrame(
        {
            **{name: data[name] for name in ("backbone", "method", "budget")},
            "bytes to serve": data[TO_SERVE].map("{:.2f}".format),
            "holds": data["holds"],
            "table bytes": data[TABLE_BYTES].map("{:.2f}".format),
            "columns": data["columns"].map("{:.1f}".format),
            "seeds": data["seeds"],
            "R@20": data["recall@20"].map(decimal),
            "N@20": data["ndcg@20"].map(decimal),
            "of full": _shares(data),
        }
    ).set_index(["backbone", "method", "budget"])
    caption = (
        f"Quality and bytes per entity on {group}, mean over seeds. Bytes to serve: length of the "
        "file from which a fresh process answers with the top k of any user, over the number of "
        "entities. It holds final vectors, the table, or the coded interactions with or without "
        "one of these, and the backbone's weights; or the items in order. "
        + _options(group.of(results.by_bytes))
        + "Table bytes: length of the table's file, 0 without a table. Columns: trained numbers "
        "over entities and copies; of codes (pq, mec) those of the codebooks and of uncompressed "
        f"rows. Of full: NDCG@20 over the full table's, same seeds. {EQUIVALENT}"
    )
    return Table(f"bytes{group.suffix}", caption, text, data, apart=("backbone",))


def _options(cells: pd.DataFrame) -> str:
    """What the backbone's weights take, and what known items and ids would add."""
    each = cells.filter(like="serving ").select_dtypes("number").div(cells["entities"], axis=0)
    parts = []
    weights = each["serving weights"].where(cells["backbone"] != REFERENCE, 0)
    largest = weights.groupby(cells["backbone"], sort=False).max()
    if shares := [f"{name} {share:.1f}" for name, share in largest.items() if share > 0]:
        parts.append(f"Weights in it: {', '.join(shares)} bytes per entity.")
    known = each.loc[each["serving seen_bytes"] > 0, "serving seen_bytes"]
    if len(known):
        parts.append(
            "A file without interactions can leave out the items that a user knows if it holds "
            f"them, too, which adds {known.max():.1f}; one with interactions knows them already."
        )
    most = each["serving id_bytes"].max()
    parts.append(f"The ids of users and items add {most:.1f} to any file.")
    return "".join(part + " " for part in parts)


def cost(results: Results, group: Group) -> Table | None:
    """What a cell took: seconds by stage, models trained, memory; means over budgets and seeds."""
    data = summaries.cost(results, group)
    if data.empty:
        return None
    place = {backbone: i for i, backbone in enumerate(dict.fromkeys(data["backbone"]))}
    text = data.sort_values("backbone", key=lambda names: names.map(place), kind="stable")
    for name in [*summaries.STAGES, *summaries.COUNTS]:
        text[name] = formatted(text[name], "{:.1f}")
    text["peak_memory_MB"] = data["peak_memory_MB"].map("{:.0f}".format)
    shown = {name: name.replace("_seconds", " (s)") for name in summaries.STAGES}
    shown |= {name: name.replace("_", " ") for name in summaries.COUNTS}
    text = text.rename(columns={**shown, "peak_memory_MB": "peak memory (MB)"})
    caption = (
        f"Cost per cell, {group}: seconds by the clock, mean over budgets and seeds, as measured "
        "where the cells ran, several at a time. The full table that a search starts from "
        "(pretrain) is trained once for all cells of a backbone and seed; total is what the cell "
        "itself took. Fine-tunings and trainings to the end are counts per cell, evaluations "
        "those of a supernet, or of a reference's settings, on validation; memory is the largest "
        "peak of a process."
    )
    text = text.set_index(["backbone", "method"])
    return Table(f"cost{group.suffix}", caption, text, data, apart=("backbone",))
