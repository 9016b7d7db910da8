"""Everything that is kept between runs, damaged: what the tests and the soak share."""

from dataclasses import dataclass
from pathlib import Path

import torch

from bet.errors import BetError
from bet.study import bundle
from bet.study.profiles import PROFILES
from bet.study.record import read_record
from bet.study.run import run_cell
from bet.study.unreached import Unreached, text_of
from bet.training import load_state, save_state

KEY = "of these settings"


@dataclass(frozen=True)
class Kept:
    """A folder with a record and its per-user file, a bundle of them, and states."""

    folder: Path
    cell: object

    @property
    def files(self):
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def values(self, path):
        """All that is read from the part of the folder that ``path`` is in."""
        if path.parent.name == "states":
            state = load_state(path, KEY)
            return None if state is None else described(state)
        if path.parent.name == "bundle":
            return values_of(bundle.read_bundle("smoke", bundle.reader(path.parent)))
        return (
            values_of(bundle.read_results("smoke", path.parent)),
            repr(read_record(self.cell)),
        )


def values_of(kept):
    """Every number and text of a bundle."""
    rows = kept.per_user[["cell_id", "user", "positives", "hits"]]
    return repr(kept.records), repr(kept.unreached), rows.to_csv()


def described(state):
    return repr(
        {name: getattr(value, "tolist", lambda v=value: v)() for name, value in state.items()}
    )


def keep(folder, cells):
    """Run the first of ``cells`` and leave everything that is kept in ``folder``; where results
    are is the caller's: ``folder / "results"``.
    """
    run_cell(cells[0])
    results = folder / "results" / "smoke"
    unreached = Unreached(
        cell_id=cells[1].id,
        key=PROFILES["smoke"].key(cells[1]),
        commit=None,
        target=5,
        reached=9,
        why="9 are left",
    )
    (results / f"{cells[1].id}.unreached").write_bytes(text_of(unreached))
    bundle.write(bundle.read_results("smoke", results), folder / "bundle")
    state = {"weights": torch.arange(300) * 0.1, "epoch": 3, "text": "what it was"}
    save_state(folder / "states" / "new.pt", KEY, state)
    return Kept(folder, cells[0])


def flipped(content, rng):
    """``content`` with one bit changed."""
    damaged = bytearray(content)
    damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
    return bytes(damaged)


def cut(content, rng):
    """``content`` up to a place in it."""
    return content[: rng.integers(len(content))]


def check_damage(kept, path, expected, damage, rng):
    """Damage ``path``: then what is read is refused with its name, made anew, or right."""
    content = path.read_bytes()
    path.write_bytes(damage(content, rng))
    try:
        values = kept.values(path)
    except BetError as error:
        assert any(name in str(error) for name in (path.name, path.stem)), error
        assert any(word in str(error) for word in ("run the cell", "from git")), error
    else:
        assert values is None and path.parent.name == "states" or values == expected, path
    finally:
        path.write_bytes(content)
