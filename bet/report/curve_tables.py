"""The tables of quality against bytes as curves: areas under them, and where they cross."""

import pandas as pd

from bet.analysis import curves
from bet.analysis.curves import LEAST, Panel
from bet.analysis.results import Results
from bet.analysis.statistics import CONFIDENCE, RESAMPLES
from bet.report.tables import MISSING, Table

LEADERS = 4  # per backbone: methods whose crossings are shown

_CURVES = (
    "A curve joins a method's points by lines, NDCG@20 on test over the logarithm of the bytes per entity of its file; files of "
    "the same length are one point, and where a method can use no more bytes its curve goes on level to its largest limit. "
)


def area_under_curve(study: Results, dataset: str, protocol: str, suffix: str = "") -> Table:
    """The mean quality over a range of bytes that most methods cover, beside the best method's on
    validation.
    """
    found = curves.panels(study, dataset, protocol)
    caption = (
        f"Area under the curve of quality against bytes on {dataset}, protocol {protocol}. {_CURVES}"
        "Area: mean of the curve over a range of the logarithm, divided by the full table's quality. The range of a backbone is "
        f"the one that most of its methods cover, at least {LEAST} octaves, and of those the widest; –: methods that do not cover "
        "all of it or have fewer than two points. "
        "Difference: of the mean N@20 to the method with the largest area on validation (bold), with its "
        f"{CONFIDENCE:.0%} bootstrap interval over users ({RESAMPLES:,} resamples), one pair at a time. {_compared(found)}"
    )
    data = (
        pd.concat([_areas(panel) for panel in found], ignore_index=True)
        if found
        else pd.DataFrame()
    )
    if data.empty:
        return Table(f"area{suffix}", caption.rstrip(), pd.DataFrame({"result": [MISSING]}), data)
    best = data.groupby("backbone", sort=False).cumcount() == 0
    best &= data["area"].notna()
    text = pd.DataFrame(
        {
            **{name: data[name] for name in ("backbone", "method")},
            "mean N@20": _shown(data["area"], "{:.4f}"),
            "area (of full)": _shown(data["relative"], "{:.1%}"),
            "difference to the best": _shown(data["difference"].mask(best), "{:+.4f}"),
            "interval": _intervals(data["low"].mask(best), data["high"], "{:+.4f}"),
        }
    ).set_index(["backbone", "method"])
    bold = pd.DataFrame({name: best.to_numpy() for name in text}, text.index)
    return Table(f"area{suffix}", caption.rstrip(), text, data, bold)


def crossings(study: Results, dataset: str, protocol: str, suffix: str = "") -> Table:
    """At how many bytes one method overtakes another, where that is sure; the data has all pairs,
    the text those to look at.
    """
    found = curves.panels(study, dataset, protocol)
    caption = (
        f"Where one method overtakes another on {dataset}, protocol {protocol}. {_CURVES}"
        f"Pairs of curves that cross in the range that both cover, of bet and of the {LEADERS} methods with the largest area on "
        f"validation (crossings{suffix}.csv: all pairs). From the bytes shown to the end of the range the method leads; "
        "of several crossings of a pair this is the last. "
        f"Interval: {CONFIDENCE:.0%} bootstrap interval over users ({RESAMPLES:,} resamples, the same for both). A resample agrees "
        "if the opponent leads where it leads most in the records, below the crossing, and the method leads at the end; shown are "
        f"pairs for which {CONFIDENCE:.0%} of the resamples do, pair by pair, with no adjustment for their number. "
        f"Behind, ahead: mean difference in N@20 at these two places. {_compared(found)}"
    )
    frames = [_crossings(panel) for panel in found]
    data = (
        pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
        if any(map(len, frames))
        else pd.DataFrame()
    )
    shown = data[data.pop("shown").astype(bool)] if len(data) else data
    if shown.empty:
        nothing = "no such crossing is sure" if found else MISSING
        return Table(
            f"crossings{suffix}", caption.rstrip(), pd.DataFrame({"result": [nothing]}), data
        )
    text = pd.DataFrame(
        {
            **{name: shown[name] for name in ("backbone", "method")},
            "overtakes": shown["opponent"],
            "at bytes per entity": _shown(shown["bytes"], "{:.1f}"),
            "interval": _intervals(shown["low"], shown["high"], "{:.1f}"),
            "resamples": _shown(shown["share"], "{:.1%}"),
            "behind": _shown(shown["behind"], "{:+.4f}"),
            "ahead": _shown(shown["ahead"], "{:+.4f}"),
        }
    ).set_index(["backbone", "method", "overtakes"])
    return Table(f"crossings{suffix}", caption.rstrip(), text, data)


def _areas(panel: Panel) -> pd.DataFrame:
    """All methods of a panel, those without an area last; the range in bytes per entity on every
    row.
    """
    frame = curves.areas(panel)
    without = [
        curve.method for curve in panel.curves if curve.method not in set(frame["method"])
    ] + list(panel.others)
    frame = (
        frame.set_index("method")
        .reindex([*frame["method"], *without])
        .rename_axis("method")
        .reset_index()
    )
    frame.insert(0, "backbone", panel.backbone)
    low, high = (float("nan"),) * 2 if panel.span is None else (2.0**end for end in panel.span)
    return frame.assign(from_bytes=low, to_bytes=high, users=panel.users, seeds=len(panel.seeds))


def _crossings(panel: Panel) -> pd.DataFrame:
    """All crossings of a panel, and whether a pair is ``shown``: one of bet or of the methods that
    validation puts first.
    """
    frame = curves.crossings(panel)
    main = {"bet", *curves.areas(panel)["method"][:LEADERS]}
    shown = frame["method"].isin(main) | frame["opponent"].isin(main)
    frame.insert(0, "backbone", panel.backbone)
    return frame.assign(shown=shown)


def _compared(found: list[Panel]) -> str:
    """On what, per backbone."""
    parts = []
    for panel in found:
        reach = (
            ""
            if panel.span is None
            else f"{2 ** panel.span[0]:.1f} to {2 ** panel.span[1]:.1f} bytes per entity, "
        )
        seeds = f"seed{'s' * (len(panel.seeds) > 1)} {', '.join(map(str, panel.seeds))}"
        parts.append(f"{panel.backbone}: {reach}{panel.users:,} users, {seeds}")
    return f"Compared: {'; '.join(parts)}." if parts else ""


def _shown(values: pd.Series, form: str) -> list[str]:
    return ["–" if pd.isna(value) else form.format(value) for value in values]


def _intervals(lows: pd.Series, highs: pd.Series, form: str) -> list[str]:
    pairs = zip(lows, highs, strict=True)
    return [
        "–" if pd.isna(low) else f"[{form.format(low)}, {form.format(high)}]" for low, high in pairs
    ]
