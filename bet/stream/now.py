"""After the last segment: its sizes and rows, fitted to all that has happened until now."""

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from bet.backbones import Recommender
from bet.search import SearchContext, TrainingData, Workspace, train_from_scratch
from bet.stream.budgets import segment_budget
from bet.stream.carry import Inherited, carry_sizes, starting_from
from bet.stream.result import SegmentResult
from bet.stream.run import StreamTask
from bet.training import TrainResult


def refit_now(
    task: StreamTask, workspace: Workspace, last: SegmentResult, model: Recommender
) -> tuple[Recommender, csr_array]:
    """A recommender for everybody who has appeared by the end of the stream, and what it was fitted
    to: all events, binary CSR (|U|, |V|).

    The last segment's ``model`` gives it rows to start from and sizes, by relative frequency rank
    in the same cap; ``last`` the epochs that were best on validation. There is nothing later left
    to test it on. Raises BetError where the cap does not hold everybody.
    """
    events = task.events
    shape = events.known_after(len(events))
    everything = events.matrix(np.arange(len(events)), shape)
    before = Inherited.of(model)
    context = SearchContext(
        data=TrainingData(everything, validation=csr_array(shape, dtype=np.uint8)),
        settings=task.settings,
        workspace=replace(workspace, folder=workspace.folder / "now"),
        budget=segment_budget(task.cap, *shape, task.d_max, empty_rows=task.rule.empty_rows),
    )
    context = starting_from(context, before)
    allocation = carry_sizes(before, context.data.order, context.budget).allocation
    epochs = TrainResult(epoch=last.epochs, quality=last.validation, seconds=0.0)
    fitted = train_from_scratch(context, allocation, "refit on all events", epochs)
    return fitted.model, everything
