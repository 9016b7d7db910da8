"""The record of a run: everything that a report may ask, as plain values."""

import os
import platform
import resource
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
import torch

import bet
from bet.backbones import Recommender
from bet.data import Split
from bet.paths import project_root
from bet.search import MethodResult, SearchContext
from bet.study.cell import Cell
from bet.study.profiles import PROFILES, SCHEMA
from bet.training import RankingMetrics, evaluate


def rank_test(model: Recommender, context: SearchContext, split: Split) -> RankingMetrics:
    """What every test user gets from ``model``, items of train and validation left out."""
    known = [split.train, split.validation]
    return evaluate(model.ranker(), split.test, known, device=context.workspace.device)


def summarize(
    cell: Cell,
    split: Split,
    outcome: MethodResult,
    *,
    model: Recommender,
    ranked: RankingMetrics,
    seconds: dict[str, float],
) -> dict:
    """The record of a run: ``model`` is what ``ranked`` was measured of, on test."""
    context = outcome.context
    profile, budget, table = PROFILES[cell.profile], context.budget, model.table
    validation = evaluate(
        outcome.trained.model.ranker(),
        split.validation,
        [split.train],
        device=context.workspace.device,
    )
    return {
        "schema": SCHEMA,
        "cell_id": cell.id,
        "key": profile.key(cell),
        "cell": asdict(cell),
        "settings": profile.settings(cell),
        "versions": {
            "bet": bet.__version__,
            "python": platform.python_version(),
            **{package.__name__: package.__version__ for package in (torch, np, scipy, pd)},
        },
        "commit": commit(),
        "data": {
            "name": split.name,
            "hash": split.data_hash,
            "users": split.train.shape[0],
            "items": split.train.shape[1],
            **{part: getattr(split, part).nnz for part in ("train", "validation", "test")},
        },
        "host": {
            "kind": _processor(),
            "cpus": os.cpu_count(),
            "device": _device_name(context.workspace.device),
            "threads": torch.get_num_threads(),
        },
        "seconds": seconds,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024),
        "size": {
            "limit": None if cell.budget == "none" or context.table_spec else budget.parameters,
            **(
                {"limit_bytes": context.byte_limit, "bits": context.table_spec.bits}
                if context.table_spec
                else {}
            ),
            "parameters": table.n_parameters(),
            "bytes": table.n_bytes(),
            "full_parameters": budget.n * budget.d_max * budget.copies,
            "tables": budget.copies,
            "backbone_parameters": model.backbone.n_parameters(),
            "width": table().shape[1] // table.copies,
        },
        "effort": asdict(outcome.effort),
        "metrics": {"validation": validation.means(), "test": ranked.means()},
        "learning_curve": [asdict(point) for point in outcome.trained.result.curve],
        "search": _search_record(split, outcome),
        "trials": outcome.trials,
        "sizes": {
            "users": _binned(context, table.sizes, 0),
            "items": _binned(context, table.sizes, 1),
        },
        "per_user": f"{cell.id}.parquet",
    }


def commit() -> str | None:
    """Commit of the checkout this runs in, with "+" when tracked files differ from it; None outside
    of one.
    """
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"],
            cwd=project_root(),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:  # no git
        return None
    return run.stdout.strip() or None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return " ".join([platform.machine(), *names[:1]])


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def _search_record(split: Split, outcome: MethodResult) -> dict | None:
    if not outcome.iterations:
        return None
    iterations = []
    for member in outcome.iterations:
        fields = vars(member) | {"action": dict(member.action.origin)}
        iterations.append(fields)
    fitness = {m.t: m.fitness for m in outcome.iterations}
    retrained = [
        {
            "t": t,
            "fitness": fitness[t],
            "quality": trained.result.quality,
            "epochs": trained.result.epoch,
        }
        for t, trained in outcome.retrained.items()
    ]
    # Each winner of the curve is scored on test once, for the picture of quality against T; nothing
    # is chosen from it.
    tested = {
        t: rank_test(outcome.retrained[t].model, outcome.context, split).means()
        for t in set(outcome.winners.values())
    }
    winners = [
        {
            "t": t,
            "retrained_t": winner,
            "quality": outcome.retrained[winner].result.quality,
            "test": tested[winner],
        }
        for t, winner in outcome.winners.items()
    ]
    return {"iterations": iterations, "retrained": retrained, "winners": winners}


def _binned(context: SearchContext, sizes: np.ndarray, side: int) -> dict[str, list[float]]:
    """Mean frequency and size in up to 64 log-spaced bins of frequency rank."""
    order, n_users = context.data.order, context.data.n_users
    ids, frequency = ((order.users, order.user_frequency), (order.items, order.item_frequency))[
        side
    ]
    own = (sizes[:n_users], sizes[n_users:])[side][ids]
    edges = np.unique(np.geomspace(1, len(ids) + 1, 65).astype(int)) - 1
    spans = list(zip(edges, edges[1:], strict=False))
    return {
        "rank": [float(a + b + 1) / 2 for a, b in spans],
        "frequency": [float(frequency[ids][a:b].mean()) for a, b in spans],
        "size": [float(own[a:b].mean()) for a, b in spans],
    }
