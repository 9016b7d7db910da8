"""The command: every part explains itself, says what is wrong, and stops quietly."""

import signal
import subprocess
import sys
import time

import pytest
from msgspec.structs import replace

import bet.progress
from bet.__main__ import main
from bet.cli.parser import COLUMNS, make_parser
from bet.data.sources import SOURCES
from bet.methods import METHODS
from bet.progress import progress_bar
from bet.stream import STREAM_METHODS
from bet.study import job
from bet.study.profiles import PROFILES
from bet.study.record import Size

COMMANDS = (
    "datasets methods inspect run study report verify restore table pack export stream"
).split()
BET = [sys.executable, "-m", "bet"]


@pytest.fixture
def folders(tmp_path, monkeypatch):
    for name in ("BET_RESULTS", "BET_REPORTS", "BET_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("BET_DATA", raising=False)
    return tmp_path / "BET_RESULTS" / "smoke"


def usage(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    shown = capsys.readouterr()
    return stopped.value.code, shown.out + shown.err


def test_help_names_every_command_and_every_option_has_one(capsys):
    code, text = usage(["--help"], capsys)
    assert code == 0
    assert all(f"\n    {name} " in text for name in COMMANDS)
    for name in COMMANDS:
        code, text = usage([name, "--help"], capsys)
        assert code == 0 and text.startswith(f"usage: bet {name}")
        for word in ("--dataset", "--table ", "envelope", "None", "==SUPPRESS=="):
            assert word not in text
    _, text = usage(["run", "--help"], capsys)
    assert "search iterations (default: from the study configuration)" in " ".join(text.split())
    assert all(f"--{column}-column" in text for column in COLUMNS)


def test_help_imports_nothing_heavy():
    code = "import sys\nfrom bet.__main__ import main\ntry:\n    main(['run', '--help'])\n"
    code += (
        "except SystemExit:\n    sys.exit(any(name in sys.modules for name in ('torch', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [[], ["nothing"], ["run", "--nope"], ["run", "--seed", "x"], ["table", "--out", "x"]],
)
def test_usage_errors_end_with_two(arguments, capsys):
    code, text = usage(arguments, capsys)
    named = " ".join(["bet", *(word for word in arguments[:1] if word in COMMANDS)])
    assert code == 2 and text.startswith(f"usage: {named} [-h]")


def test_bet_alone_shows_the_help_and_a_version(capsys):
    code, text = usage([], capsys)
    assert code == 2 and all(f"\n    {name} " in text for name in COMMANDS)
    assert usage(["--version"], capsys) == (0, f"bet {bet.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study", "smoke", "--cell", "x"], "profile 'smoke' has no cell 'x'"),
        (["study", "smoke", "--jobs", "0"], "jobs must be from 1 to 1,024, got 0"),
        (["report", "x"], "no study 'x': known are converged, default, full, gowalla"),
        (["run", "--data", "tiny", "--method", "x"], "unknown method 'x'; known are full"),
        (
            ["run", "--data", "tiny", "--iterations", "-3"],
            "iterations must be from 1 to 1,000,000, got -3",
        ),
        (
            ["run", "--data", "tiny", "--iterations", "0"],
            "iterations must be from 1 to 1,000,000, got 0",
        ),
        (["run", "--data", "tiny", "--actions", "0"], "actions must be from 1 to 1,000,000, got 0"),
        (
            ["run", "--data", "tiny", "--seed", "-1"],
            "seed must be from 0 to 9,223,372,036,854,775,807, got -1",
        ),
        (["restore", "smoke"], "no records in"),
    ],
)
def test_bad_input_ends_with_one(folders, capsys, arguments, message):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and "Traceback" not in error


def test_lists_name_everything(folders, capsys):
    assert main(["datasets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["tiny", *SOURCES]
    assert "yes" in lines[1].split() and all("no" in line.split() for line in lines[2:-1])
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["name", *METHODS, *STREAM_METHODS]
    assert all(len(line.split()) > 2 for line in lines)


def test_a_list_that_is_named_twice_is_added_up():
    study = make_parser().parse_args(["study", "smoke", "--cell", "a", "b", "--cell", "c"])
    assert study.cell == ["a", "b", "c"]
    for option in ("--user", "--items"):
        arguments = ["recommend", "file", option, "ann", option, "bob"]
        assert getattr(make_parser().parse_args(arguments), option[2:]) == ["ann", "bob"]


def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m bet study full --list | head -n 1"
    run = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert run.stdout == f"{PROFILES['full'].cells[0].id}\n" and run.stderr == ""


@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_control_c_is_quiet_during_imports(seconds):
    run = subprocess.Popen(
        [*BET, "methods"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    time.sleep(seconds)
    run.send_signal(signal.SIGINT)
    out, error = run.communicate()
    if run.returncode == 130:
        assert error == "stopped; the same command continues\n"
    else:  # it was over already, or Python itself had not started yet
        assert (run.returncode == 0 and out) or "in main" not in error


def test_a_limit_has_the_unit_of_the_record():
    numbers = {"parameters": 9, "bytes": 9, "full_parameters": 9, "tables": 1}
    size = Size(limit=None, backbone_parameters=0, **numbers)
    assert job.limit_text(size) == "no limit"
    assert job.limit_text(replace(size, limit=1000)) == "limit 1,000 parameters"
    assert job.limit_text(replace(size, limit=0)) == "limit 0 parameters"
    assert job.limit_text(replace(size, limit_bytes=4000)) == "limit 4,000 bytes"


def test_logged_cells_share_a_process_and_a_failure_stops_no_other(folders, capfd, monkeypatch):
    smoke = [cell for cell in PROFILES["smoke"].cells if cell.backbone == "lightgcn"]
    cells = [cell for cell in smoke if cell.method in ("su", "sr", "full")]
    run_cell = job.run_cell

    def run(cell, **options):
        if cell.method == "su":
            raise RuntimeError("out of luck")
        return run_cell(cell, **options)

    monkeypatch.setattr(job, "run_cell", run)
    assert main(["study", "smoke", "--logged", "--cell", *(cell.id for cell in cells)]) == 1
    out, error = capfd.readouterr()
    starts = [line.split()[0] for line in out.splitlines() if not line.startswith(" ")]
    assert starts == ["start", "done", "start", "FAILED", "start", "done"] and error == ""
    assert "       RuntimeError: out of luck" in out.splitlines()
    assert "Traceback" in (folders / "logs" / f"{cells[1].id}.txt").read_text()
    assert "quality" in (folders / "logs" / f"{cells[2].id}.txt").read_text()
    assert sorted(file.stem for file in folders.glob("*.json")) == sorted(
        cell.id for cell in (cells[0], cells[2])
    )


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(bet.progress, "LINE_SECONDS", 0.0)
    assert list(progress_bar(range(3), label="search", total=5, initial=2)) == [0, 1, 2]
    lines = capsys.readouterr().err.splitlines()
    assert lines and all(line.startswith("search: ") and " of 5 in " in line for line in lines)
    with progress_bar(label="search", total=2, shown=False) as bar:
        bar.update()
    monkeypatch.setattr(bet.progress, "LINE_SECONDS", 30.0)
    assert list(progress_bar(range(3), label="short")) == [0, 1, 2]
    assert capsys.readouterr().err == "", "what is over soon says nothing"
