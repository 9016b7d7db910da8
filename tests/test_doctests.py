"""The worked examples in docstrings, small enough to check by hand, give what they say."""

import doctest
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from bet.actions import Budget
from bet.search import (
    RunSettings,
    SearchContext,
    SearchSettings,
    TrainingData,
    Workspace,
    initialize_recommender,
)
from bet.training import TrainResult, TrainSettings

MODULES = (
    "bet.actions.action",
    "bet.actions.allocation",
    "bet.actions.budget",
    "bet.actions.families",
    "bet.actions.histogram",
    "bet.actions.precision",
    "bet.actions.published",
    "bet.actions.sampler",
    "bet.actions.space",
    "bet.adam",
    "bet.backbones.graph",
    "bet.backbones.ncf_ranking",
    "bet.data.digest",
    "bet.data.frequency",
    "bet.data.interactions",
    "bet.data.split",
    "bet.lazy_loops",
    "bet.methods.ease",
    "bet.methods.graph_filter",
    "bet.methods.item_knn",
    "bet.export.stored",
    "bet.export.rowwise",
    "bet.export.embedding",
    "bet.pack.axes",
    "bet.pack.encode",
    "bet.pack.known",
    "bet.pack.plan",
    "bet.pack.sources",
    "bet.pack.survey",
    "bet.packed.bitstream",
    "bet.packed.codebook",
    "bet.packed.hashed",
    "bet.packed.ids",
    "bet.packed.interactions",
    "bet.packed.item_lists",
    "bet.packed.layout",
    "bet.packed.levels",
    "bet.packed.lookup",
    "bet.packed.nearest",
    "bet.packed.pruned",
    "bet.packed.quantizer",
    "bet.packed.reader",
    "bet.packed.recommender",
    "bet.packed.safetensors_io",
    "bet.packed.streamed",
    "bet.packed.writer",
    "bet.predictor.deepsets",
    "bet.recommend.blend",
    "bet.recommend.interactions",
    "bet.recommend.least_squares",
    "bet.recommend.model",
    "bet.recommend.product_kernels",
    "bet.recommend.top",
    "bet.recommend.top_vectors",
    "bet.release.stream",
    "bet.release.untouched",
    "bet.search.context",
    "bet.search.fitness",
    "bet.search.gate",
    "bet.search.loop",
    "bet.search.refit",
    "bet.search.selectors",
    "bet.search.settings",
    "bet.search.trials",
    "bet.stream.bandit",
    "bet.stream.budgets",
    "bet.stream.carry",
    "bet.stream.events",
    "bet.stream.methods.dess",
    "bet.stream.methods.scall",
    "bet.stream.segments",
    "bet.stream.synthetic",
    "bet.walkthrough.verdict",
)


def example_context(folder):
    """The context of the example of ``SearchContext``, where examples may write."""
    train = csr_array(np.array([[1, 1, 0], [0, 1, 0]], dtype=np.uint8))
    return SearchContext(
        TrainingData(train, validation=csr_array((2, 3), dtype=np.uint8)),
        RunSettings("lightgcn", TrainSettings(), SearchSettings()),
        Workspace(folder, folder),
        budget=Budget(total=10, n=5, d_max=4),
    )


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_right(name, tmp_path):
    # Examples write to ``folder``, which is empty, and use what the package offers.
    names = vars(import_module("bet.packed")) | {"folder": tmp_path, "np": np, "Path": Path}
    names |= {"context": example_context(tmp_path), "TrainResult": TrainResult}
    names |= {"initialize_recommender": initialize_recommender}
    names |= {"TrainSettings": TrainSettings, "SearchSettings": SearchSettings}
    module = import_module(name)
    counted = doctest.testmod(module, globs=names | vars(module), report=True)
    assert counted.failed == 0 and counted.attempted > 0
