"""The worked examples in docstrings, small enough to check by hand, give what they say."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

MODULES = (
    "bet.actions.published",
    "bet.backbones.graph",
    "bet.backbones.ncf_ranking",
    "bet.data.interactions",
    "bet.data.split",
    "bet.packed.bitstream",
    "bet.packed.codebook",
    "bet.packed.hashed",
    "bet.packed.ids",
    "bet.packed.layout",
    "bet.packed.levels",
    "bet.packed.pruned",
    "bet.packed.quantizer",
    "bet.packed.safetensors_io",
    "bet.packed.table_file",
    "bet.packed.writer",
    "bet.predictor.deepsets",
    "bet.release.gate",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_right(name, tmp_path):
    from bet import load
    from bet.packed import layout_of

    # ``folder`` is empty, and each example's own.
    names = {"folder": tmp_path, "load": load, "layout_of": layout_of, "Path": Path}
    counted = doctest.testmod(import_module(name), extraglobs=names, report=True)
    assert counted.failed == 0 and counted.attempted > 0
