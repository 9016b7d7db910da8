"""Named datasets: where their files come from and the checksums they must have."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bet.data.interactions import Interactions
from bet.data.readers import read_interactions
from bet.data.synthetic import planted
from bet.errors import BetError
from bet.files import atomic_path, locked
from bet.paths import cache_dir, data_dir


@dataclass(frozen=True)
class Remote:
    """Files under one address, and the users, items and interactions that their union must have."""

    address: str
    files: dict[str, str]  # name -> sha256
    counts: tuple[int, int, int]


_CSR = "https://raw.githubusercontent.com/jindeok/Turbo-CF/233f7f4d62c31f16879d5ef74e41edbc2f736503/dataset/"
_TEXT = "https://raw.githubusercontent.com/geon0325/LightGCNpp/a394f79a7aceb8f485f6bcb549b4865fe83f1d49/data/ml-1m/"

REMOTES = {
    # Check-ins collected by SNAP; the repository is under the MIT license.
    "gowalla": Remote(
        _CSR,
        {
            "gowalla_train.npz": "dc494c4f04608a0894d13e5e12201db6522f26098b09ab1994738ff9cd8b2abb",
            "gowalla_test.npz": "dc80ad6472f698392a188b6296ad6165b589a8aeb67c2d8d40bb34ad681546df",
        },
        (29_858, 40_981, 1_027_370),
    ),
    # The LightGCN cut of the Yelp challenge; BET prints 1,561,147 interactions.
    "yelp2018": Remote(
        _CSR,
        {
            "yelp_train.npz": "ed81a7676153bbffd858cc9e4b9ff53c832189800587d6b60acaad588a25b0a3",
            "yelp_test.npz": "7a310bcd4713828f0315867f1867782943fcfb957005079d39118b8931cde570",
        },
        (31_668, 38_048, 1_561_406),
    ),
    # Ratings of 3 and more.
    "ml-1m": Remote(
        _TEXT,
        {
            "train.txt": "dfa3a7a866feade29ca5722ac0423c1b0317ac1f6ad38a55fc1a7ceeb9cee3bb",
            "valid.txt": "429fe0d750b304677898d7eeb1080764bbf06550b94c9508b8cc8cd0573e3dfc",
            "test.txt": "0d58f78bbf606f401aec2efe3f519b945c458c8398955f986e03b880fbbd16a6",
        },
        (6_039, 3_628, 836_478),
    ),
}

_WHEEL = ("recbole==1.2.1", "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407")
_MEMBER = "recbole/dataset_example/ml-100k/ml-100k.inter"
_MEMBER_SHA256 = "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"


def movielens_100k() -> Interactions:
    """The 100,000 ratings of MovieLens-100K, which a wheel on the package index carries."""
    path = _file("movielens-100k", "ml-100k.inter", _MEMBER_SHA256, _fetch_member)
    return read_interactions(path, name="movielens-100k")


def remote(name: str) -> Interactions:
    """The union of the files of ``REMOTES[name]``."""
    source = REMOTES[name]
    paths = [_file(name, file, sha256, partial(_download, source.address + file)) for file, sha256 in source.files.items()]
    data = read_interactions(paths, name=name)
    found = (data.n_users, data.n_items, len(data))
    if found != source.counts:
        raise BetError(f"{name}: {found} users, items, interactions instead of {source.counts}; the reader and the files disagree")
    return data


DATASETS: dict[str, Callable[[], Interactions]] = {
    "tiny": planted,
    "movielens-100k": movielens_100k,
    **{name: partial(remote, name) for name in REMOTES},
}


def load_dataset(name: str | Path, **options) -> Interactions:
    """The dataset called ``name`` or, with the options of ``read_interactions``, the file at that path.

    Named data is read from ``$BET_DATA/<name>/`` where it has the file, otherwise downloaded once into the cache; its checksum is
    verified every time. Raises BetError for an unknown name, a failed download or a wrong checksum.
    """
    if name in DATASETS:
        if options:
            raise BetError(f"{name} is a named dataset and takes no options, got {', '.join(options)}; give the path of a file")
        return DATASETS[str(name)]()
    if not Path(name).is_file():
        raise BetError(f"unknown dataset {str(name)!r}: no such file, and known are {', '.join(DATASETS)}")
    return read_interactions(name, **options)


def _file(name: str, file: str, sha256: str, fetch: Callable[[Path], None]) -> Path:
    """The checked file, from ``$BET_DATA/<name>/`` or from the cache, into which ``fetch`` writes it whole or not at all."""
    own = data_dir()
    path = own / name / file if own else None
    if path is None or not path.is_file():
        path = cache_dir() / "data" / name / file
        with locked(path):
            if not path.is_file():
                with atomic_path(path) as temporary:
                    fetch(temporary)
                    check_sha256(temporary, sha256, f"{name}: {file} as downloaded")
    check_sha256(path, sha256, str(path))
    return path


def check_sha256(path: Path, sha256: str, what: str) -> None:
    """Raise BetError, calling the file ``what``, unless its content has this checksum."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise BetError(f"{what}: sha256 is {found}, expected {sha256}; delete the file if it is there and fetch it again")


def _download(address: str, path: Path) -> None:
    """Fetch ``address`` into ``path``; the caller checks the content."""
    try:
        import pooch
    except ImportError as error:
        remedy = "pip install 'bet[study]', or put the files into $BET_DATA/<name>/"
        raise BetError(f"downloading {address} needs pooch: {remedy}") from error
    try:
        pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=30)(address, str(path), None)
    except Exception as error:  # requests and urllib3 have many kinds
        raise BetError(f"cannot download {address} ({error}); try again, or put the file into $BET_DATA/<name>/") from error


def _fetch_member(path: Path) -> None:
    """Let pip download the wheel from whatever index it is configured for, and take the one member out."""
    requirement, sha256 = _WHEEL
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        run = subprocess.run([*command, "--dest", folder, requirement], capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if run.returncode or len(wheels) != 1:
            raise BetError(
                f"pip could not download {requirement}, which carries MovieLens-100K: {run.stderr.strip()[-500:]}\n"
                "check pip's index, or put ml-100k.inter into $BET_DATA/movielens-100k/"
            )
        check_sha256(wheels[0], sha256, wheels[0].name)
        path.write_bytes(zipfile.ZipFile(wheels[0]).read(_MEMBER))
