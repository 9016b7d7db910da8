"""``make test-spark``: MovieLens-100K through Spark's ALS, Parquet and ``bet pack``, for real.

Everything but the test part of the split (seed 0) is fitted and packed together with the users'
histories; then the file recommends. Says the Recall@20 of its lists and of those that follow from
Spark's float32 factors, and fails where the file keeps less than ``KEPT`` of it.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

import bet
from bet.data import Interactions, load_dataset, split_interactions
from bet.errors import BetError
from bet.recommend import FileRecommender
from bet.study.output import ids_of

KEPT = 0.95  # of Recall@20, at least
K = 20
ALS = ["--rank", "32", "--alpha", "4", "--l2", "0.3"]  # of six pairs the best on validation
Lists = Mapping[str, list[str]]  # items by user, ids


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 where the packed file keeps too little."""
    parser = argparse.ArgumentParser(prog="check.py", description=__doc__)
    parser.add_argument("--spark", required=True, help="Python of an environment with PySpark")
    parser.add_argument("--dataset", default="movielens-100k", help="default: %(default)s")
    parser.add_argument("--budget", default="40 B/entity", help="of the file (%(default)s)")
    parser.add_argument("--cores", type=int, default=2, help="for Spark (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return check(options, Path(folder))
    except BetError as error:
        print(f"error: {error}", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"error: {' '.join(error.cmd)} failed; its lines are above", file=sys.stderr)
    return 1


def check(options: argparse.Namespace, folder: Path) -> int:
    """All steps, in ``folder``; the exit status."""
    data = load_dataset(options.dataset)
    split = split_interactions(data, seed=0)
    interactions, factors, packed = (
        str(folder / name) for name in ("interactions.parquet", "factors", "packed.safetensors")
    )
    write_pairs(interactions, split.merged(), data)
    als = [options.spark, str(Path(__file__).with_name("als.py")), *ALS]
    als += ["--interactions", interactions, "--out", factors]
    run([*als, "--local", str(options.cores)])
    users, items = (f"{factors}/{side}.parquet" for side in ("users", "items"))
    pack = [sys.executable, "-m", "bet", "pack", "--users", users, "--items", items]
    pack += ["--data", interactions, "--with-seen", "--budget", options.budget, "--out", packed]
    run(pack)
    wanted, known = lists_of(split.test, data), lists_of(split.merged(), data)
    before = recall(best_by_factors(users, items, known), wanted)
    model = bet.load(packed)
    assert isinstance(model, FileRecommender)
    asked = list(wanted)
    recommended = model.recommend(asked, k=K).items
    after = recall(dict(zip(asked, recommended, strict=True)), wanted)
    print(f"float32 factors: Recall@{K} {before:.4f}")
    print(f"packed file: {Path(packed).stat().st_size:,} bytes, Recall@{K} {after:.4f}")
    kept = after / before
    verdict = "passed" if kept >= KEPT else f"FAILED, at least {KEPT:.0%} are asked for"
    print(f"make test-spark: {verdict}: the packed file keeps {kept:.1%} of Recall@{K}")
    return int(kept < KEPT)


def run(command: list[str]) -> None:
    """Run ``command``, whose lines are shown; raises CalledProcessError where it fails."""
    print(f"== {' '.join(command)}", flush=True)
    subprocess.run(command, check=True)


def write_pairs(path: str, matrix: csr_array, data: Interactions) -> None:
    """Interactions as Parquet: columns ``user`` and ``item``, ids as text."""
    users, items = (np.array(side) for side in ids_of(data))
    u, i = matrix.nonzero()
    pd.DataFrame({"user": users[u], "item": items[i]}).to_parquet(path)


def lists_of(matrix: csr_array, data: Interactions) -> Lists:
    """The items of every user who has some."""
    users, items = ids_of(data)
    lists = {}
    for user in np.flatnonzero(np.diff(matrix.indptr)):
        own = matrix.indices[matrix.indptr[user] : matrix.indptr[user + 1]]
        lists[users[user]] = [items[item] for item in own]
    return lists


def best_by_factors(users: str, items: str, known: Lists) -> Lists:
    """The best items of every user by inner products of float32 factors, without ``known``."""
    sides = [pd.read_parquet(path) for path in (users, items)]
    u, v = (np.stack(list(side["features"])) for side in sides)
    names, lists = sides[1]["id"].to_numpy(), {}
    for user, scores in zip(sides[0]["id"], u @ v.T, strict=True):
        scores[np.isin(names, known[user])] = -np.inf
        lists[user] = list(names[np.argsort(-scores, kind="stable")[:K]])
    return lists


def recall(lists: Lists, wanted: Lists) -> float:
    """Mean over users of the share of ``wanted`` items that their list has."""
    return float(np.mean([len({*lists[u]} & {*found}) / len(found) for u, found in wanted.items()]))


if __name__ == "__main__":
    sys.exit(main())
