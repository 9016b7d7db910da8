"""Files appear whole or not at all, and two processes never build the same one at once."""

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bet.errors import BetError

_PREFIX, _HELD = ".bet-", ".held"  # of a private folder; the file in it whose lock says "in use"
_PRIVATE = re.compile(re.escape(_PREFIX) + "[0-9a-f]{16}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a quota, what a file may have


@contextmanager
def atomic_path(path: Path, size: int | None = None) -> Iterator[Path]:
    """Yield a path in a private folder beside ``path``; on success the file written there is
    brought to the disk and replaces ``path``, on any error it is removed.

    ``size``: bytes that will be written, where that is known. Raises BetError if ``path`` is
    anything but a regular file (links are not followed), or the disk is full.
    """
    path = Path(path)
    check_replaceable(path)
    with explaining_full_disk(path, size):
        path.parent.mkdir(parents=True, exist_ok=True)
        with private_folder(path.parent) as folder:
            yield folder / path.name
            _publish(folder, [path.name])


@contextmanager
def atomic_files(folder: Path) -> Iterator[Path]:
    """Yield a private folder in ``folder``; on success the files written there replace those of
    equal names in ``folder``, all of them, on any error none.

    Raises BetError as ``atomic_path``.
    """
    folder = Path(folder)
    with explaining_full_disk(folder), _made(folder), private_folder(folder) as private:
        yield private
        names = sorted(path.name for path in private.iterdir() if path.name != _HELD)
        for name in names:
            check_replaceable(folder / name)
        _publish(private, names)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make ``folder``, where it is absent, for the block; on any error it is removed again."""
    # Unlike Path.exists, os.path.exists raises nothing for a name that is too long.
    folders = (folder.absolute(), *folder.absolute().parents)
    absent = [each for each in folders if not os.path.exists(each)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for each in absent:
            with suppress(OSError):
                each.rmdir()
        raise


def _publish(private: Path, names: Sequence[str]) -> None:
    """Bring files of a private folder to the disk, then give them their place beside it."""
    for name in names:
        _sync(private / name)
    for name in names:
        os.replace(private / name, private.parent / name)
    with suppress(OSError):  # some file systems cannot; the files are whole in any case
        _sync(private.parent)


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """``content`` becomes the file at ``path``, as ``atomic_path`` does it."""
    with atomic_path(path, len(content)) as temporary:
        temporary.write_bytes(content)


def check_replaceable(path: Path) -> None:
    """Raise BetError if a file written to ``path`` would replace a link, a device or a folder."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        what = "folder" if stat.S_ISDIR(mode) else "link" if stat.S_ISLNK(mode) else "device"
        raise BetError(f"cannot write {path}: it is a {what}, not a regular file; name a file")


@contextmanager
def explaining_full_disk(path: Path, size: int | None = None) -> Iterator[None]:
    """Turn a full disk inside the block into a BetError that names ``path`` and the room it takes:
    ``size`` bytes where that is known.
    """
    try:
        yield
    except BetError:
        raise
    except Exception as error:  # libraries in C raise their own
        full = isinstance(error, OSError) and error.errno in _FULL
        if not full and os.strerror(errno.ENOSPC) not in str(error):
            raise
        # What is written in a private folder gets its place beside it.
        path = Path(*(part for part in path.parts if not _PRIVATE.fullmatch(part)))
        nearest = next(p for p in (path.absolute(), *path.absolute().parents) if p.is_dir())
        free, places = shutil.disk_usage(nearest).free, os.statvfs(nearest)
        more = f"{size:,}" if size else f"more than {free:,}"
        others = ", for no further file" if places.f_files and not places.f_favail else ""
        raise BetError(
            f"cannot write {path}: the disk or the quota is full; it needs {more} bytes, "
            f"{free:,} are free in {nearest}{others}; make room, then run the same command again"
        ) from error


@contextmanager
def private_folder(parent: Path) -> Iterator[Path]:
    """A folder in ``parent`` that only this process uses, with a name that nobody can foresee;
    removed at the end, and after a kill by whoever makes the next one there.

    The lock in it, not a number of a process, says that it is in use: nodes may share ``parent``.
    """
    _remove_abandoned(parent)
    handle = None
    while handle is None:
        folder = parent / f"{_PREFIX}{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        try:
            handle = _locked_file(folder / _HELD, os.O_EXCL, wait=False)
        except FileNotFoundError:
            continue  # taken for abandoned, while it was empty
        except BaseException:  # a disk on which there is a place for the folder only
            shutil.rmtree(folder, ignore_errors=True)
            raise
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _remove_abandoned(parent: Path) -> None:
    """Remove private folders of processes that are dead."""
    for entry in [entry for entry in os.scandir(parent) if entry.name.startswith(_PREFIX)]:
        with suppress(OSError):  # another process removes it, or it is not ours
            info = entry.stat(follow_symlinks=False)
            if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
                continue
            held = Path(entry.path, _HELD)
            if not held.exists():
                os.rmdir(entry.path)  # killed between two steps, or just being made
            elif (handle := _locked_file(held, wait=False)) is not None:
                shutil.rmtree(entry.path, ignore_errors=True)
                os.close(handle)


def _locked_file(path: Path, flags: int = 0, *, wait: bool = True) -> int | None:
    """Descriptor of the file ``path``, made if absent, with an exclusive lock on it; None if others
    hold it and we do not ``wait``, or it was removed meanwhile. Links are not followed.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        if os.path.samestat(os.fstat(handle), os.lstat(path)):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass  # held, or removed
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _sync(path: Path) -> None:
    """Bring a file or the entries of a folder to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_writable(
    path: Path,
    what: str,
    *,
    beside: Sequence[str] = (),
    inputs: Mapping[Path, str] | None = None,
) -> None:
    """Raise BetError, before any work, unless ``what`` ("the table") can be written to ``path``,
    and further files behind its name with the endings ``beside``.

    inputs: files and folders that are read, which must not be overwritten, and what each holds.
    Nothing is left behind.
    """
    path = Path(path)
    if not path.name:
        raise BetError(f"cannot write {what} to {str(path)!r}: it is a folder; name a file")
    targets = [path, *(path.with_name(path.name + ending) for ending in beside)]
    longest = max(targets, key=lambda target: len(target.name))
    try:
        for target in targets:
            if target.is_dir():
                to = f"{what} to " if target == path else ""
                raise BetError(f"cannot write {to}{target}: it is a folder; name a file")
            for source, content in (inputs or {}).items():
                read, written = Path(source).resolve(), target.resolve()
                # A folder is read file by file, so none of them may appear or change.
                if written == read or (read.is_dir() and written.is_relative_to(read)):
                    raise BetError(f"{source} holds {content}; write {what} somewhere else")
            check_replaceable(target)
        with explaining_full_disk(path), _made(path.parent), atomic_path(longest) as temporary:
            temporary.touch()
            raise _Probed
    except _Probed:
        pass
    except OSError as error:
        raise BetError(f"cannot write {what} to {path} ({error}); choose another file") from error


class _Probed(Exception):
    """Leaves ``atomic_path`` without writing."""


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold an exclusive lock named after ``path``; released by the system even when the process is
    killed. Yields False, without the lock, if others hold it and we do not ``wait``.

    Raises BetError where the disk is full.
    """
    lock, handle = path.with_name(path.name + ".lock"), None
    with explaining_full_disk(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        while handle is None:
            handle = _locked_file(lock, wait=wait)
            if handle is None and not wait:
                break
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)
