"""Where packed vectors may be written, and whose they are."""

import numpy as np
import pandas as pd

from bet.__main__ import main


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
        (tmp_path / "link.npy", [], "u.npy holds the users' vectors"),
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
