"""Run one cell: load, split, search, refit if asked, score test once, write one record."""

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
import torch
from scipy.sparse import csr_array

import bet
from bet.actions import Budget, parse_budget, parse_bytes
from bet.backbones import BACKBONES, Recommender
from bet.data import DATASETS, Interactions, Split, evaluable_split, load_dataset
from bet.errors import BetError, BudgetNotMet
from bet.files import atomic_path, locked
from bet.methods import ELEMENTWISE, IN_BYTES, METHODS
from bet.paths import cache_dir, project_root
from bet.process import fixed_threads
from bet.search import (
    MethodResult,
    SearchContext,
    Trained,
    allow_empty_rows,
    check_bytes,
    initialize_recommender,
)
from bet.study.cell import Cell
from bet.study.per_user import pack
from bet.study.profiles import PROFILES, SCHEMA
from bet.study.record import (
    check_record,
    read_record,
    record_path,
    unreached_path,
    write_record,
    write_unreached,
)
from bet.tables import QuantizedTable, Table
from bet.training import RankingMetrics, evaluate, train

SIDE_FILES = (".ids.parquet", ".backbone.pt", ".html")  # of a table, behind its name


def run_cell(
    cell: Cell,
    *,
    interactions: Interactions | None = None,
    device: str = "auto",
    progress: bool = False,
    table: Path | None = None,
    threads: int = 1,
) -> dict:
    """The cell's record; computed unless a record of the same cell, numbers and data is there
    already.

    interactions: what was read from ``cell.dataset``, if it is your own file; None loads it by
    name. table: also save the trained table to this file, which needs the model and so runs the
    cell even if its record exists; beside it the ids of its rows (``.ids.parquet``) and, where the
    backbone has weights of its own, those (``.backbone.pt``). threads: of the CPU; one is right
    where other cells run beside it, and rounding differs with another number. Writes
    ``results/<profile>/<id>.json`` and, before it, what every test user got as Parquet
    (``per_user.py``) beside it. Raises BudgetNotMet when the method ends above the budget;
    ``<id>.unreached`` says with how much.
    """
    path = record_path(cell)
    started = time.perf_counter()
    interactions = load_dataset(cell.dataset) if interactions is None else interactions
    if path.is_file() and table is None:
        record = read_record(cell)
        if (
            record["key"] == PROFILES[cell.profile].key(cell)
            and record["data"]["hash"] == interactions.fingerprint()
        ):
            return record
    if table is not None:
        check_writable(table, None if cell.dataset in DATASETS else cell.dataset)
    with fixed_threads(threads):
        device = resolve_device(device)
        split = evaluable_split(interactions, cell.seed)
        context = cell_context(cell, split, device, progress)
        with locked(context.work):  # a cell of the other protocol may do the same work
            try:
                outcome = METHODS[cell.method](context)
            except BudgetNotMet as error:
                write_unreached(cell, PROFILES[cell.profile].key(cell), commit(), error)
                raise
        context = outcome.context or context
        model = _final_model(cell, context, split, outcome)
        check_table(context, model.table)
        test_started = time.perf_counter()
        ranked = _test(model, context, split)
        seconds = outcome.seconds | {
            "evaluate": time.perf_counter() - test_started,
            "total": time.perf_counter() - started,
        }
        # Through JSON, so that what is returned equals what is read back.
        record = json.loads(
            json.dumps(
                _record(cell, split, context, outcome, model, ranked, seconds), allow_nan=False
            )
        )
    check_record(record)
    if table is not None:
        save_table(table, model, interactions)
    write_record(path, record, pack(ranked))
    unreached_path(cell).unlink(missing_ok=True)
    if all(record_path(other).is_file() for other in PROFILES[cell.profile].sharing(cell)):
        shutil.rmtree(context.work, ignore_errors=True)
    return record


def check_table(context: SearchContext, table: Table) -> None:
    """Raise BetError unless ``table`` obeys the budget: its sizes or mask and, if it is packed, the
    bytes of its file.
    """
    allow_empty_rows(context).budget.check(table.kept)
    check_bytes(context, table)


