"""``bet datasets``, ``bet methods`` and ``bet inspect``: what there is."""

import argparse
from collections.abc import Iterable

from bet.paths import cache_dir, data_dir
from bet.text import show


def datasets(options: argparse.Namespace) -> None:
    """One line per named dataset: its size, whether its files are here, who it is from."""
    from bet.data import planted
    from bet.data.sources import SOURCES

    tiny = planted()
    sizes = {"tiny": (tiny.n_users, tiny.n_items, len(tiny))}
    sizes |= {name: source.counts for name, source in SOURCES.items()}
    lines: list[tuple[str, ...]] = [("name", "users", "items", "interactions", "here", "source")]
    for name, counts in sizes.items():
        source = SOURCES.get(name)
        here = source is None or _is_here(name, source.files)
        about = getattr(source, "source", "") if source else "made up, for trying things out"
        numbers = (f"{count:,}" for count in counts)
        lines.append((name, *numbers, "yes" if here else "no", about))
    _print_columns(lines)
    print("What is not here is downloaded, once, when it is first used.")


def _is_here(name: str, files: Iterable[str]) -> bool:
    folders = [folder / name for folder in (data_dir(), cache_dir() / "data") if folder]
    for file in files:
        if not any((folder / file).is_file() for folder in folders):
            return False
    return True


def methods(options: argparse.Namespace) -> None:
    """One line per method, those of streams last: its name, what it does, the paper it is from."""
    from bet.methods import METHODS
    from bet.stream import STREAM_METHODS

    lines = [(method.name, method.summary, method.paper) for method in METHODS.values()]
    lines += [(method.name, method.summary, method.paper) for method in STREAM_METHODS.values()]
    _print_columns([("name", "what it does", "paper"), *lines])


def inspect(options: argparse.Namespace) -> None:
    """What the file holds, and what every byte of it is for."""
    from bet import packed

    show(packed.inspect(options.file))


def _print_columns(lines: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())
