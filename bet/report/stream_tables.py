"""Of a study of streams: the answers in sentences, and tables."""

from itertools import chain
from operator import attrgetter

import pandas as pd

from bet.analysis.paired import Paired
from bet.analysis.streams import METRIC, PLAIN, StreamResults, averages, best_capped, compare
from bet.report.style import BACKBONES
from bet.report.table import LONG, Table, decimal
from bet.stream import STREAM_METHODS
from bet.study.stream_record import StreamRecord


def segments_of(record: StreamRecord) -> pd.DataFrame:
    """A row per segment of one run."""
    names = ("users", "items", "train", "test", "unknown", "limit_bytes", "bytes", "epochs")
    frame = pd.DataFrame(list(map(attrgetter(*names), record.segments)), columns=names)
    frame[METRIC] = [part.metrics.ndcg_at_20 for part in record.segments]
    return frame.rename_axis("segment").dropna(axis=1, how="all")


def facts_of(record: StreamRecord) -> pd.DataFrame:
    """What the method said of its choice, a row per segment."""
    return pd.DataFrame([part.facts for part in record.segments]).rename_axis("segment")


def averages_table(results: StreamResults) -> Table:
    """Every method's mean over segments."""
    data = averages(results)
    text = pd.DataFrame(
        {
            "data": data["dataset"],
            "backbone": data["backbone"].map(BACKBONES),
            "method": data["method"],
            LONG[METRIC]: [
                decimal(mean) if pd.isna(std) else f"{decimal(mean)} ± {decimal(std)}"
                for mean, std in zip(data["mean"], data["std"], strict=True)
            ],
            "seeds": data["seeds"],
            "bytes at the end": data["bytes"].map("{:,}".format),
            "a segment over its training": data["cost"].map("{:.2f}".format),
        }
    ).set_index(["data", "backbone", "method"])
    caption = (
        f"{LONG[METRIC]} on the segments' own test parts, averaged over segments, ± the standard "
        "deviation over seeds. Cost: seconds of sizing and training over those of training, the "
        "median of all segments but the first"
    )
    return Table("streams", caption, text, data)


def stream_findings(results: StreamResults) -> list[str]:
    """The answers, in the order of the papers' claims."""
    if not results.records:
        return ["No cell has finished yet; nothing can be said."]
    parts = [_caps(results), *(_of_group(results, group) for group in results.groups)]
    return list(chain.from_iterable([*parts, _recurring(results)]))


def _caps(results: StreamResults) -> list[str]:
    table = results.segments
    capped = table[table["limit_bytes"].notna()]
    kept = (capped["bytes"] <= capped["limit_bytes"]).sum()
    lines = [f"Caps: {kept:,} of {len(capped):,} tables of capped methods are within their cap."]
    free = table[table["limit_bytes"].isna()]
    for (dataset, backbone, method), rows in free.groupby(
        ["dataset", "backbone", "method"], sort=False
    ):
        ends = rows.groupby("number")["bytes"].mean()
        cap = capped.loc[capped["dataset"] == dataset, "limit_bytes"].max()
        lines.append(
            f"Without a cap, {method} on {dataset} with {BACKBONES[backbone]} grows from "
            f"{ends.iloc[0]:,.0f} to {ends.iloc[-1]:,.0f} bytes, {ends.iloc[-1] / cap:.1f} times "
            "the cap of the others."
        )
    return lines


def _of_group(results: StreamResults, group: tuple[str, str]) -> list[str]:
    dataset, backbone = group
    present = set(results.of(*group)["method"])
    means = averages(results)
    means = means[(means["dataset"] == dataset) & (means["backbone"] == backbone)]
    scores = means.set_index("method")["mean"]
    plain = [name for name in PLAIN if name in present]
    capped = [name for name in scores.index if STREAM_METHODS[name].capped]
    if not plain or not capped:
        return []
    where = f"{dataset}, {BACKBONES[backbone]}"
    rule = best_capped(results, group, plain)
    searched = [name for name in capped if name not in PLAIN]
    lines = [f"**{where}.** The best plain rule on validation is {rule}, {decimal(scores[rule])}."]
    if searched:
        best = best_capped(results, group, searched)
        against = _sentence(compare(results, group, best, rule))
        lines.append(f"Of the methods that search, {best} is best on validation: {against} {rule}.")
    for method, opponent, claim in CLAIMS:
        if {method, opponent} <= present:
            outcome = _sentence(compare(results, group, method, opponent))
            lines.append(f"{claim}: {outcome} {opponent}.")
    return [lines[0] + "".join(f"\n  - {line}" for line in lines[1:])]


CLAIMS = (
    ("scall", "stream-uniform", "SCALL against equal rows of the same bytes"),
    ("scall", "stream-powerlaw", "SCALL against a tuned fixed exponent"),
    ("scall", "scall-bayes", "The actor-critic against Bayesian search, as many evaluations"),
    ("dess-like-capped", "dess-like-frequency", "Frequency, IND and POD against frequency alone"),
    ("stream-bet-plus", "stream-uniform", "The gated search against equal rows"),
    ("stream-bet-plus", "scall-bayes", "The gated search against the search of three numbers"),
)


def _sentence(test: Paired | None) -> str:
    if test is None:
        return "no seed of both has finished, against"
    low, high = test.interval()
    verdict = "ahead of" if low > 0 else "behind" if high < 0 else "not apart from"
    return f"{test.difference:+.4f} [{low:+.4f}, {high:+.4f}], {verdict}"


def _recurring(results: StreamResults) -> list[str]:
    lines = []
    data = {record.data.name: record.data for record in results.records}
    for name, counts in data.items():
        if not counts.recurring:
            continue
        low, high = min(counts.recurring), max(counts.recurring)
        line = (
            f"Of the users of a segment of {name}, {low:.0%} to {high:.0%} were in an earlier one"
        )
        if name.startswith(("movielens", "ml-")):
            line += "; nothing about drifting tastes follows from this data"
        lines.append(line + ".")
    return lines
