"""Quality against bytes as curves: the area under them, and where one overtakes another; intervals
resample users.

A method's curve joins its points (log2 of the file's bytes per entity, mean quality) by straight
lines. All of it is linear in the qualities of single users, so that areas and differences at any
place are weighted sums of what a user got at the points.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from bet.analysis.results import Results, in_group
from bet.analysis.statistics import CONFIDENCE, interval, resampled_means

METRIC = "ndcg@20"
LEAST = 0.75  # octaves: a float32 table at 95 % and a quantized one of as many bytes differ by a byte, and 0.94 of one are left
SAME = 0.01  # octaves within which two files count as equally long


@dataclass(frozen=True)
class Curve:
    """One method: ``octaves`` (k,) log2 of bytes per entity, ascending; ``rows`` (k,) of a panel's
    points; ``validation`` (k,).
    """

    method: str
    octaves: np.ndarray
    rows: np.ndarray
    validation: np.ndarray

    def covers(self, low: float, high: float) -> bool:
        """Whether the curve reaches from ``low`` to ``high``."""
        return bool(self.octaves[0] <= low and high <= self.octaves[-1])

    def at(self, octaves: np.ndarray) -> np.ndarray:
        """Weights (m, k): the curve at ``octaves`` (m,), inside its ends, is their product with its
        values (k,).
        """
        return np.stack(
            [np.interp(octaves, self.octaves, unit) for unit in np.eye(len(self.octaves))], 1
        )

    def mean(self, low: float, high: float) -> np.ndarray:
        """Weights (k,): the mean of the curve from ``low`` to ``high`` is their product with its
        values (k,).
        """
        places = np.array([low, *self.octaves[(self.octaves > low) & (self.octaves < high)], high])
        steps = np.diff(places) / (high - low)
        return (np.append(steps, 0) + np.append(0, steps)) / 2 @ self.at(places)


@dataclass(frozen=True)
class Panel:
    """The curves of one backbone on the same ``seeds`` and users, and ``others``, methods without
    one.

    ``means`` (p,): quality by point over all users, ``resampled`` (p, r): over r resamples of them;
    ``full``: of the full table.
    """

    backbone: str
    curves: tuple[Curve, ...]
    others: tuple[str, ...]
    seeds: tuple[int, ...]
    users: int
    means: np.ndarray
    resampled: np.ndarray
    full: float

    @property
    def span(self) -> tuple[float, float] | None:
        """The range (octaves) in which areas are compared."""
        return shared_span(self.curves)


def panels(study: Results, dataset: str, protocol: str) -> list[Panel]:
    """The panel of every backbone that has a curve."""
    if (dataset, protocol) not in study.curves:
        cells = in_group(study.by_bytes, dataset, protocol)
        found = [
            _panel(study, str(name), own) for name, own in cells.groupby("backbone", sort=False)
        ]
        study.curves[dataset, protocol] = [panel for panel in found if panel is not None]
    return study.curves[dataset, protocol]


def shared_span(curves: tuple[Curve, ...]) -> tuple[float, float] | None:
    """The range of at least ``LEAST`` octaves that most curves cover and, of those, the widest;
    None without one.

    A single short curve neither narrows it nor empties it: it is the one left out.
    """
    ends = [(curve.octaves[0], curve.octaves[-1]) for curve in curves]
    ranked = [
        (sum(curve.covers(low, high) for curve in curves), high - low, (low, high))
        for low, _ in ends
        for _, high in ends
        if high - low >= LEAST
    ]
    most, _, span = max(ranked, default=(0, 0.0, (0.0, 0.0)))
    return span if most else None


def areas(panel: Panel) -> pd.DataFrame:
    """A row per method that covers the panel's range, the best on validation first (``reference``
    of all the differences).

    area: mean quality on test over the range; relative: of the full table's; difference to the
    reference with its interval.
    """
    names = ["method", "area", "relative", "validation", "difference", "low", "high"]
    if panel.span is None:
        return pd.DataFrame(columns=names)
    low, high = panel.span
    covering = [curve for curve in panel.curves if curve.covers(low, high)]
    weights = np.zeros((len(covering), len(panel.means)))
    for own, curve in zip(weights, covering, strict=True):
        np.add.at(own, curve.rows, curve.mean(low, high))
    validation = np.array([curve.mean(low, high) @ curve.validation for curve in covering])
    order = np.argsort(-validation, kind="stable")
    area, resampled = (weights @ panel.means)[order], (weights @ panel.resampled)[order]
    lows, highs = interval(resampled - resampled[0])
    methods = [covering[i].method for i in order]
    columns = (methods, area, area / panel.full, validation[order], area - area[0], lows, highs)
    return pd.DataFrame(dict(zip(names, columns, strict=True)))


def lead(panel: Panel, method: str, over: str) -> tuple[float, float, float]:
    """Difference of two methods' areas and its interval."""
    assert panel.span is not None
    curves = {curve.method: curve for curve in panel.curves}
    difference, resampled = [
        curves[method].mean(*panel.span) @ values[curves[method].rows]
        - curves[over].mean(*panel.span) @ values[curves[over].rows]
        for values in (panel.means, panel.resampled)
    ]
    low, high = interval(resampled)
    return float(difference), float(low), float(high)


