"""Of a study of streams: tables of its runs and means."""

from operator import attrgetter

import pandas as pd

from bet.analysis.streams import METRIC, StreamResults, averages
from bet.report.style import BACKBONES
from bet.report.table import LONG, Table, mean_sd
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
    counted = data.rename(columns={"seeds": "count"})
    text = pd.DataFrame(
        {
            "data": data["dataset"],
            "backbone": data["backbone"].map(BACKBONES),
            "method": data["method"],
            LONG[METRIC]: [mean_sd(row) for _, row in counted.iterrows()],
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
