"""The worked examples in docstrings give what they say."""

import doctest
from importlib import import_module

import pytest

MODULES = (
    "bet.actions.action",
    "bet.actions.allocation",
    "bet.actions.budget",
    "bet.actions.histogram",
    "bet.actions.precision",
    "bet.actions.sampler",
    "bet.actions.space",
    "bet.data.digest",
    "bet.data.frequency",
    "bet.search.loop",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_right(name):
    counted = doctest.testmod(import_module(name))
    assert counted.failed == 0 and counted.attempted > 0
