"""The worked examples in docstrings, small enough to check by hand."""

import doctest
from importlib import import_module

import pytest

MODULES = [
    "bet.actions.published",
    "bet.backbones.graph",
    "bet.backbones.ncf_ranking",
    "bet.data.interactions",
    "bet.data.split",
    "bet.predictor.deepsets",
    "bet.release.gate",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    result = doctest.testmod(import_module(name))
    assert result.attempted and not result.failed
