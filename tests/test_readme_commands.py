"""README's commands for data of your own work as they are written, each in a fresh process."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_readme import README, ROOT, section

LIMIT = 2_000_000  # bytes, of the command


def blocks():
    """The indented lines of README's section: those for the shell, and those for Python."""
    lines = section(README, "Your own data").splitlines()
    indented = [line[4:] for line in lines if line.startswith("    ")]
    first = next(i for i, line in enumerate(indented) if line.startswith("import "))
    return indented[:first], indented[first:]


@pytest.fixture
def ratings(tmp_path):
    """``ratings.csv``: people of two tastes, whose columns are called as in README."""
    draws = np.random.default_rng(0)
    people = ["ann", *(f"person {i}" for i in range(39))]
    rows = []
    for i, person in enumerate(people):
        liked = draws.choice(20, size=10, replace=False) + 10 * (i % 2)
        rows += [(person, f"thing {item}") for item in liked]
    pd.DataFrame(rows, columns=["customer", "product"]).to_csv(tmp_path / "ratings.csv")
    return tmp_path


def test_the_command_makes_a_file_and_the_three_lines_recommend_from_it(ratings):
    shell, python = blocks()
    commands = [line for line in shell if not line.startswith("source ")]
    assert len(commands) == 1 and len(python) == 3
    script = ratings / "bin" / "bet"  # what the environment puts on the path
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m bet "$@"\n')
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "BET_CACHE": str(ratings / "cache"),
    }
    made = subprocess.run(
        commands[0], shell=True, cwd=ratings, env=environment, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    assert 0 < (ratings / "shop.safetensors").stat().st_size <= LIMIT
    asked = subprocess.run(
        [sys.executable, "-c", "\n".join(python)],
        cwd=ratings,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 0, asked.stderr
    (best,) = ast.literal_eval(asked.stdout)
    had = pd.read_csv(ratings / "ratings.csv").groupby("customer")["product"].apply(set)["ann"]
    assert len(best) == len(set(best)) == 10
    assert not had & set(best) and all(name.startswith("thing ") for name in best)
    # The last lines that the command prints are the same three.
    assert python[0] in made.stdout and "model.recommend(['ann']" in made.stdout
    assert Path(ratings / "shop.safetensors.html").is_file()
