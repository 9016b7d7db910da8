"""Run one cell: load, split, search, refit if asked, score test once, write one record."""

import shutil
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from scipy.sparse import csr_array

from bet.actions import Budget, parse_budget, parse_bytes
from bet.backbones import BACKBONES, Recommender
from bet.data import DATASETS, Interactions, Split, evaluable_split, load_dataset
from bet.errors import BetError, BudgetNotMet
from bet.files import atomic_path, locked
from bet.methods import ELEMENTWISE, IN_BYTES, METHODS
from bet.paths import cache_dir
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
from bet.study.environment import commit
from bet.study.per_user import pack
from bet.study.profiles import PROFILES
from bet.study.record import (
    Record,
    read_record,
    record_path,
    unreached_path,
    write_record,
    write_unreached,
)
from bet.study.summary import build_record, measure_size
from bet.tables import QuantizedTable, Table
from bet.training import RankingMetrics, evaluate, train

SIDE_FILES = (".ids", ".backbone.pt", ".html")  # of a table, behind its name


def run_cell(
    cell: Cell,
    *,
    interactions: Interactions | None = None,
    device: str = "auto",
    progress: bool = False,
    table: Path | None = None,
    threads: int = 1,
) -> Record:
    """The cell's record; computed unless a record of the same cell, numbers and data is there
    already.

    interactions: what was read from ``cell.dataset``, if it is your own file; None loads it by
    name. table: also save the trained table to this file, which needs the model and so runs the
    cell even if its record exists; beside it the ids of its rows (``.ids``) and, where the
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
            record.key == PROFILES[cell.profile].key(cell)
            and record.data.hash == interactions.fingerprint()
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
        packing = context.packing
        size = measure_size(
            model,
            full=context.budget,
            limit=None if cell.budget is None or packing else context.budget.parameters,
            limit_bytes=context.byte_limit if packing else None,
            bits=packing.bits if packing else None,
        )
        record = build_record(
            cell=cell,
            key=PROFILES[cell.profile].key(cell),
            settings=PROFILES[cell.profile].settings(cell),
            split=split,
            order=context.order,
            size=size,
            outcome=outcome,
            model=model,
            score_test=lambda winner: _test(winner, context, split),
            ranked=ranked,
            seconds=seconds,
            device=context.device,
        )
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
    users, items = ids_of(interactions)
    names = [*users, *items]
    in_order = [names[entity] for entity in model.table.file_order]
    ids = in_order[: len(users)], in_order[len(users) :]
    ids_file, weights_file, _ = (path.with_name(path.name + suffix) for suffix in SIDE_FILES)
    # An earlier table's must go first: interrupted, a table without ids is left, not one with
    # another table's.
    for side_file in (ids_file, weights_file):
        side_file.unlink(missing_ok=True)
    if isinstance(model.table, QuantizedTable) and model.table.spec.ids:
        model.table.save(path, ids=ids)
    else:
        model.table.save(path)
        write_ids(path, ids)
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
            else 4 * parse_budget(cell.budget, n, profile.d_max, copies, d_min=0).parameters
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