def check_writable(path: Path, source: Path | str | None = None) -> None:
    """Raise BetError, before any work, unless a table can be written to ``path`` and what belongs
    to it beside it.

    source: the file that the interactions came from, which must not be overwritten.
    """
    path = Path(path)
    if not path.name:
        raise BetError(f"cannot write the table to {str(path)!r}: it is a folder; name a file")
    targets = [path, *(path.with_name(path.name + suffix) for suffix in SIDE_FILES)]
    absent = [folder for folder in path.absolute().parents if not folder.exists()]
    try:
        for target in targets:
            if target.is_dir():
                raise BetError(
                    f"cannot write the table to {path}, {target.name}: it is a folder; name a file"
                )
            if source is not None and target.resolve() == Path(source).resolve():
                raise BetError(f"{target} holds the interactions; name another file for the table")
        with atomic_path(max(targets, key=lambda target: len(target.name))) as temporary:
            temporary.touch()
            raise _Probed
    except _Probed:
        pass
    except OSError as error:
        raise BetError(
            f"cannot write the table to {path} ({error}); choose another file"
        ) from error
    finally:
        for folder in absent:
            with suppress(OSError):
                folder.rmdir()


class _Probed(Exception):
    """Leaves ``atomic_path`` without writing."""


def ids_of(interactions: Interactions) -> tuple[list[str], list[str]]:
    """The ids of users and items as text, in the order of their numbers; the numbers where there
    are none.
    """
    sides = (
        (interactions.user_ids, interactions.n_users),
        (interactions.item_ids, interactions.n_items),
    )
    users, items = ([str(own) for own in (range(n) if ids is None else ids)] for ids, n in sides)
    return users, items


def save_table(path: Path, model: Recommender, interactions: Interactions) -> None:
    """Write the model's table and, beside it, the ids of its rows and the backbone's own weights,
    if it has any.

    A table that was made for a file with ids takes them into it instead.
    """
    n_users, named = interactions.n_users, ids_of(interactions)
    entities = {
        "side": ["user"] * n_users + ["item"] * interactions.n_items,
        "id": [*named[0], *named[1]],
    }
    frame = (
        pd.DataFrame(entities)
        .iloc[model.table.rows]
        .reset_index(drop=True)
        .rename_axis("row")
        .reset_index()
    )
    ids_file, weights_file, _ = (path.with_name(path.name + suffix) for suffix in SIDE_FILES)
    # An earlier table's must go first: interrupted, a table without ids is left, not one with
    # another table's.
    for side_file in (ids_file, weights_file):
        side_file.unlink(missing_ok=True)
    if isinstance(model.table, QuantizedTable) and model.table.packing.ids:
        model.table.save(path, ids=(frame["id"][:n_users].tolist(), frame["id"][n_users:].tolist()))
    else:
        model.table.save(path)
        with atomic_path(ids_file) as temporary:
            frame.to_parquet(temporary, index=False)
    if model.backbone.n_parameters():
        with atomic_path(weights_file) as temporary:
            torch.save(model.backbone.state_dict(), temporary)


