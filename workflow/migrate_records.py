"""Bring committed bundles from the second form of a record to the third; run once, then deleted.

``python workflow/migrate_records.py reports reports/full reports/paper``
"""

import json
import sys
from pathlib import Path

import msgspec

from bet.study.record import FORM, Record, encode


def float32_bytes(record: dict) -> int:
    """HOOK for the new float32 container: the length of this record's table file.

    Called for every record; change it for float32 tables (``limit_bytes`` is None and the method is
    neither ``pq``, ``mec``, ``hash`` nor ``memrec``).
    """
    return record["size"]["bytes"]


def migrate(old: dict) -> dict:
    """The record ``old`` in the third form."""
    new = {name: old[name] for name in ("cell_id", "key", "settings", "data", "effort", "metrics")}
    new |= {name: old[name] for name in ("size", "sizes", "search", "learning_curve")}
    new["form"], new["trials"] = FORM, old.get("trials", [])
    new["cell"] = dict(old["cell"])
    if new["cell"]["budget"] == "none":
        new["cell"]["budget"] = None
    for name in ("iterations", "actions"):
        new["cell"][name] = new["cell"][name] or None
    new["size"] = old["size"] | {"bytes": float32_bytes(old)}
    iterations = (old["search"] or {}).get("iterations", [])
    new["run"] = {
        "commit": old["commit"],
        "versions": old["versions"],
        "host": {("processor" if k == "kind" else k): v for k, v in old["host"].items()},
        "seconds": old["seconds"],
        "peak_memory_bytes": old["peak_memory_bytes"],
        "epoch_seconds": [row["seconds"] for row in old["learning_curve"]],
        "iteration_seconds": [row["seconds"] for row in iterations],
    }
    new["learning_curve"] = [_without_seconds(row) for row in old["learning_curve"]]
    if old["search"]:
        new["search"] = old["search"] | {"iterations": [_without_seconds(m) for m in iterations]}
    return new


def _without_seconds(row: dict) -> dict:
    return {name: value for name, value in row.items() if name != "seconds"}


if __name__ == "__main__":
    for folder in map(Path, sys.argv[1:]):
        path = folder / "records.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        records = [msgspec.convert(migrate(line), Record) for line in lines]
        path.write_text("".join(encode(record) + "\n" for record in records))
        print(f"{path}: {len(records)} records")
