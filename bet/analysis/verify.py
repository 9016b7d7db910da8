"""Whether the runs in results/ equal the committed ones: ``bet verify PROFILE``."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from bet.errors import BetError
from bet.study.bundle import (
    Bundle,
    git_reader,
    profile_keys,
    read_bundle,
    read_results,
    reader,
)
from bet.study.record import Record

TOLERANCE = 1e-9  # relative, of numbers that are not whole
SHOWN = 20  # lines of the table of differences
HITS = "users with other hits"


@dataclass(frozen=True)
class Difference:
    """A value of a record that is not the committed one; ``relative`` only between numbers."""

    cell_id: str
    field: str
    committed: Any
    here: Any
    relative: float | None = None

    @property
    def small(self) -> bool:
        """Whether it is within the tolerance."""
        return self.relative is not None and self.relative <= TOLERANCE


@dataclass(frozen=True)
class Verification:
    """The runs of a profile in results/ beside the committed ones.

    ``identical`` and ``close`` (within ``TOLERANCE``) runs equal the committed ones; ``reasons``:
    what is known about the others, by cell; ``missing``: committed, but without a result here;
    ``unknown``: finished here, not committed.
    """

    profile: str
    identical: tuple[str, ...]
    close: tuple[str, ...]
    differences: tuple[Difference, ...]
    reasons: dict[str, str]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    source: str

    @property
    def equal(self) -> bool:
        """Whether every committed run has a result here that equals it."""
        return not (self.differences or self.missing)

    @property
    def committed(self) -> int:
        """How many runs are committed."""
        return len(self.identical) + len(self.close) + len(self.reasons) + len(self.missing)


def verify(profile: str, results: Path, folder: Path) -> Verification:
    """Compare the records of ``profile`` in ``results`` with those of the bundle in ``folder``.

    What git last committed counts, since a report rewrites the bundle's files; without git the
    files do. Everything of a record but its part ``run`` is compared, and every user's hits.
    Raises BetError without committed records.
    """
    read = git_reader(folder)
    committed = read_bundle(profile, read or reader(folder))
    if not committed.records:
        raise BetError(f"no committed records of profile {profile} in {folder}; nothing to compare")
    bundle, keys = read_results(profile, results), profile_keys(profile)
    here, mine, theirs = _by_id(bundle), _hits(bundle), _hits(committed)
    changed: dict[str, list[Difference]] = {}  # of cells that have run here
    for record in committed.records:
        name = record.cell_id
        if name in here:
            changed[name] = list(_changed(record, here[name]))
            if users := _other_users(theirs.get(name), mine.get(name)):
                changed[name].append(Difference(name, HITS, 0, users))
    known = _by_id(committed)
    beyond = {name: [d for d in found if not d.small] for name, found in changed.items()}
    return Verification(
        profile=profile,
        identical=tuple(name for name, found in changed.items() if not found),
        close=tuple(name for name, found in changed.items() if found and not beyond[name]),
        differences=tuple(difference for found in beyond.values() for difference in found),
        reasons={n: _reason(known[n], here[n], keys[n]) for n, found in beyond.items() if found},
        missing=tuple(name for name in known if name not in here),
        unknown=tuple(name for name in here if name not in known),
        source=f"{folder} ({'as git has it' if read else 'the files there, without git'})",
    )


def verification_text(found: Verification) -> str:
    """For a terminal: one line when all are equal, else what differs, by how much, and why."""
    equal = len(found.identical) + len(found.close)
    lines = [f"{equal} of {found.committed} runs equal the committed records"]
    if found.close:
        lines[0] += f" ({len(found.close)} of them within a relative difference of {TOLERANCE:g})"
    if found.missing:
        lines.append(f"not run: {_some(found.missing)}")
    if found.unknown:
        lines.append(f"run here, but not committed: {_some(found.unknown)}")
    if found.differences:
        rows = [
            (d.cell_id, d.field, _short(d.committed), _short(d.here), _relative(d.relative))
            for d in found.differences[:SHOWN]
        ]
        names = ["cell", "field", "committed", "here", "relative"]
        lines += ["", pd.DataFrame(rows, columns=names).to_string(index=False)]
        if len(found.differences) > SHOWN:
            lines.append(f"... and {len(found.differences) - SHOWN} more differences")
        lines.append(
            "Compared: whole numbers, text and every user's hits exactly, other numbers within a "
            f"relative difference of {TOLERANCE:g}; seconds, memory, versions and machine are not."
        )
        for reason in dict.fromkeys(found.reasons.values()):
            cells = [cell for cell, why in found.reasons.items() if why == reason]
            lines.append(f"{reason}: {_some(cells)}")
    lines.append(f"committed: {found.source}")
    return "\n".join(lines)


def _changed(committed: Record, here: Record) -> Iterator[Difference]:
    theirs, mine = (dict(_leaves(msgspec.to_builtins(r), "")) for r in (committed, here))
    for field in dict.fromkeys([*theirs, *mine]):
        if field.startswith("run."):
            continue
        old, new = theirs.get(field), mine.get(field)
        if old != new:
            yield Difference(committed.cell_id, field, old, new, _relative_difference(old, new))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every single value in nested dicts and lists, by its path: ``size.bytes``, ``trials[0].a``."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{i}]")
    else:
        yield path, value


def _relative_difference(old: Any, new: Any) -> float | None:
    """None unless both are numbers and one of them is not whole."""
    if not (isinstance(old, int | float) and isinstance(new, int | float)):
        return None
    if isinstance(old, int) and isinstance(new, int):
        return None
    return abs(new - old) / max(abs(old), abs(new), math.ulp(0.0))


def _by_id(bundle: Bundle) -> dict[str, Record]:
    return {record.cell_id: record for record in bundle.records}


def _hits(bundle: Bundle) -> dict[str, pd.DataFrame]:
    """Positives and hits of every user by cell."""
    by_cell = bundle.per_user.groupby("cell_id", observed=True)
    return {str(name): rows.set_index("user")[["positives", "hits"]] for name, rows in by_cell}


def _other_users(old: pd.DataFrame | None, new: pd.DataFrame | None) -> int:
    """Of how many users the positives or hits are not the same."""
    if old is None or new is None:
        return sum(len(frame) for frame in (old, new) if frame is not None)
    both = old.join(new, how="outer", lsuffix="_old", rsuffix="_new")
    pairs = [both[f"{name}_old"] != both[f"{name}_new"] for name in ("positives", "hits")]
    return int(np.logical_or(*pairs).sum())


def _reason(committed: Record, here: Record, key: str) -> str:
    """The first known cause of a difference."""
    if here.key != committed.key:
        whose = "here" if committed.key == key else "the committed ones"
        return f"other settings ({whose} are not the profile's of today)"
    if here.data.hash != committed.data.hash:
        return "other data"
    old, new = committed.run, here.run
    causes = [
        f"{name} {getattr(new.versions, name)} instead of {getattr(old.versions, name)}"
        for name in ("torch", "numpy", "scipy")
        if getattr(new.versions, name) != getattr(old.versions, name)
    ]
    for name in ("processor", "device", "threads"):
        if getattr(new.host, name) != getattr(old.host, name):
            causes.append(f"{name} {getattr(new.host, name)} instead of {getattr(old.host, name)}")
    if causes:
        return "; ".join(causes)
    if old.commit != new.commit:
        return f"code of commit {new.commit} instead of {old.commit}, same settings"
    return "no known reason"


def _some(names: tuple[str, ...] | list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _short(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)[:40]


def _relative(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"