def crossings(panel: Panel) -> pd.DataFrame:
    """A row per pair of methods whose curves surely cross: ``method`` overtakes ``opponent`` at
    ``bytes`` [``low``, ``high``].

    share: of the resamples that agree. behind, ahead: mean difference where the opponent leads most
    below, and at the upper end.
    """
    rows = []
    for one, other in combinations(panel.curves, 2):
        places = _common(one, other)
        if len(places) < 2:
            continue
        sides = [curve.at(places) @ panel.means[curve.rows] for curve in (one, other)]
        if sides[0][-1] < sides[1][-1]:
            one, other, sides = other, one, sides[::-1]
        mean = sides[0] - sides[1]  # (m,)
        if not (mean.min() < 0 < mean[-1]):
            continue
        resampled = (
            one.at(places) @ panel.resampled[one.rows]
            - other.at(places) @ panel.resampled[other.rows]
        )  # (m, r)
        worst = int(mean.argmin())
        agree = (resampled[worst] < 0) & (resampled[-1] > 0)
        if agree.mean() >= CONFIDENCE:
            low, high = interval(2.0 ** last_crossing(places, resampled[:, agree]))
            at = 2.0 ** last_crossing(places, mean[:, None])[0]
            names = {
                "method": one.method,
                "opponent": other.method,
                "bytes": at,
                "low": float(low),
                "high": float(high),
            }
            rows.append(names | {"share": agree.mean(), "behind": mean[worst], "ahead": mean[-1]})
    columns = ["method", "opponent", "bytes", "low", "high", "share", "behind", "ahead"]
    return pd.DataFrame(rows, columns=columns).sort_values(["method", "bytes"], ignore_index=True)