def resolve_device(device: str) -> str:
    """The torch device that ``device`` means here; raises BetError when it cannot be used."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BetError(
            f"device {device!r} cannot be used here ({str(error).splitlines()[0]}); take cpu or auto"
        ) from error
    return device


def cell_context(
    cell: Cell, split: Split, device: str = "cpu", progress: bool = False
) -> SearchContext:
    """What the cell's method gets to see: train and validation, the exact budget, the profile's
    numbers.
    """
    profile = PROFILES[cell.profile]
    n, copies = sum(split.train.shape), BACKBONES[cell.backbone].copies
    full = Budget(n * profile.d_max, n, profile.d_max, copies=copies)
    metadata_for = None if cell.budget is None else parse_bytes(cell.budget, n)
    if cell.method in ELEMENTWISE and metadata_for is not None:
        raise BetError(
            f"{cell.method} meets a number of parameters, not of bytes ({cell.budget!r}); give a sparsity or parameters"
        )
    budget, byte_limit = full, None
    if (
        cell.method in IN_BYTES
    ):  # other budgets are as many float32 numbers, and the method knows the fewest bytes it can do with
        byte_limit = (
            metadata_for
            if metadata_for is not None
            else 4 * parse_budget(str(cell.budget), n, profile.d_max, copies, d_min=0).parameters
        )
    elif cell.budget is not None:
        budget = parse_budget(cell.budget, n, profile.d_max, copies)
    return SearchContext(
        split.train,
        split.validation,
        cell.backbone,
        budget,
        cell.seed,
        profile.training[cell.backbone],
        profile.search_settings(cell),
        cache_dir(),
        cache_dir() / "work" / f"{cell.profile}-{cell.selection_id}",
        device,
        progress,
        byte_limit=byte_limit,
    )


def _test(model: Recommender, context: SearchContext, split: Split) -> RankingMetrics:
    return evaluate(
        model.ranker(), split.test, [split.train, split.validation], device=context.device
    )


def _final_model(
    cell: Cell, context: SearchContext, split: Split, outcome: MethodResult
) -> Recommender:
    """The method's model or, under protocol ``merged``, its sizes refitted on train and validation."""
    if cell.protocol == "clean":
        return outcome.trained.model
    return refit(context, outcome.trained, split.merged(), "train and validation")


def refit(context: SearchContext, trained: Trained, train_on: csr_array, what: str) -> Recommender:
    """A fresh model that keeps what ``trained`` keeps, trained on ``train_on`` (|U|, |V|), called
    ``what``, for as many epochs.
    """
    merged = replace(allow_empty_rows(context), train=train_on)
    model = initialize_recommender(merged, trained.model.table.kept)
    train(
        model,
        merged.sampler,
        merged.training,
        merged.seed,
        epochs=max(1, trained.result.epoch),
        checkpoint=merged.work / "merged.checkpoint.pt",
        progress=merged.description(f"refit on {what}"),
    )
    return model


def _record(
    cell: Cell,
    split: Split,
    context: SearchContext,
    outcome: MethodResult,
    model: Recommender,
    ranked: RankingMetrics,
    seconds: dict[str, float],
) -> dict:
    profile, budget, table = PROFILES[cell.profile], context.budget, model.table
    validation = evaluate(
        outcome.trained.model.ranker(), split.validation, [split.train], device=context.device
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
            "device": _device_name(context.device),
            "threads": torch.get_num_threads(),
        },
        "seconds": seconds,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024),
        "size": {
            "limit": None if cell.budget is None or context.packing else budget.parameters,
            **(
                {"limit_bytes": context.byte_limit, "bits": context.packing.bits}
                if context.packing
                else {}
            ),
            "parameters": table.n_parameters(),
            "bytes": table.n_bytes(),
            "full_parameters": budget.n * budget.d_max * budget.copies,
            "tables": budget.copies,
            "backbone_parameters": model.backbone.n_parameters(),
            "width": table().shape[1] // table.copies,
        },
        "effort": {
            name: getattr(outcome, name) for name in ("finetunings", "trainings", "evaluations")
        },
        "metrics": {"validation": validation.means(), "test": ranked.means()},
        "learning_curve": outcome.trained.result.curve,
        "search": _search_record(context, split, outcome),
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


def _search_record(context: SearchContext, split: Split, outcome: MethodResult) -> dict | None:
    if not outcome.iterations:
        return None
    plain = ("t", "strategy", "predicted", "fitness", "quality", "predictor_loss", "seconds")
    iterations = [
        {name: getattr(m, name) for name in plain} | {"action": m.action.origin}
        for m in outcome.iterations
    ]
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
        t: _test(outcome.retrained[t].model, context, split).means()
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
    order, n_users = context.order, context.n_users
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
