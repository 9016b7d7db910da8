"""``bet table`` as a command, and an earlier file refitted with more interactions."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import bet
import bet.__main__
from bet.data import from_pairs, planted
from bet.errors import BetError
from bet.packed import load
from bet.release import build as building
from bet.release.build import build_table
from bet.release.sweeps import sweep_lightgcn
from bet.release.task import Fixed
from bet.release.update import continue_file, same_bytes
from bet.serving import write_served
from bet.study.output import check_writable

FAST = Fixed(epochs=2, learning_rate=0.03, l2=0.3)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))


def halves():
    """The first half of the planted users' interactions, and interactions of new people."""
    matrix = planted().matrix
    users, items = matrix.nonzero()
    names = np.array([f"u{u}" for u in users]), np.array([f"i{i}" for i in items])
    old = (users < 80) & (items < 80)
    return [from_pairs("old", *(pd.Series(side[part]) for side in names)) for part in (old, ~old)]


EVERY = ["popularity", "filter", "knn", "ials", "lightgcn", "rows", "blend", "graph-blend"]


@pytest.mark.parametrize("family", EVERY)
def test_an_earlier_file_is_refitted_with_more(tmp_path, monkeypatch, family):
    old, more = halves()

    def only(task, best):
        return best[family], None

    monkeypatch.setattr("bet.release.choice._weigh_histories", only)

    def holding(task, stage, *, history):
        return sweep_lightgcn(task, stage, history=True)

    monkeypatch.setattr("bet.release.choice.sweep_lightgcn", holding)
    monkeypatch.setattr("bet.release.build.search", lambda *_: (None, "not here"))
    limit = 20_000 if family == "knn" else 5_000
    earlier_file, file = tmp_path / "old", tmp_path / "new"
    before = build_table(old, limit, earlier_file, fixed=FAST, with_ids=True)
    earlier, together = continue_file(earlier_file, more)
    assert earlier.family == family and len(together) == len(planted())
    limit = same_bytes(earlier, together)
    after = build_table(together, limit, file, earlier=earlier)
    assert after.chosen.family == family and file.stat().st_size <= limit
    facts = load(earlier_file).facts
    if "blend" not in family:  # whose filter and weight are chosen again
        assert {name: after.chosen.settings[name] for name in facts} == dict(facts)
        assert after.chosen.bits == before.chosen.bits
    model = bet.load(file)
    assert (model.n_users, model.n_items) == (together.n_users, together.n_items)
    items = model.recommend([f"u{together.n_users - 1}"], k=5).items
    assert len(items[0]) == 5
    assert after.unsearched == "not tried, since an earlier file is refitted"


def test_what_cannot_be_continued_is_refused(tmp_path):
    old, more = halves()
    without = tmp_path / "without"
    build_table(old, 5_000, without, fixed=FAST, history=False)
    with pytest.raises(BetError, match="holds no histories, so nothing can be added"):
        continue_file(without, more)
    bare = tmp_path / "bare"
    model = candidate_vectors(tmp_path)
    model.save_table(bare)
    with pytest.raises(BetError, match="without what its training had"):
        continue_file(bare, more)
    untold = tmp_path / "untold"  # as bet run writes it
    ids = [f"u{u}" for u in range(model.n_users)], [f"i{i}" for i in range(planted().n_items)]
    write_served(untold, model, planted().matrix, with_seen=True, ids=ids)
    with pytest.raises(BetError, match="does not say unobserved_weight and l2 and exponent"):
        continue_file(untold, more)


def test_no_more_time_is_expected_than_there_is(tmp_path, capsys):
    build_table(planted(), 5_000, tmp_path / "new", minutes=0.05, fixed=FAST, progress=True)
    assert "about 0.05 minutes, at most 0.05 (--minutes)" in capsys.readouterr().err


def candidate_vectors(folder):
    from bet.actions import Allocation
    from bet.backbones import BACKBONES, new_recommender, normalized_adjacency

    matrix = planted().matrix
    return new_recommender(
        BACKBONES["ials"],
        normalized_adjacency(matrix),
        Allocation.uniform(sum(matrix.shape), 4),
        n_users=matrix.shape[0],
        d_max=4,
        generator=torch.Generator(),
    )


def ratings(path, users, items):
    lines = [f"u{u},i{i}\n" for u, i in zip(users, items, strict=True)]
    path.write_text("who,item\n" + "".join(lines))


