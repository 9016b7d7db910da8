"""``bet study``, ``report``, ``verify`` and ``restore``: what is done with a whole study."""

import argparse
import time
from pathlib import Path

from bet.analysis.verify import Verification, verification_text
from bet.analysis.verify import verify as verify_records
from bet.errors import BetError, check_between
from bet.paths import notebooks_dir, report_dir, results_dir
from bet.process import end_with_parent
from bet.study.bundle import restore as restore_records
from bet.study.cell import Cell
from bet.study.estimate import in_words, recorded_seconds
from bet.study.grid import missing, report_missing, run_grid
from bet.study.job import cells_of, run_and_describe, run_logged
from bet.study.profiles import PROFILES, use_profile
from bet.study.record import read_record_file, record_path
from bet.study.stream_record import record_type
from bet.text import show

MOST_JOBS = 1_024


def study(options: argparse.Namespace) -> int:
    """Run the study, or the part of it that ``options`` name; 1 when a cell has no record."""
    profile = use_profile(options.profile)
    if options.list:
        print(*(cell.id for cell in PROFILES[profile].cells), sep="\n")
        return 0
    if options.check:
        return report_missing(profile, missing(profile))
    if options.cell:
        return _run_cells(cells_of(profile, options.cell), options)
    check_between("jobs", options.jobs, 1, MOST_JOBS)
    recorded = recorded_seconds(report_dir(profile) / "records.jsonl")
    open_before, started = missing(profile), time.monotonic()
    unfinished = run_grid(profile, options.jobs, options.further, recorded)
    seconds = time.monotonic() - started
    try:
        if options.report:
            ran = cells_of(profile, sorted(set(open_before) - set(unfinished)))
            _report_and_compare(profile, ran, seconds)
    finally:  # a failed report does not hide a failed cell
        status = report_missing(profile, unfinished)
    return status


def _run_cells(cells: list[Cell], options: argparse.Namespace) -> int:
    how = {"device": options.device, "notebook": options.notebook, "threads": options.threads}
    if options.logged:
        end_with_parent()
        return int(run_logged(cells, **how) > 0)
    for cell in cells:
        run_and_describe(cell, **how)
    return 0


def _report_and_compare(profile: str, ran: list[Cell], seconds: float) -> None:
    """Make the report and end with what matters: numbers, times, place."""
    verdict = _verdict(profile)  # before the report renews the records that are committed
    started = time.monotonic()
    page = _build(profile)
    part = record_type(PROFILES[profile].is_stream)
    records = [read_record_file(record_path(cell), part) for cell in ran]
    work = sum(record.run.seconds.total for record in records)
    show(
        f"cells    {len(ran)} run in {in_words(seconds)}, {in_words(work)} by their records",
        f"report   made in {in_words(time.monotonic() - started)}: {page}",
        f"numbers  {verdict}",
    )


def _verdict(profile: str) -> str:
    try:
        return verification_text(_compare(profile))
    except BetError as error:  # no committed records to compare with
        return str(error)


def _compare(profile: str) -> Verification:
    return verify_records(profile, results_dir() / profile, report_dir(profile))


def _build(profile: str) -> Path:
    from bet.report.build import build

    notebook = notebooks_dir() / "report.ipynb"
    if not notebook.is_file():
        raise BetError(f"no {notebook}: run it inside a checkout of the project")
    return build(profile).resolve()


def report(options: argparse.Namespace) -> None:
    """Make the report and print where it is, or only print its tables within some tokens."""
    profile = use_profile(options.profile)
    if options.pack is None:
        show(_build(profile))
        return
    from bet.report.build import load
    from bet.report.packing import blocks_of, pack

    print(pack(blocks_of(load(profile)), options.pack), end="")


def verify(options: argparse.Namespace) -> int:
    """Say whether the records equal the committed ones; 1 if not."""
    comparison = _compare(use_profile(options.profile))
    show(verification_text(comparison))
    return 0 if comparison.equal else 1


def restore(options: argparse.Namespace) -> None:
    """Put committed records back and say how many."""
    profile = use_profile(options.profile)
    folder = results_dir() / profile
    count = restore_records(profile, report_dir(profile), folder)
    show(f"{count} records put back into {folder}")
