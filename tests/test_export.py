"""Exports: what other tools read in a fresh process is what the file holds."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from exported import IDS, N_ITEMS, N_USERS, write_vectors

from bet.__main__ import main
from bet.cli.export import FORMS as CLI_FORMS
from bet.errors import BetError
from bet.export import FORMS, export
from bet.methods import METHODS
from bet.packed import code_interactions, layout_of, write_packed, write_recommender
from bet.packed.layout import Layout
from bet.serving import write_served


def fresh(code, *arguments):
    """What ``code`` prints in a process that has none of this project's modules."""
    command = [sys.executable, "-c", code + "\nassert 'bet' not in sys.modules", *arguments]
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"OMP_NUM_THREADS": "1"}
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


NUMPY = """
import json, sys
import numpy as np
users, items = (np.load(f"{sys.argv[1]}/{side}.npy") for side in ("users", "items"))
ids = [json.load(open(f"{sys.argv[1]}/{side}_ids.json", encoding="utf-8"))
       for side in ("user", "item")]
print(json.dumps([users.astype(float).tolist(), items.astype(float).tolist(),
                  [str(users.dtype), str(items.dtype)], ids]))
"""


@pytest.mark.parametrize(("form", "dtype"), [("npy", "float32"), ("npy16", "float16")])
def test_numpy_reads_the_vectors_and_their_ids(tmp_path, form, dtype):
    rows = write_vectors(tmp_path / "f.bet", bits=(4, 2))
    assert main(["export", str(tmp_path / "f.bet"), "--to", form]) == 0
    users, items, types, ids = fresh(NUMPY, str(tmp_path / f"f-{form}"))
    assert types == [dtype, dtype] and ids == [IDS[0], [*map(str, IDS[1])]]
    read = np.concatenate([users, items])
    np.testing.assert_array_equal(read, rows.astype(dtype).astype(float))


@pytest.mark.parametrize("form", ["table and interactions", "vectors"])
def test_a_graph_models_final_vectors_are_exported(make, split, tmp_path, form):
    """Whether the file has them or its table and the graph."""
    method = "vectors-int4" if form == "vectors" else "uniform-int2"
    model = METHODS[method](make("lightgcn", "none", 5_000)).trained.model
    file = write_served(tmp_path / "f", model, split.train)
    assert file.form == form
    export(tmp_path / "f", "npy", tmp_path / "out")
    users, items = (np.load(tmp_path / "out" / f"{side}.npy") for side in ("users", "items"))
    n_users = model.n_users
    rows, columns = file.order[:n_users].copy(), file.order[n_users:] - n_users
    expected = model.ranker()(torch.from_numpy(rows))[:, columns].numpy()
    np.testing.assert_allclose(users @ items.T, expected, rtol=1e-4, atol=1e-5)
    assert not [*(tmp_path / "out").glob("*.json")], "a file without ids"


FAISS = """
import json, sys
import faiss
import numpy as np
index = faiss.read_index(f"{sys.argv[1]}/items.faiss")
users = np.load(f"{sys.argv[1]}/users.npy")
scores, items = index.search(users, 5)
print(json.dumps([type(index).__name__, index.metric_type == faiss.METRIC_INNER_PRODUCT,
                  scores.tolist(), items.tolist()]))
"""


@pytest.mark.parametrize(
    ("form", "index", "error"),
    [
        ("faiss", "IndexFlatIP", 0.0),
        ("faiss-sq8", "IndexScalarQuantizer", 0.15),
        ("faiss-sq4", "IndexScalarQuantizer", 1.0),
    ],
)
def test_faiss_finds_what_the_file_recommends(tmp_path, form, index, error):
    rows = write_vectors(tmp_path / "f.bet")
    export(tmp_path / "f.bet", form, tmp_path / "out")
    name, by_product, scores, items = fresh(FAISS, str(tmp_path / "out"))
    assert (name, by_product) == (index, True)
    exact = rows[:N_USERS] @ rows[N_USERS:].T
    best = -np.sort(-exact, axis=1)[:, :5]
    np.testing.assert_allclose(scores, best, atol=error + 1e-4)
    if not error:
        found = np.take_along_axis(exact, np.array(items), 1)
        np.testing.assert_allclose(found, best, rtol=1e-5)


TORCH = """
import json, sys
import torch
from safetensors import safe_open
answers = []
for folder in sys.argv[1:]:
    with safe_open(f"{folder}/embedding_bags.safetensors", "pt") as opened:
        facts = opened.metadata()
        weights = {side: opened.get_tensor(side) for side in ("users", "items")}
    name = "byte" if facts["bits"] == "8" else facts["bits"] + "bit"
    bag = getattr(torch.ops.quantized, f"embedding_bag_{name}_rowwise_offsets")
    rows, n_bytes = {}, {}
    for side, weight in weights.items():
        n_bytes[side] = weight.shape[1]
        places = torch.arange(len(weight))
        rows[side] = bag(weight, places, places)[:, : int(facts["columns"])].tolist()
    both = bag(weights["items"], torch.tensor([3, 1, 4]), torch.tensor([0, 2]))
    answers.append([facts["bits"], n_bytes, rows, both[:, : int(facts["columns"])].tolist()])
print(json.dumps(answers))
"""


