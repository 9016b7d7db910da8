"""Where a report's numbers come from: what was run, with which settings, on what."""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any

import msgspec
import pandas as pd

from bet.analysis.results import Results
from bet.report.table import ABSENT
from bet.study.bundle import profile_keys
from bet.study.record import Record


def provenance(results: Results) -> pd.DataFrame:
    """What was run, where and with what, as text."""
    records, keys = results.records, profile_keys(results.profile)
    data = [record.data for record in records]
    counts = [f"{d.users:,}, {d.items:,}, {d.train + d.validation + d.test:,}" for d in data]
    hosts = [record.run.host for record in records]
    versions = [msgspec.to_builtins(record.run.versions).items() for record in records]
    rows = {
        "command": f"make reproduce PROFILE={results.profile}",
        "cells": f"{len(records)} of {len(results.cells)} finished",
        "seeds": _distinct(record.cell.seed for record in records),
        "commit (+ = changed files)": _distinct(record.run.commit for record in records),
        "data (sha256)": _distinct(f"{d.name} {d.hash[:12]}" for d in data),
        "users, items, interactions": _distinct(counts),
        "columns of the full table": _distinct(record.settings.d_max for record in records),
        "machine": _distinct(f"{h.processor}, {h.cpus} cores, on {h.device}" for h in hosts),
        "versions": _distinct(", ".join(map(" ".join, each)) for each in versions),
        "records of other settings than now": sum(r.key != keys[r.cell_id] for r in records),
        "hours of all cells together": f"{results.cells['total_seconds'].sum() / 3600:.1f}",
    }
    return pd.DataFrame({"what": list(rows), "value": list(rows.values())})


def settings(results: Results) -> pd.DataFrame:
    """The settings that the records were made with, a row per data set and backbone, as text."""
    rows: dict[tuple[str, str], dict[tuple, None]] = {}
    for record in results.records:
        if record.cell.iterations is None and record.cell.actions is None:
            names = (record.cell.dataset, record.cell.backbone)
            rows.setdefault(names, {}).setdefault(tuple(_settings(record).items()))
    listed = []
    for (dataset, backbone), variants in rows.items():
        for variant in variants:
            listed.append({"data": dataset, "backbone": backbone} | dict(variant))
    return pd.DataFrame(listed).fillna(ABSENT)


def _settings(record: Record) -> dict[str, str]:
    search, training = record.settings.search, record.settings.training
    numbers = {
        "T, iterations": search["iterations"],
        "m, actions an iteration": search["actions"],
        "h, epochs of fine-tuning": search["finetune_epochs"],
        "trained to the end, at most": search["top"],
    }
    if "batch_size" not in training:  # least squares and references take no steps of a gradient
        return _as_text(numbers)
    steps = ceil(record.data.train / training["batch_size"])
    return _as_text(numbers) | _as_text(
        {
            "tables start from": _start(training),
            "steps of fine-tuning": search["finetune_epochs"] * steps,
            "epochs of training, at most": training["max_epochs"],
            "steps of training, at most": training["max_epochs"] * steps,
            "evaluated every ... epochs": training["evaluate_every"],
            "ends after ... without a gain": training["patience"],
        }
    )


def _start(training: Mapping[str, Any]) -> str:
    """Where the numbers of a table come from before it is trained."""
    if training.get("warm_start"):
        return "the trained full table, cut"
    return "iALS factors" if training.get("start") == "ials" else "random numbers"


def _as_text(numbers: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in numbers.items()}


def _distinct(values: Iterable[Any]) -> str:
    return "; ".join(dict.fromkeys(str(value) for value in values)) or "none yet"
