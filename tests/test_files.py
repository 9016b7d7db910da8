"""Writing: whole or not at all, whoever else writes there, is killed there, or has planted a link
there.
"""

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bet.__main__ import main
from bet.errors import BetError
from bet.files import atomic_files, atomic_path, check_writable, locked, write_whole

SIZE = 200_000


def test_a_file_appears_whole_with_the_usual_rights(tmp_path):
    target = tmp_path / "new" / "file.csv"
    with atomic_path(target) as temporary:
        assert temporary.name == "file.csv", "some writers choose the format by the name"
        assert temporary.parent.parent == target.parent, "the same disk"
        assert temporary.parent.stat().st_mode & 0o777 == 0o700
        temporary.write_text("whole")
        assert not target.exists()
    (target.parent / "plain").touch()
    assert target.read_text() == "whole"
    assert target.stat().st_mode == (target.parent / "plain").stat().st_mode
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "whole" and {p.name for p in target.parent.iterdir()} == {
        "file.csv",
        "plain",
    }


def test_the_content_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *given, name=name, real=real: (calls.append(name), real(*given))
        )
    write_whole(tmp_path / "file", b"content")
    assert calls == ["fsync", "replace", "fsync"]


def test_files_that_belong_together_appear_all_or_none(tmp_path, monkeypatch):
    folder = tmp_path / "new"
    with pytest.raises(RuntimeError), atomic_files(folder) as private:
        (private / "a").touch()
        raise RuntimeError
    assert not folder.exists()
    with atomic_files(folder) as private:
        write_whole(private / "b", b"2")
        (private / "a").write_bytes(b"1")
        assert [path.name for path in folder.iterdir()] == [private.name]
    (folder / "link").symlink_to("a")
    with pytest.raises(BetError, match="link: it is a link"), atomic_files(folder) as private:
        for name in ("a", "link"):
            (private / name).write_bytes(b"3")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BetError, match=f"cannot write {folder / 'a'}: .* are free in {folder};"):
        with atomic_files(folder) as private:
            write_whole(private / "a", b"3")
    now = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert now == {"a": b"1", "b": b"2", "link": b"1"}


def full(handle):
    """In place of ``os.fsync``."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("kind", ["link", "dangling link", "link to a device", "device", "folder"])
def test_only_regular_files_are_replaced_and_links_are_not_followed(tmp_path, kind):
    target, precious = tmp_path / "target", tmp_path / "precious"
    precious.write_text("precious")
    if kind == "folder":
        target.mkdir()
    elif kind == "device":
        os.mkfifo(target)
    else:
        target.symlink_to(
            {"link": precious, "dangling link": tmp_path / "absent"}.get(kind, "/dev/null")
        )
    before, what = os.lstat(target), "link" if "link" in kind else kind
    for write in (lambda: write_whole(target, b"x"), lambda: check_writable(target, "the table")):
        with pytest.raises(BetError, match=f"{target}: it is a {what}.*name a"):
            write()
    assert os.lstat(target) == before and precious.read_text() == "precious"
    assert not (tmp_path / "absent").exists()


def test_a_lock_does_not_follow_a_link(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "work.lock").symlink_to("precious")
    with pytest.raises(OSError, match="work.lock") as error, locked(tmp_path / "work"):
        pass
    assert error.value.errno == errno.ELOOP and (tmp_path / "precious").read_text() == "precious"


def test_a_lock_that_is_held_can_be_waited_for_or_not(tmp_path):
    with locked(tmp_path / "work") as first, locked(tmp_path / "work", wait=False) as second:
        assert first and not second
    with locked(tmp_path / "work", wait=False) as third:
        assert third


# Writes one letter over and over into FILE; "held" stops in the middle of a file.
WRITER = """
import os, sys, time
from pathlib import Path
os.getpid = lambda: 7  # as on another node
from bet.files import atomic_path
path, letter, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for _ in range(times or 1):
    with atomic_path(path) as temporary, open(temporary, "w") as file:
        for _ in range(20):
            file.write(letter * 10_000)
            file.flush()
        if not times:
            print("held", flush=True)
            time.sleep(1e6)
"""


def writer(path, letter, times):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), letter, str(times)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_threads_and_processes_of_equal_number_never_tear_a_file(tmp_path):
    path = tmp_path / "file"
    processes = [writer(path, letter, 30) for letter in "ab"]
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            if path.is_file():
                seen.add(path.read_text())

    def write(letter):
        for _ in range(30):
            write_whole(path, letter.encode() * SIZE)

    with ThreadPoolExecutor() as pool:
        reading = pool.submit(read)
        for writing in [pool.submit(write, letter) for letter in "cd"]:
            writing.result()
        assert [process.wait() for process in processes] == [0, 0]
        stop.set()
        reading.result()
    assert {text[:1] * SIZE for text in seen} == seen, "a torn file"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    for process in processes:
        process.stdout.close()


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_are_not(tmp_path):
    path = tmp_path / "file"
    with writer(path, "x", 0) as alive, writer(path, "y", 0) as killed:
        for process in (alive, killed):
            assert process.stdout.readline() == "held\n"
        folders = set(tmp_path.iterdir())
        assert len(folders) == 2 and not path.exists()
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        (empty := tmp_path / ".bet-empty").mkdir()  # killed before it had a lock
        write_whole(tmp_path / "other", b"")
        assert len(folders & set(tmp_path.iterdir())) == 1 and not empty.exists()
        alive.kill()
    write_whole(tmp_path / "other", b"")
    assert [p.name for p in tmp_path.iterdir()] == ["other"]


def test_a_full_disk_names_the_file_and_what_it_needs(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file"

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BetError, match=rf"{path}.* full; it needs 3 bytes, [\d,]+ are free in "):
        write_whole(path, b"abc")
    with pytest.raises(BetError, match=r"needs more than [\d,]+ bytes, .* the same command again"):
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"abc")
    with pytest.raises(BetError, match="the disk or the quota is full"), atomic_path(path):
        raise RuntimeError("write error in f: No space left on device (28)")  # as faiss says it
    assert not list(path.parent.iterdir())


def test_where_the_room_ends_one_line_says_so_and_the_same_command_continues(
    tmp_path, monkeypatch, capsys
):
    for name in ("BET_RESULTS", "BET_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    said = []
    for limit, status in ((1_000, 1), (5_000, 1), (before[0], 0)):  # bytes that a file may have
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            assert main(["study", "smoke", "--cell", "tiny_lightgcn_80_su_s0"]) == status
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        # What a file of unfinished work says besides is a line of the log.
        lines = capsys.readouterr().err.splitlines()
        said += [line for line in lines if line.startswith("error")]
    assert len(said) == 2
    for line in said:
        assert "full; it needs" in line and f"cannot write {tmp_path}" in line
    assert (tmp_path / "BET_RESULTS" / "smoke" / "tiny_lightgcn_80_su_s0.json").is_file()
    assert not list(tmp_path.rglob(".bet-*"))