def test_torch_reads_the_rows_in_its_quantized_bags(tmp_path):
    """All files in one process, whose start takes longer than they do."""
    cases = [
        ((1,), False, "2", 3 + 4),
        ((2,), False, "2", 3 + 4),
        ((4, 2, 1), False, "4", 6 + 4),
        ((4, 2, 1), True, "4", 6 + 4),
        ((8, 4), False, "8", 11 + 8),
    ]
    folders, written = [], []
    for bits, by_id, _, _ in cases:
        name = f"{bits} {by_id}"
        written.append(write_vectors(tmp_path / name, bits, by_id))
        folders.append(tmp_path / f"out {name}")
        export(tmp_path / name, "torch", folders[-1])
    answers = fresh(TORCH, *map(str, folders))
    for (_, _, expected, n_bytes), rows, answer in zip(cases, written, answers, strict=True):
        stated, lengths, read, both = answer
        assert stated == expected and set(lengths.values()) == {n_bytes}
        read = np.concatenate([read["users"], read["items"]])
        # The lowest number of a row is a float16.
        np.testing.assert_allclose(read, rows, atol=2e-3 * np.abs(rows).max())
        items = rows[N_USERS:]
        np.testing.assert_allclose(both, [items[3] + items[1], items[4]], atol=1e-2)


def test_what_has_no_such_vectors_is_refused_and_nothing_is_written(tmp_path, capsys, monkeypatch):
    seen = code_interactions(np.arange(N_USERS + 1), np.arange(N_USERS), N_ITEMS)
    sides = {"n_users": N_USERS, "n_items": N_ITEMS}
    write_recommender(tmp_path / "rule", "popularity", {}, seen=seen, **sides)
    write_vectors(tmp_path / "table", kind="table")
    write_vectors(tmp_path / "half", bits=(16,))
    two = np.ones((3, 2, 2), np.float32)
    write_packed(tmp_path / "two", layout_of(np.full(3, 2), 8, 1, copies=2), two)
    (tmp_path / "text").write_text("hello")
    for name, form, message in (
        ("rule", "npy", "does not score by inner products"),
        ("rule", "faiss", "does not score by inner products"),
        ("rule", "torch", "has no rows, and only packed rows"),
        ("table", "npy", "say nothing about how scores follow"),
        ("table", "torch", "say nothing about how scores follow"),
        ("half", "torch", "torch's quantized rows have 2, 4 or 8 bits"),
        ("two", "torch", "has 2 rows for every entity"),
        ("text", "npy", "not a readable table file"),
        ("gone", "npy", "cannot be read"),
        ("half", "onnx", "cannot export to 'onnx'; known are npy"),
    ):
        with pytest.raises(BetError, match=message):
            export(tmp_path / name, form, tmp_path / "out")
    monkeypatch.setattr("bet.export.faiss_index.find_spec", lambda name: None)
    assert main(["export", str(tmp_path / "half"), "--to", "faiss"]) == 1
    assert "needs faiss-cpu; install it: pip install 'bet[faiss]'" in capsys.readouterr().err
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert set(CLI_FORMS) == set(FORMS)


def test_a_bad_folder_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    write_vectors(tmp_path / "f.bet")
    (tmp_path / "taken").write_text("mine")
    monkeypatch.setattr("bet.export.build.open_vectors", None)
    command = ["export", str(tmp_path / "f.bet"), "--to", "npy", "--out"]
    for out, message in (
        (tmp_path / "taken", f"{tmp_path / 'taken'} is a file; name a folder"),
        (tmp_path / "taken" / "sub", f"{tmp_path / 'taken'} is a file; name a folder"),
        (tmp_path / ("x" * 300), "cannot write the export to"),
    ):
        assert main([*command, str(out)]) == 1
        error = capsys.readouterr().err
        assert message in error and "check the disk" not in error
    assert {path.name for path in tmp_path.iterdir()} >= {"f.bet", "taken"}
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


@pytest.mark.parametrize("name", ["users.npy", "items.faiss", "item_ids.json"])
def test_a_file_is_not_overwritten_by_its_own_export(tmp_path, capsys, name):
    write_vectors(tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path)
    before = (tmp_path / name).read_bytes()
    for out in (tmp_path, tmp_path / "link"):
        assert main(["export", str(tmp_path / name), "--to", "npy", "--out", str(out)]) == 1
        assert f"{name} holds the vectors; write the export somewhere" in capsys.readouterr().err
    assert (tmp_path / name).read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {name, "link"}


def test_a_number_beyond_float16_is_refused(tmp_path):
    values = np.full((2, 1, 2), 1e6, np.float32)
    layout = layout_of(np.full(2, 2), 32, 1, by_rank=True)
    layout = Layout(layout.kinds, layout.counts, file_kind="vectors")
    write_packed(tmp_path / "f", layout, values)
    with pytest.raises(BetError, match="too large for 16 bits; take '--to npy'"):
        export(tmp_path / "f", "npy16", tmp_path / "out")
    assert not (tmp_path / "out").exists()
