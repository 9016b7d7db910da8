"""Whether the runs in results/ equal the committed ones: ``bet verify PROFILE``."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from bet.errors import BetError
from bet.study.bundle import Bundle, git_reader, profile_keys, read_bundle, read_results, reader
from bet.study.per_user import columns_of
from bet.study.stream_record import AnyRecord

TOLERANCE = 1e-9  # relative, of numbers that are not whole
SHOWN = 20  # lines of the table of differences


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
    source: str
    identical: tuple[str, ...]
    close: tuple[str, ...]
    differences: tuple[Difference, ...]
    reasons: dict[str, str]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether every committed run has a result here that equals it."""
        return not (self.differences or self.missing)


def verify(profile: str, results: Path, folder: Path) -> Verification:
    """Compare the records of ``profile`` in ``results`` with those of the bundle in ``folder``.

    What git last committed counts, since a report rewrites the bundle's files; without git the
    files do. Everything of a record but its part ``run`` is compared, and every user's hits.
    Raises BetError without committed records.
    """
    read = git_reader(folder)
    committed, bundle = read_bundle(profile, read or reader(folder)), read_results(profile, results)
    if not committed.records:
        raise BetError(f"no committed records of profile {profile} in {folder}; nothing to compare")
    known = {record.cell_id: record for record in committed.records}
    here = {record.cell_id: record for record in bundle.records}
    old_hits, new_hits = _hits(committed), _hits(bundle)
    identical: list[str] = []
    close: list[str] = []
    beyond, reasons, keys = [], {}, profile_keys(profile)
    for name in filter(here.__contains__, known):
        old, new = known[name], here[name]
        differences = list(_changed(old, new, old_hits.get(name), new_hits.get(name)))
        if large := [difference for difference in differences if not difference.small]:
            beyond += large
            reasons[name] = _reason(old, new, keys[name])
        else:
            (close if differences else identical).append(name)
    return Verification(
        profile=profile,
        source=f"{folder} ({'as git has it' if read else 'the files there, without git'})",
        identical=tuple(identical),
        close=tuple(close),
        differences=tuple(beyond),
        reasons=reasons,
        missing=tuple(name for name in known if name not in here),
        unknown=tuple(name for name in here if name not in known),
    )


def verification_text(outcome: Verification) -> str:
    """For a terminal: one line when all are equal or none has run, else what differs, by how much,
    and why.
    """
    if not (outcome.identical or outcome.close or outcome.reasons or outcome.unknown):
        profile = outcome.profile
        make = "make reproduce" + (f" PROFILE={profile}" if profile != "default" else "")
        remedy = f"'{make}' (or 'bet study {profile}') runs it"
        return f"nothing of profile {profile} has run here; {remedy}"
    equal = len(outcome.identical) + len(outcome.close)
    total = equal + len(outcome.reasons) + len(outcome.missing)
    lines = [f"{equal} of {total} runs equal the committed records"]
    if outcome.close:
        lines[0] += f" ({len(outcome.close)} of them within a relative difference of {TOLERANCE:g})"
    if outcome.missing:
        lines.append(f"not run: {_some(outcome.missing)}")
    if outcome.unknown:
        lines.append(f"run here, but not committed: {_some(outcome.unknown)}")
    if outcome.differences:
        table = pd.DataFrame(outcome.differences[:SHOWN]).astype(object)
        table = table.where(table.notna(), "").rename(columns={"cell_id": "cell"})
        lines += [table.to_string(index=False, max_colwidth=50)]
        if len(outcome.differences) > SHOWN:
            lines.append(f"... and {len(outcome.differences) - SHOWN} more differences")
        lines.append(
            "Compared: whole numbers, text and every user's hits exactly, other numbers within a "
            f"relative difference of {TOLERANCE:g}; seconds, memory, versions and machine are not."
        )
    for reason in dict.fromkeys(outcome.reasons.values()):
        lines.append(f"{reason}: {_some(n for n, why in outcome.reasons.items() if why == reason)}")
    return "\n".join([*lines, f"committed: {outcome.source}"])


def _changed(
    committed: AnyRecord,
    here: AnyRecord,
    old_hits: pd.DataFrame | None,
    new_hits: pd.DataFrame | None,
) -> Iterator[Difference]:
    theirs, mine = (dict(_leaves(msgspec.to_builtins(record))) for record in (committed, here))
    for field in dict.fromkeys([*theirs, *mine]):
        old, new = theirs.get(field), mine.get(field)
        compared = not field.startswith("run.") and field != "per_user_digest"  # but the rows
        if old != new and compared:
            yield Difference(committed.cell_id, field, old, new, _relative_difference(old, new))
    if old_hits is None or new_hits is None or not old_hits.equals(new_hits):
        old, new = (
            set() if h is None else set(h.itertuples(name=None)) for h in (old_hits, new_hits)
        )
        users = len({user for user, *_ in old ^ new})
        yield Difference(committed.cell_id, "users with other hits", 0, users)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every single value in nested dicts and lists, by its path: ``size.bytes``, ``trials.0.a``."""
    if isinstance(value, dict | list | tuple):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for name, part in inner:
            yield from _leaves(part, f"{path}.{name}" if path else str(name))
    else:
        yield path, value


def _relative_difference(old: Any, new: Any) -> float | None:
    """None unless both are numbers and one of them is not whole."""
    numbers = all(isinstance(value, int | float) for value in (old, new))
    if not numbers or (isinstance(old, int) and isinstance(new, int)):
        return None
    return abs(new - old) / max(abs(old), abs(new), math.ulp(0.0))


def _hits(bundle: Bundle) -> dict[str, pd.DataFrame]:
    """Positives and hits of every user, and in which segment of a stream, by cell."""
    by_cell = bundle.per_user.groupby("cell_id", observed=True)
    return {str(name): rows[columns_of(rows)].set_index("user") for name, rows in by_cell}


def _reason(committed: AnyRecord, here: AnyRecord, key: str) -> str:
    """What is known to change results."""
    if here.key != committed.key:
        whose = "here" if committed.key == key else "the committed ones"
        return f"other settings ({whose} are not the profile's of today)"
    if here.data.hash != committed.data.hash:
        return "other data"
    old, new = committed.run, here.run
    names = [("versions", name) for name in ("torch", "numpy", "scipy")]
    names += [("host", name) for name in ("processor", "device", "threads")]
    causes = []
    for part, name in names:
        was, is_now = (getattr(getattr(run, part), name) for run in (old, new))
        causes += [f"{name} {is_now} instead of {was}"] if was != is_now else []
    if not causes and old.commit != new.commit:
        causes = [f"code of commit {new.commit} instead of {old.commit}, same settings"]
    return "; ".join(causes) or "no known reason"


def _some(names: Iterable[str]) -> str:
    """The first five, and how many more."""
    listed = list(names)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more
