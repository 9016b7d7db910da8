"""Some cells of a study, one after the other in this process: what the grid starts, or you."""

import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import msgspec

from bet.errors import BetError
from bet.files import explaining_full_disk
from bet.paths import results_dir
from bet.study.cell import Cell
from bet.study.profiles import PROFILES
from bet.study.record import Size, read_record, read_record_file, record_path
from bet.study.run import run_cell
from bet.study.stream import run_stream_cell
from bet.study.stream_record import StreamRecord, record_type
from bet.text import printable, printable_lines, show


def cells_of(profile: str, ids: Sequence[str]) -> list[Cell]:
    """The cells of ``profile`` that have these ids; raises BetError for an id that none has."""
    known = {cell.id: cell for cell in PROFILES[profile].cells}
    for cell_id in ids:
        if cell_id not in known:
            raise BetError(
                f"profile {profile!r} has no cell {cell_id!r}; 'bet study {profile} --list' "
                "lists them"
            )
    return [known[cell_id] for cell_id in ids]


def run_and_describe(
    cell: Cell, *, device: str = "auto", notebook: bool = False, threads: int = 1, **details
) -> None:
    """Run one cell, with ``details`` of ``run_cell`` or as a notebook, and print what came out."""
    if notebook:
        from bet.study.notebook import run_cell_notebook

        show(f"  notebook {run_cell_notebook(cell, device)}")
        if cell.is_stream:
            return _describe_stream(read_record_file(record_path(cell), StreamRecord))
        record = read_record(cell)
    elif cell.is_stream:
        return _describe_stream(
            run_stream_cell(cell, device=device, progress=True, threads=threads)
        )
    else:
        record = run_cell(cell, device=device, progress=True, threads=threads, **details)
    size, served, test = record.size, record.serving, msgspec.to_builtins(record.metrics.test)
    show(f"{cell.id}: {size.parameters:,} parameters, {size.bytes:,} bytes; {limit_text(size)}")
    print(f"  to serve {served.bytes:,} bytes ({served.form})")
    print("  test  " + "  ".join(f"{name} {value:.4f}" for name, value in test.items()))
    show(f"  record {record_path(cell)}")


def _describe_stream(record: StreamRecord) -> None:
    quality = [segment.metrics.ndcg_at_20 for segment in record.segments]
    largest = max(segment.bytes for segment in record.segments)
    print(f"{record.cell_id}: {len(quality)} segments, at most {largest:,} bytes")
    print(f"  test  ndcg@20 {sum(quality) / len(quality):.4f} on average over segments")


def limit_text(size: Size) -> str:
    """The limit in its own unit: parameters, or bytes of a file."""
    if size.limit is not None:
        return f"limit {size.limit:,} parameters"
    if size.limit_bytes is not None:
        return f"limit {size.limit_bytes:,} bytes"
    return "no limit"


def run_logged(cells: Sequence[Cell], **options) -> int:
    """Run ``cells`` with the ``options`` of ``run_and_describe``; how many failed.

    What each prints goes to ``results/<profile>/logs/<id>.txt``; here only start, end and failure
    show. A failed cell stops no other.
    """
    failed = 0
    for cell in cells:
        log = results_dir() / cell.profile / "logs" / f"{cell.id}.txt"
        print(f"start  {cell.id}", flush=True)
        started = time.perf_counter()
        try:
            with explaining_full_disk(log), _output_to(log):
                try:
                    run_and_describe(cell, **options)
                except BetError as error:
                    print(f"error: {printable_lines(error)}", file=sys.stderr)
                    raise
                except Exception:
                    traceback.print_exc()
                    raise
        except Exception as failure:
            failed += 1
            print(f"FAILED {cell.id}  {time.perf_counter() - started:.0f} s; the end of {log}:")
            text = log.read_text(errors="replace") if log.is_file() else ""
            said = f"error: {printable_lines(failure)}"
            if isinstance(failure, BetError) and said not in text:  # the log's disk is full
                text += f"\n{said}"
            for line in text.splitlines()[-5:] or [str(failure)]:
                print(f"       {printable(line)}")
            sys.stdout.flush()
        else:
            part = record_type(cell.is_stream)
            seconds = read_record_file(record_path(cell), part).run.seconds.total
            print(f"done   {cell.id}  {seconds:.0f} s", flush=True)
    return failed


@contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Everything this process writes, libraries in C included, goes to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    try:
        with open(log, "w", buffering=1) as file, redirect_stdout(file), redirect_stderr(file):
            for descriptor in (1, 2):
                os.dup2(file.fileno(), descriptor)
            yield
    finally:
        for descriptor, before in enumerate(saved, 1):
            os.dup2(before, descriptor)
            os.close(before)
