"""Files appear whole or not at all, and two processes never build the same one at once."""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bet.errors import BetError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path``, on any error it is
    removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: some writers choose the format, or append one, by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
    # Unlike Path.exists, os.path.exists raises nothing for a name that is too long.
    absent = [folder for folder in path.absolute().parents if not os.path.exists(folder)]
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
        with atomic_path(max(targets, key=lambda target: len(target.name))) as temporary:
            temporary.touch()
            raise _Probed
    except _Probed:
        pass
    except OSError as error:
        raise BetError(f"cannot write {what} to {path} ({error}); choose another file") from error
    finally:
        for folder in absent:
            with suppress(OSError):
                folder.rmdir()


class _Probed(Exception):
    """Leaves ``atomic_path`` without writing."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock named after ``path``; released by the system even when the process is
    killed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
