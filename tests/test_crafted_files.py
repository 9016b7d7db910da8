"""Files that are made to mislead, read by a process that may take three times their bytes and 50 MB
until it has accepted them: right values or a BetError, and nothing else.
"""

import json
import subprocess
import sys
from pathlib import Path

from example_files import ITEMS, KINDS, USERS, write_example, write_example_recommender
from test_hostile_models import FILES, write_model

from bet.packed import write_ids

COUNT = 2_000


def write_bases(folder):
    """A small file of every kind."""
    folder.mkdir()
    for kind in KINDS:
        write_example(kind, folder / kind)
    write_ids(folder / "packed", (USERS, ITEMS))
    for kind in ("packed", "hashed", None):
        write_example_recommender(kind, folder / f"with-{kind}", ids=(USERS, ITEMS))
    for backbone in FILES:
        write_model(backbone, folder / backbone)
    (folder / "table").unlink()  # of the last ones


def test_crafted_files_are_refused_or_read_right_in_little_memory(tmp_path):
    write_bases(tmp_path / "bases")
    script = Path(__file__).with_name("read_crafted.py")
    command = [sys.executable, script, tmp_path / "bases", "0", str(COUNT)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{ran.returncode}: {ran.stderr[-3000:]}"
    outcome = json.loads(ran.stdout.splitlines()[-1])
    assert not outcome["wrong"], "\n".join(outcome["wrong"][:20])
    read, refused = (sum(outcome[what].values()) for what in ("read", "refused"))
    assert read + refused > COUNT and min(read, refused) > COUNT // 10