def last_crossing(places: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """Where each column of ``differences`` (m, r), lines between ``places`` (m,), is last zero
    before it stays positive: (r,).

    Every column must end above zero and be below it somewhere.
    """
    m, r = differences.shape
    k = (
        m - 1 - np.argmax(differences[::-1] <= 0, axis=0)
    )  # the last place that is not above zero; never the end
    before, after = differences[k, np.arange(r)], differences[k + 1, np.arange(r)]
    return places[k] + (places[k + 1] - places[k]) * before / (before - after)


def _common(one: Curve, other: Curve) -> np.ndarray:
    """All corners of both curves in the range that both cover, and its ends; empty when it has no
    width.
    """
    low, high = max(one.octaves[0], other.octaves[0]), min(one.octaves[-1], other.octaves[-1])
    corners = np.unique(np.concatenate([one.octaves, other.octaves]))
    return corners[(low <= corners) & (corners <= high)] if low < high else corners[:0]


def _panel(study: Results, backbone: str, cells: pd.DataFrame) -> Panel | None:
    own = cells[cells["budget"] != "none"]
    methods = list(dict.fromkeys(own["method"]))
    shared = {
        name: _seeds(block)
        for name, block in own.groupby("method", sort=False)
        if block["budget"].nunique() > 1
    }
    # Every seed has its own split, so all curves need the same ones: those that half of the curves
    # have, or the most frequent one.
    often = Counter(seed for seeds in shared.values() for seed in seeds)
    if not often:
        return None
    first = max(often, key=lambda seed: (often[seed], -seed))
    seeds = {first} | {seed for seed, count in often.items() if 2 * count >= len(shared)}
    if not any(seeds <= own_seeds for own_seeds in shared.values()):
        seeds = {first}
    shared = {name: own_seeds for name, own_seeds in shared.items() if seeds <= own_seeds}
    points: list[list[str]] = []
    curves: list[Curve] = []
    for name in shared:
        block = own[(own["method"] == name) & own["seed"].isin(seeds)]
        curve, cell_ids = _curve(name, block, len(points))
        if len(cell_ids) > 1:
            points += cell_ids
            curves.append(curve)
    if not curves:
        return None
    full = cells[(cells["method"] == "full") & cells["seed"].isin(seeds)]
    whole = [list(full.index)] if set(full["seed"]) == seeds else []
    values = _user_values(study, points + whole)
    kept = {curve.method for curve in curves}
    return Panel(
        backbone,
        tuple(curves),
        tuple(name for name in methods if name not in kept),
        tuple(sorted(seeds)),
        values.shape[1],
        values[: len(points)].mean(1),
        resampled_means(values[: len(points)]),
        float(values[-1].mean()) if whole else float("nan"),
    )


def _seeds(block: pd.DataFrame) -> set[int]:
    """The seeds that all points of one method's ``block`` have."""
    return set.intersection(*(set(own["seed"]) for _, own in block.groupby("budget")))


def _curve(method: str, block: pd.DataFrame, start: int) -> tuple[Curve, list[list[str]]]:
    """The curve of one method's cells, and the cells of each of its points, which are the panel's
    from number ``start`` on.

    Budgets whose files are equally long are one point. Where a method can use no more bytes, its
    curve goes on level up to the largest limit that it was run with.
    """
    budgets = block.groupby("budget")
    octaves = np.log2(budgets["bytes_per_entity"].mean().sort_values())
    number = (octaves.diff() > SAME).cumsum()
    groups = [list(octaves.index[number == i]) for i in range(number.iloc[-1] + 1)]
    places = [octaves[names].mean() for names in groups]
    validation = [block.loc[block["budget"].isin(names), "validation"].mean() for names in groups]
    rows = list(range(start, start + len(groups)))
    most = float(np.log2((block["limit_bytes"] / block["entities"]).max()))
    if most > places[-1] + SAME:
        places, validation, rows = [*places, most], [*validation, validation[-1]], [*rows, rows[-1]]
    cell_ids = [list(block.index[block["budget"].isin(names)]) for names in groups]
    return Curve(method, np.array(places), np.array(rows), np.array(validation)), cell_ids


def _user_values(study: Results, points: list[list[str]]) -> np.ndarray:
    """Quality of every user, mean over the cells of each point (p, u), for users that all the cells
    evaluate.
    """
    rows = study.per_user[
        study.per_user["cell_id"].isin([cell_id for point in points for cell_id in point])
    ]
    wide = (
        rows.assign(cell_id=rows["cell_id"].astype(str))
        .pivot(index="user", columns="cell_id", values=METRIC)
        .dropna()
    )
    return np.stack([wide[point].to_numpy(dtype=np.float64).mean(1) for point in points])
