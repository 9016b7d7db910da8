"""The tables of bytes and costs; None where no record has anything to show."""

import pandas as pd

from bet.analysis import summaries
from bet.analysis.answers import best_at_sizes
from bet.analysis.results import Group, Results
from bet.analysis.serving import GRAPH, VECTORS, explanation
from bet.report.table import Table, decimal, formatted, intervals


def best_at(results: Results, group: Group) -> Table | None:
    """The best float32 and the best packed method at every size."""
    data = best_at_sizes(results, group)
    if data.empty:
        return None
    text = pd.DataFrame(
        {
            "backbone": data["backbone"],
            "bytes per entity": data["bytes"].map("{:.1f}".format),
            "sparsity": data["sparsity"],
            "best float32": data["float32"],
            "of full": data["float32_share"].map("{:.0%}".format),
            "best packed": formatted(data["packed"], "{}"),
            "of full ": formatted(data["packed_share"], "{:.0%}"),
            "difference": formatted(data["difference"], "{:+.4f}"),
            "interval": intervals(data["low"], data["high"]),
        }
    ).set_index(["backbone", "bytes per entity"])
    caption = (
        f"The best method at every size on {group}, chosen on validation; of full: NDCG@20 on test "
        "over the full table's. Float32: tables of float32 numbers. Packed: quantized rows, codes "
        "or hashed rows in a file of as many bytes. Difference: packed minus float32, mean over "
        "users, with its 95 % bootstrap interval over users."
    )
    return Table(f"best_at_sizes{group.suffix}", caption, text, data)


def quality_by_bytes(results: Results, group: Group) -> Table | None:
    """Every table with a budget by what its file takes: quality on test, also relative to the full
    table's.
    """
    data = summaries.quality_by_bytes(results, group)
    if data.empty:
        return None
    text = pd.DataFrame(
        {
            **{name: data[name] for name in ("backbone", "method", "budget", "seeds")},
            "columns per entity": data["columns"].map("{:.1f}".format),
            "bytes per entity": data["bytes_per_entity"].map("{:.2f}".format),
            "R@20": data["recall@20"].map(decimal),
            "N@20": data["ndcg@20"].map(decimal),
            "of full": formatted(data["of full"], "{:.0%}"),
            **{name: formatted(data[name], "{:.1f}") for name in (GRAPH, VECTORS)},
        }
    ).set_index(["backbone", "method", "budget"])
    caption = (
        f"Quality and bytes on {group}, mean over seeds. Bytes per entity: length of the table's "
        "file over the number of entities; of full: NDCG@20 over the full table's. The bits per "
        "number are in the name of a quantized method; everything in the file counts. Columns per "
        "entity: trained numbers over entities and copies; of codes (pq, mec) those of the "
        "codebooks and of uncompressed rows. "
    )
    caption += explanation(group.of(results.by_bytes))
    return Table(f"bytes{group.suffix}", caption, text, data)


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
    text = text.rename(columns={**shown, "peak_memory_MB": "peak memory (MB)"})
    caption = (
        f"Cost per cell, {group}: seconds by the clock, mean over budgets and seeds, as measured "
        "where the cells ran, several at a time. The full table that a search starts from "
        "(pretrain) is trained once for all cells of a backbone and seed; total is what the cell "
        "itself took. Fine-tunings and trainings from scratch are counts per cell, evaluations "
        "those of a supernet, or of a reference's settings, on validation; memory is the largest "
        "peak of a process."
    )
    return Table(f"cost{group.suffix}", caption, text.set_index(["backbone", "method"]), data)