def test_the_command_from_a_file_to_recommendations(tmp_path, capsys):
    """In processes of their own, as written, with progress although it is redirected."""
    users, items = planted().matrix.nonzero()
    data, out, more = (tmp_path / name for name in ("ratings.csv", "shop.safetensors", "more.csv"))
    ratings(data, users, items)
    command = [sys.executable, "-m", "bet", "table", "--data", str(data), "--user-column", "who"]
    options = ["--epochs", "2", "--l2", "0.3", "--learning-rate", "0.03", "--out", str(out)]
    run = subprocess.run(
        [*command, *options, "--budget", "25.6 B/entity to serve"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    read, *said = run.stderr.splitlines()
    assert read == f"{data}: 120 users, 90 items, {len(users):,} interactions; none dropped"
    assert said[0].startswith("Interactions(ratings: 120 users x 90 items")
    assert "5,376 bytes to serve: about 1 minute, at most 10 (--minutes)" in said[0]
    assert any(line.startswith("popularity: quality") for line in said)
    printed = run.stdout.splitlines()
    assert printed[0].startswith(f"{out}: {out.stat().st_size:,} bytes to serve of at most 5,376; ")
    assert any("popularity" in line and "ALS of default settings, 64 f" in line for line in printed)
    assert any(line.startswith("It took ") and "of the 10 minutes" in line for line in printed)
    assert (tmp_path / "shop.safetensors.html").is_file()
    pasted = subprocess.run(
        [sys.executable, "-c", "\n".join(printed[-3:])], capture_output=True, text=True
    )
    assert pasted.returncode == 0, pasted.stderr
    assert len(eval(pasted.stdout)[0]) == 10
    ratings(more, ["new"] * 5 + [0], [0, 1, 2, 3, 4, 0])
    assert load(out).seen is not None
    command = ["table", "--data", str(more), "--user-column", "who", "--continue", str(out)]
    assert bet.__main__.main([*command, "--out", str(out)]) == 0
    assert "exclude_seen" not in capsys.readouterr().out
    model = bet.load(out)
    assert model.n_users == 121 and len(model.recommend(["unew"], k=5).items[0]) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "90%"], "needs a budget in bytes"),
        (["--budget", "none"], "needs a budget in bytes"),
        (["--budget", "abc"], "needs a budget in bytes, got 'abc'; for example '2 MB'"),
        (["--budget", "1 MB", "--minutes", "0"], "minutes must lie in"),
        (["--budget", "1 MB", "--l2", "-1"], "l2 must be positive"),
        (["--budget", "1 MB", "--no-history", "--continue", "x"], "leave --no-history out"),
        (["--budget", "1 MB", "--continue", "absent"], "absent"),
        (["--budget", "1 MB", "--k-core", "5"], "named dataset"),
    ],
)
def test_bad_options_are_refused(tmp_path, capsys, options, message):
    command = ["table", "--data", "tiny", "--out", str(tmp_path / "t"), *options]
    assert bet.__main__.main(command) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("options", [["--budget", "1 MB"], ["--continue", "shop.safetensors"]])
def test_whose_interactions_is_always_said(tmp_path, capsys, options):
    """No dataset is mixed into somebody's file because --data was forgotten."""
    with pytest.raises(SystemExit) as end:
        bet.__main__.main(["table", "--out", str(tmp_path / "t"), *options])
    assert end.value.code == 2
    assert "the following arguments are required: --data" in capsys.readouterr().err
    assert not (tmp_path / "t").exists()


def test_too_little_memory_names_the_road_to_more(tmp_path, capsys, monkeypatch):
    def too_many(_):
        raise MemoryError

    monkeypatch.setattr("bet.cli.table.interactions_of", too_many)
    command = ["table", "--data", "tiny", "--budget", "1 MB", "--out", str(tmp_path / "t")]
    assert bet.__main__.main(command) == 1
    assert "docs/scale_out.md" in capsys.readouterr().err


def test_bad_places_are_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(building, "choose", None)  # nothing is trained
    data, file = tmp_path / "data.csv", tmp_path / "table"
    check_writable(tmp_path / "new" / "folder" / "table")
    assert not (tmp_path / "new").exists(), "a probe leaves nothing"
    data.write_text("user,item\n" + "".join(f"{u},{i}\n" for u in range(9) for i in range(6)))
    for suffix in ("", ".html", ".ids"):
        (tmp_path / f"taken{suffix}").mkdir()
        with pytest.raises(BetError, match="it is a folder"):
            build_table(planted(), 4_000, tmp_path / "taken")
        (tmp_path / f"taken{suffix}").rmdir()
    for folder in (".", "/", ""):
        with pytest.raises(BetError, match="it is a folder; name a file"):
            build_table(planted(), 4_000, Path(folder))
    for out in (tmp_path / ("x" * 251), data / "table"):
        with pytest.raises(BetError, match="cannot write the table"):
            build_table(planted(), 4_000, out)
    with pytest.raises(BetError, match="below the smallest"):
        build_table(planted(), 10, tmp_path / "new" / "table")
    before = data.read_bytes()
    command = ["table", "--data", str(data), "--budget", "2 kB", "--out"]
    for out in (data, tmp_path / "." / "data.csv"):
        assert bet.__main__.main([*command, str(out)]) == 1
        assert "holds the interactions" in capsys.readouterr().err
    assert data.read_bytes() == before and not file.exists()


def test_what_the_readme_says_works_as_written(tmp_path):
    """Its command on a fresh file, then its three lines in a fresh process."""
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    section = readme[readme.index("## Your own data") : readme.index("## Notebooks")]
    code = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    (command,) = (line for line in code if line.startswith("bet table "))
    lines = code[code.index("import bet") :]
    assert len(lines) == 3
    users, items = planted().matrix.nonzero()
    names = ["ann" if u == 0 else f"c{u}" for u in users]
    rows = [f"{name},p{i}\n" for name, i in zip(names, items, strict=True)]
    (tmp_path / "ratings.csv").write_text("customer,product\n" + "".join(rows))
    scripts = str(Path(sys.executable).parent)
    root = str(Path(bet.__file__).parent.parent)
    path = {"PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONPATH": root}
    run = partial(
        subprocess.run, cwd=tmp_path, env=os.environ | path, capture_output=True, text=True
    )
    made = run(["bash", "-c", command])
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "shop.safetensors").stat().st_size <= 2_000_000
    shown = run([sys.executable, "-c", "\n".join(lines)])
    assert shown.returncode == 0, shown.stderr
    (recommended,) = eval(shown.stdout)
    seen = {f"p{i}" for name, i in zip(names, items, strict=True) if name == "ann"}
    assert len(recommended) == 10 and not seen & set(recommended)
