"""Named datasets: where their files come from and the checksums they must have."""

import hashlib
import logging
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pandas as pd

from bet.data.interactions import Interactions, from_pairs
from bet.data.synthetic import planted
from bet.errors import BetError
from bet.files import atomic_path, locked
from bet.paths import cache_dir, data_dir

log = logging.getLogger(__name__)

_WHEEL = ("recbole==1.2.1", "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407")
_MEMBER = (
    "recbole/dataset_example/ml-100k/ml-100k.inter",
    "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
)


def movielens_100k() -> Interactions:
    """The 100,000 ratings that a wheel on the package index carries; read from ``$BET_DATA/movielens-100k/`` when there."""
    own = data_dir()
    path = own / "movielens-100k" / "ml-100k.inter" if own else None
    if path is None or not path.is_file():
        path = cache_dir() / "data" / "ml-100k.inter"
        with locked(path):
            if not path.is_file():
                _fetch_member(path)
    _check(path, path.read_bytes(), _MEMBER[1])
    frame = pd.read_csv(path, sep="\t")
    return from_pairs("movielens-100k", frame["user_id:token"], frame["item_id:token"])


DATASETS = {"tiny": planted, "movielens-100k": movielens_100k}


def load_dataset(name: str) -> Interactions:
    """The dataset called ``name``; raises BetError for an unknown name, a failed download or a wrong checksum."""
    if name not in DATASETS:
        raise BetError(f"unknown dataset {name!r}; known are {', '.join(DATASETS)}")
    return DATASETS[name]()


def _check(origin: Path | str, content: bytes, sha256: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise BetError(f"{origin}: sha256 is {found}, expected {sha256}; delete the file and fetch it again")


def _fetch_member(path: Path) -> None:
    """Let pip download the wheel from whatever index it is configured for, and take the one member out."""
    requirement, sha256 = _WHEEL
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        run = subprocess.run([*command, "--dest", folder, requirement], capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if run.returncode or len(wheels) != 1:
            raise BetError(f"pip could not download {requirement}, which carries MovieLens-100K: {run.stderr.strip()[-500:]}")
        _check(wheels[0].name, wheels[0].read_bytes(), sha256)
        content = zipfile.ZipFile(wheels[0]).read(_MEMBER[0])
    _check(_MEMBER[0], content, _MEMBER[1])
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
