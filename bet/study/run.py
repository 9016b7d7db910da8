"""One run, from top to bottom: load, split, search, refit if asked, score test once, write one
record.
"""

import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path

from bet.data import DATASETS, Interactions, Split, evaluable_split, load_dataset
from bet.errors import BudgetNotMet
from bet.files import locked
from bet.methods import METHODS
from bet.process import fixed_threads, resolve_device
from bet.search import MethodResult, Refitted, SearchContext, check_table
from bet.study.cell import Cell
from bet.study.environment import commit
from bet.study.finished import is_finished
from bet.study.output import check_writable, ids_of, write_recommending
from bet.study.per_user import pack
from bet.study.profiles import PROFILES
from bet.study.record import (
    Record,
    StageSeconds,
    read_record,
    record_path,
    write_record,
)
from bet.study.setup import cell_context, explaining_room, fitted_interactions
from bet.study.summary import build_record, rank_test
from bet.study.unreached import unreached_path, write_unreached


def run_cell(
    cell: Cell,
    *,
    interactions: Interactions | None = None,
    device: str = "auto",
    progress: bool = False,
    file: Path | None = None,
    with_seen: bool = False,
    threads: int = 1,
) -> Record:
    """Run the cell and return its record. A finished record with the same settings and data is
    returned as it is.

    interactions: what was read from ``cell.dataset``, if it is your own file; None loads it by
    name. file: also write what serves the model to this file, as long as the record's
    ``serving.bytes``; that needs the model and so runs the cell even if its record exists. Your ids
    are beside it (``.ids``). with_seen: it also says, in further bytes, what every user has had in
    the interactions that the model was fitted to, where its scores do not need them anyway.
    threads: of the CPU; one is right where other cells run beside it, and rounding differs with
    another number. Writes ``results/<profile>/<id>.json`` and, before it, what every test user got
    as Parquet (``per_user.py``) beside it. Raises BudgetNotMet when the method ends above the
    budget, and ``<id>.unreached`` says with how much.
    """
    started = time.perf_counter()
    interactions = load_dataset(cell.dataset) if interactions is None else interactions
    if file is None and (record := _finished(cell, interactions)) is not None:
        return record
    if file is not None:
        # Before any work: a file that cannot be written is not worth an hour of training.
        check_writable(file, None if cell.dataset in DATASETS else cell.dataset)

    with fixed_threads(threads):
        split = evaluable_split(interactions, cell.seed)
        context = cell_context(cell, split, resolve_device(device), progress)
        outcome = _search(cell, context)
        fitted = _final_model(cell, split, outcome)
        model, outcome = fitted.model, replace(outcome, effort=outcome.effort + fitted.effort)
        check_table(outcome.context, model.table)
        test_started = time.perf_counter()
        ranked = rank_test(model, outcome.context, split)
        now = time.perf_counter()
        stages = asdict(outcome.seconds)
        seconds = StageSeconds(**stages, evaluate=now - test_started, total=now - started)
        ids = ids_of(interactions)
        record = build_record(
            cell, split, outcome, model=model, ranked=ranked, seconds=seconds, ids=ids
        )

    if file is not None:
        fitted = fitted_interactions(cell, split)
        write_recommending(file, model, fitted, ids, with_seen=with_seen)
    record = write_record(record_path(cell), record, pack(ranked))
    unreached_path(cell).unlink(missing_ok=True)
    if all(map(is_finished, PROFILES[cell.profile].sharing(cell))):
        shutil.rmtree(context.workspace.folder, ignore_errors=True)
    return record


def _finished(cell: Cell, interactions: Interactions) -> Record | None:
    """The record that is there already, if it is of the same cell, numbers and data."""
    if not record_path(cell).is_file():
        return None
    record = read_record(cell)
    same_cell = record.key == PROFILES[cell.profile].key(cell)
    return record if same_cell and record.data.hash == interactions.fingerprint() else None


def _search(cell: Cell, context: SearchContext) -> MethodResult:
    """What the cell's method finds on train and validation; that it ends above the budget is
    recorded, too.
    """
    with locked(context.workspace.folder):  # a cell of the other protocol may do the same work
        try:
            with explaining_room(cell, context):
                return METHODS[cell.method](context)
        except BudgetNotMet as error:
            write_unreached(cell, PROFILES[cell.profile].key(cell), commit(), error)
            raise


def _final_model(cell: Cell, split: Split, outcome: MethodResult) -> Refitted:
    """The method's model or, under protocol ``merged``, what it learned learned again on train and
    validation.
    """
    if cell.protocol == "clean":
        return Refitted(outcome.trained.model)
    return outcome.fit_to(fitted_interactions(cell, split), "train and validation")
