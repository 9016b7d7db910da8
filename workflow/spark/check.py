"""``make test-spark``: MovieLens-100K through Spark's ALS, Parquet and ``bet pack``, for real.

Says the Recall@20 of the float32 factors that Spark wrote and of the packed file, both on the test
part of the split with seed 0, fitted to its train part. Fails where the packed file keeps less than
``KEPT`` of it.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bet.data import Interactions, Split, load_dataset, split_interactions
from bet.errors import BetError
from bet.packed import RecommenderFile, TableFile, load
from bet.study.output import ids_of
from bet.training import evaluate

KEPT = 0.97  # of Recall@20, at least
DATASET = "movielens-100k"
ALS = ["--rank", "32", "--alpha", "4", "--l2", "0.3"]  # the best of six on validation
Vectors = Mapping[str, np.ndarray]  # by id


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 where the packed file keeps too little."""
    parser = argparse.ArgumentParser(prog="check.py", description=__doc__)
    parser.add_argument("--spark", required=True, help="Python of an environment with PySpark")
    parser.add_argument("--dataset", default=DATASET, help="default: %(default)s")
    parser.add_argument("--budget", default="20 B/entity", help="of the packed file")
    parser.add_argument("--cores", type=int, default=2)
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
        folder / name for name in ("interactions.parquet", "factors", "packed.safetensors")
    )
    write_train(interactions, data, split)
    als = [options.spark, str(Path(__file__).with_name("als.py")), *ALS]
    als += ["--interactions", str(interactions), "--out", str(factors)]
    run([*als, "--local", str(options.cores)])
    users, items = (str(factors / f"{side}.parquet") for side in ("users", "items"))
    pack = [sys.executable, "-m", "bet", "pack", "--users", users, "--items", items]
    run([*pack, "--budget", options.budget, "--out", str(packed)])
    of_users, of_items = vectors_of(users), vectors_of(items)
    before = recall(split, data, of_users, of_items)
    after = recall(split, data, *packed_vectors(packed, of_users, of_items))
    sizes = 4 * sum(vector.size for side in (of_users, of_items) for vector in side.values())
    print(f"float32 factors: {sizes:,} bytes, Recall@20 {before:.4f}")
    print(f"packed file: {packed.stat().st_size:,} bytes, Recall@20 {after:.4f}")
    kept = after / before if before else 0.0
    verdict = "passed" if kept >= KEPT else f"FAILED, at least {KEPT:.0%} are asked for"
    print(f"make test-spark: {verdict}: the packed file keeps {kept:.1%} of Recall@20")
    return int(kept < KEPT)


def run(command: list[str]) -> None:
    """Run ``command``, whose lines are shown; raises CalledProcessError where it fails."""
    print(f"== {' '.join(command)}", flush=True)
    subprocess.run(command, check=True)


def write_train(path: Path, data: Interactions, split: Split) -> None:
    """The train part as Parquet: columns ``user`` and ``item``, ids as text."""
    users, items = (np.array(side) for side in ids_of(data))
    u, i = split.train.nonzero()
    pd.DataFrame({"user": users[u], "item": items[i]}).to_parquet(path)


def vectors_of(path: str) -> Vectors:
    """Spark's factors."""
    frame = pd.read_parquet(path)
    return dict(zip(frame["id"], frame["features"], strict=True))


def packed_vectors(path: Path, users: Vectors, items: Vectors) -> tuple[Vectors, Vectors]:
    """The rows of the packed file, of the same entities."""
    opened = load(path)
    table = opened.table if isinstance(opened, RecommenderFile) else opened
    assert isinstance(table, TableFile)
    rows = table.users(users)[:, 0], table.items(items)[:, 0]
    return dict(zip(users, rows[0], strict=True)), dict(zip(items, rows[1], strict=True))


def recall(split: Split, data: Interactions, users: Vectors, items: Vectors) -> float:
    """Mean Recall@20 on test of inner products; who has no vector has no score, either."""
    places, values = [], []
    for names, vectors in zip(ids_of(data), (users, items), strict=True):
        place = np.array([at for at, name in enumerate(names) if name in vectors])
        places.append(place)
        values.append(np.stack([vectors[names[at]] for at in place]))
    scores = np.full(split.train.shape, -np.inf, dtype=np.float32)
    scores[np.ix_(*places)] = values[0] @ values[1].T
    known = [split.train, split.validation]
    ranked = evaluate(lambda block: torch.from_numpy(scores)[block], split.test, known)
    return ranked.means()["recall@20"]


if __name__ == "__main__":
    sys.exit(main())
