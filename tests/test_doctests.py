"""The worked examples in docstrings, small enough to check by hand, give what they say."""

import doctest
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

MODULES = (
    "bet.actions.action",
    "bet.actions.allocation",
    "bet.actions.budget",
    "bet.actions.histogram",
    "bet.actions.precision",
    "bet.actions.published",
    "bet.actions.sampler",
    "bet.actions.space",
    "bet.backbones.graph",
    "bet.backbones.ncf_ranking",
    "bet.data.digest",
    "bet.data.frequency",
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
    "bet.packed.reader",
    "bet.packed.safetensors_io",
    "bet.packed.table_file",
    "bet.packed.writer",
    "bet.predictor.deepsets",
    "bet.release.gate",
    "bet.search.context",
    "bet.search.loop",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_right(name, tmp_path):
    # Examples write to ``folder``, which is empty, and use what the package offers.
    names = vars(import_module("bet.packed")) | {"folder": tmp_path, "np": np, "Path": Path}
    module = import_module(name)
    counted = doctest.testmod(module, globs=names | vars(module), report=True)
    assert counted.failed == 0 and counted.attempted > 0
