"""Named datasets: where their files come from, and the checksums and counts they must have."""

import hashlib
import os
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
from bet.text import quoted


@dataclass(frozen=True)
class Source:
    """Where a named dataset comes from.

    ``files``: sha256 by file name; the dataset is the union of these files. ``fetch``: writes the
    file of a name to a path. ``counts``: users, items and interactions that the union must have.
    ``source``: who collected the data and on which terms it is given, in a line.
    """

    files: dict[str, str]
    fetch: Callable[[str, Path], None]
    counts: tuple[int, int, int]
    source: str


def load_dataset(name: str | Path, **options) -> Interactions:
    """The dataset called ``name`` or, with the options of ``read_interactions``, the file at that
    path.

    Named data is read from ``$BET_DATA/<name>/`` where it has the file, otherwise downloaded once
    into the cache; its checksum is verified every time. Raises BetError for an unknown name, a
    failed download, a wrong checksum or unexpected counts.
    """
    if name in DATASETS:
        if options:
            raise BetError(
                f"{name} is a named dataset and takes no options, got {', '.join(options)}; "
                "give the path of a file"
            )
        return DATASETS[str(name)]()
    if not os.path.isfile(name):  # unlike Path.is_file, also of a name that is too long
        raise BetError(
            f"unknown dataset {quoted(name)}: no such file, and known are {', '.join(DATASETS)}"
        )
    return read_interactions(name, **options)


def _load(name: str) -> Interactions:
    """The union of the files of ``SOURCES[name]``."""
    source = SOURCES[name]
    paths = [_find_file(name, file, source) for file in source.files]
    data = read_interactions(paths, name=name)
    counts = (data.n_users, data.n_items, len(data))
    if counts != source.counts:
        raise BetError(
            f"{name}: {counts} users, items and interactions instead of {source.counts}; the files "
            "are the expected ones, so the reader or the registry entry is wrong: please report it"
        )
    return data


def find_source_file(name: str, file: str) -> Path:
    """The checked ``file`` of the dataset ``name``, downloaded if need be; see ``load_dataset``."""
    return _find_file(name, file, SOURCES[name])


def _find_file(name: str, file: str, source: Source) -> Path:
    """The checked file, from ``$BET_DATA/<name>/`` or from the cache, into which it is fetched
    whole or not at all.
    """
    sha256, folder = source.files[file], data_dir()
    path = folder / name / file if folder else None
    if path is None or not path.is_file():
        path = cache_dir() / "data" / name / file
        with locked(path):
            if not path.is_file():
                with atomic_path(path) as temporary:
                    source.fetch(file, temporary)
                    check_sha256(temporary, sha256, f"{name}: {file} as downloaded")
    check_sha256(path, sha256, str(path))
    return path


def check_sha256(path: Path, sha256: str, what: str) -> None:
    """Raise BetError, calling the file ``what``, unless its content has this checksum."""
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if actual != sha256:
        raise BetError(
            f"{what}: sha256 is {actual}, expected {sha256}; "
            "delete the file if it is there and fetch it again"
        )


def _download(folder: str, file: str, path: Path) -> None:
    """Fetch ``folder + file`` into ``path``, below the data set's folder; the caller checks the
    content.
    """
    address, by_hand = folder + file, f"put the file into $BET_DATA/{path.parents[1].name}/"
    try:
        import pooch
    except ImportError as error:
        raise BetError(
            f"downloading {address} needs pooch: pip install 'bet[study]', or {by_hand}"
        ) from error
    try:
        pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=30)(address, str(path), None)
    except Exception as error:  # requests and urllib3 have many kinds
        raise BetError(f"cannot download {address} ({error}); try again, or {by_hand}") from error


def _fetch_from_wheel(requirement: str, sha256: str, folder: str, file: str, path: Path) -> None:
    """Let pip download a wheel from whatever index it is configured for, and write its member
    ``folder + file`` to ``path``.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    with tempfile.TemporaryDirectory() as downloads:
        command = [*pip, "--only-binary", ":all:", "--dest", downloads, requirement]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(downloads).glob("*.whl"))
        if run.returncode or len(wheels) != 1:
            raise BetError(
                f"pip could not download {requirement}, which carries {file}: "
                f"{run.stderr.strip()[-500:]}\n"
                f"check pip's index, or put {file} into $BET_DATA/{path.parents[1].name}/"
            )
        check_sha256(wheels[0], sha256, f"{wheels[0].name} as pip downloads it")
        with zipfile.ZipFile(wheels[0]) as wheel:
            path.write_bytes(wheel.read(folder + file))


_GITHUB = "https://raw.githubusercontent.com/"
_TURBO_CF = _GITHUB + "jindeok/Turbo-CF/233f7f4d62c31f16879d5ef74e41edbc2f736503/dataset/"
_LIGHTGCNPP = _GITHUB + "geon0325/LightGCNpp/a394f79a7aceb8f485f6bcb549b4865fe83f1d49/data/"

SOURCES = {
    # Inside a wheel: reachable wherever pip is.
    "movielens-100k": Source(
        {"ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"},
        partial(
            _fetch_from_wheel,
            "recbole==1.2.1",
            "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
            "recbole/dataset_example/ml-100k/",
        ),
        (943, 1_682, 100_000),
        "GroupLens' MovieLens-100K (research use), all ratings, out of the recbole wheel",
    ),
    "gowalla": Source(
        {
            "gowalla_train.npz": "dc494c4f04608a0894d13e5e12201db6522f26098b09ab1994738ff9cd8b2abb",
            "gowalla_test.npz": "dc80ad6472f698392a188b6296ad6165b589a8aeb67c2d8d40bb34ad681546df",
        },
        partial(_download, _TURBO_CF),
        (29_858, 40_981, 1_027_370),
        "SNAP's Gowalla check-ins, as LightGCN cut them, from the Turbo-CF repository (MIT)",
    ),
    # BET prints 1,561,147 interactions.
    "yelp2018": Source(
        {
            "yelp_train.npz": "ed81a7676153bbffd858cc9e4b9ff53c832189800587d6b60acaad588a25b0a3",
            "yelp_test.npz": "7a310bcd4713828f0315867f1867782943fcfb957005079d39118b8931cde570",
        },
        partial(_download, _TURBO_CF),
        (31_668, 38_048, 1_561_406),
        "the Yelp challenge of 2018, as LightGCN cut it, from the Turbo-CF repository (MIT)",
    ),
    "ml-1m": Source(
        {
            "train.txt": "dfa3a7a866feade29ca5722ac0423c1b0317ac1f6ad38a55fc1a7ceeb9cee3bb",
            "valid.txt": "429fe0d750b304677898d7eeb1080764bbf06550b94c9508b8cc8cd0573e3dfc",
            "test.txt": "0d58f78bbf606f401aec2efe3f519b945c458c8398955f986e03b880fbbd16a6",
        },
        partial(_download, _LIGHTGCNPP + "ml-1m/"),
        (6_039, 3_628, 836_478),
        "GroupLens' MovieLens-1M (research use), ratings of 3 and more, from LightGCN++",
    ),
}

DATASETS: dict[str, Callable[[], Interactions]] = {
    "tiny": planted,
    **{name: partial(_load, name) for name in SOURCES},
}
