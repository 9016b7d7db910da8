"""Less work in tests that are not about what the work is for."""

from importlib import import_module

import pytest


def lowered(*constants, scope="module"):
    """A fixture that all tests of the scope use: each of ``constants``, (name of the module,
    its own name, value), is lower there. For numbers that only decide how well something is
    chosen or learned.
    """

    @pytest.fixture(scope=scope, autouse=True)
    def lower():
        with pytest.MonkeyPatch.context() as patch:
            for module, name, value in constants:
                patch.setattr(import_module(module), name, value)
            yield

    return lower
