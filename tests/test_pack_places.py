"""Where packed vectors may be written, and whose they are."""

import json

import numpy as np
import pandas as pd
import pytest
from example_vectors import as_arrays, both_sides, interactions
from safetensors.numpy import save_file

import bet
from bet.__main__ import main
from bet.data import Interactions
from bet.export import export
from bet.pack import Columns, Options, open_vectors, pack_vectors


def of_numbers():
    """Interactions whose ids are the numbers of the rows."""
    return Interactions("numbers", interactions().matrix)


def test_what_is_read_is_not_overwritten_and_bad_places_are_refused(tmp_path, monkeypatch, capsys):
    users, items = tmp_path / "u.npy", tmp_path / "parts"
    np.save(users, np.ones((3, 2), np.float32))
    items.mkdir()
    frame = pd.DataFrame({"id": [1, 2, 3], "a": [1.0, 2.0, 3.0], "b": [0.0, 1.0, 0.0]})
    frame.to_parquet(items / "part-0.parquet")
    data = tmp_path / "data.csv"
    data.write_text("user,item\n0,1\n1,2\n")
    (tmp_path / "link.npy").symlink_to(users)
    (tmp_path / "taken.ids").mkdir()
    monkeypatch.setattr("bet.pack.build.survey", None)  # nothing is read
    monkeypatch.setattr("bet.cli.own_data.load_dataset", None)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    words = ["pack", "--users", str(users), "--items", str(items), "--budget", "2 kB"]
    for out, further, message in (
        (users, [], "u.npy holds the users' vectors; write the packed file somewhere else"),
        (tmp_path / "link.npy", [], "link.npy: it is a link, not a regular file"),
        (items / "part-0.parquet", [], "parts holds the items' vectors"),
        (items / "new", [], "parts holds the items' vectors"),
        (data, ["--data", str(data)], "data.csv holds interactions"),
        (data, ["--data", str(users), "--test", str(data)], "data.csv holds interactions"),
        (items, [], "parts: it is a folder; name a file"),
        (tmp_path / "taken", [], "taken.ids: it is a folder; name a file"),
        (users / "out", [], "cannot write the packed file to"),
    ):
        assert main([*words, *further, "--out", str(out)]) == 1
        assert message in capsys.readouterr().err, out
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("form", ["npy", "safetensors"])
@pytest.mark.parametrize("options", [Options(), Options(with_ids=True), Options(of_numbers())])
def test_rows_of_a_matrix_are_called_by_their_numbers(tmp_path, form, options):
    sides = both_sides()
    if form == "npy":
        users, items = as_arrays(tmp_path / "in", sides)
    else:
        save_file(dict(zip(("u", "i"), sides, strict=True)), tmp_path / "both.safetensors")
        users, items = (
            open_vectors(tmp_path / "both.safetensors", Columns(vectors=name)) for name in "ui"
        )
    packed = pack_vectors(users, items, "100 B/entity", tmp_path / "out", options)
    assert packed.first_user == next(iter(bet.load(tmp_path / "out").file.ids.user_rows))
    best = bet.load(tmp_path / "out").recommend([5], k=7, exclude_seen=False)
    scores = sides[0][5] @ sides[1].T
    assert best.items == [[*map(str, np.argsort(-scores)[:7])]]
    np.testing.assert_allclose(best.scores[0], np.sort(scores)[:-8:-1], rtol=1e-4)
    export(tmp_path / "out", "npy", tmp_path / "exported")
    for side, values in zip(("user", "item"), sides, strict=True):
        ids = json.loads((tmp_path / "exported" / f"{side}_ids.json").read_text())
        rows = np.load(tmp_path / "exported" / f"{side}s.npy")
        np.testing.assert_array_equal(rows, values[[*map(int, ids)]])
