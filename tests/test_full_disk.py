"""A real disk that is full: what is written there is whole or not there, one line says what it
needs, and with more room the same command ends.
"""

import numpy as np
import pytest
from full_disk import WORKS, disk, fill_and_grow

SEED = 20


@pytest.mark.parametrize("name", WORKS)
def test_a_full_disk_leaves_nothing_half_written_and_the_same_command_ends(
    name, monkeypatch, capfd
):
    with disk() as mounted:
        if mounted is None:
            pytest.skip("this process may not mount a disk of its own; 'python -m tests.soak' says")
        for folder in ("RESULTS", "CACHE"):
            monkeypatch.setenv(f"BET_{folder}", str(mounted.folder / folder.lower()))

        def run(work):
            capfd.readouterr()
            return work(), capfd.readouterr().err

        rng = np.random.default_rng(SEED)
        assert fill_and_grow(mounted, WORKS[name](mounted.folder, rng), rng, run)
