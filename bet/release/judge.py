"""What users get that had no part in a choice: half of the validation users for the gate, then the
test, once.
"""

import numpy as np

from bet.backbones import Ranker, Recommender
from bet.data import keep_rows
from bet.release.stage import Tried
from bet.release.task import Task
from bet.search import SearchContext
from bet.search.gate import GateDecision, safe_select
from bet.seeds import numpy_generator
from bet.training import evaluate

GATE_METRIC = "ndcg@20"


def judge(task: Task, simple: Tried, other: Tried) -> GateDecision | None:
    """Whether ``other`` is used instead of ``simple``; None where no validation user is left."""
    context = simple.candidate.context
    gains = unseen_users(task, context, other.outcome.trained.model)
    gains = gains - unseen_users(task, context, simple.outcome.trained.model)
    return safe_select(gains) if len(gains) else None


def unseen_users(task: Task, context: SearchContext, model: Recommender) -> np.ndarray:
    """The gate's metric of validation users that had no part in selection, (u,): of all, or of as
    many as take a few seconds to rank.
    """
    selected = np.diff(context.selection.indptr) > 0
    others = np.flatnonzero((np.diff(task.data.validation.indptr) > 0) & ~selected)
    positives = keep_rows(task.data.validation, _some(task, others, "gate", 2))
    device = task.workspace.device
    metrics = evaluate(model.ranker(), positives, [task.data.train], device=device)
    return metrics.values[GATE_METRIC]


def score_on_test(task: Task, ranker: Ranker) -> dict[str, float]:
    """Means over the test users, all or as many as take a minute, of a model fitted on train."""
    users = np.flatnonzero(np.diff(task.split.test.indptr))
    positives = keep_rows(task.split.test, _some(task, users, "test", 10))
    known, device = [task.split.train, task.split.validation], task.workspace.device
    return evaluate(ranker, positives, known, device=device).means()


def _some(task: Task, users: np.ndarray, stream: str, times: int) -> np.ndarray:
    """``users`` (u,), or a random part where they are more than ``times`` as many as select."""
    most = task.most_users(times)
    if len(users) <= most:
        return users
    return numpy_generator(task.seed, stream).permutation(users)[:most]
