"""A stream from its first segment to its last: size, carry over, train, test; what is finished is
kept after every segment.
"""

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np

from bet.actions import parse_bytes
from bet.backbones import BACKBONES, Recommender
from bet.errors import BetError
from bet.progress import progress_bar
from bet.search import (
    RunSettings,
    SearchContext,
    TrainingData,
    Workspace,
    check_table,
    train_from_scratch,
)
from bet.stream.budgets import check_caps, segment_budget
from bet.stream.carry import Inherited, starting_from
from bet.stream.events import Events
from bet.stream.policy import Policy, Step, StreamMethod
from bet.stream.result import SegmentResult
from bet.stream.segments import (
    Segment,
    SegmentData,
    StreamSettings,
    check_rankable,
    cut,
    segment_data,
)
from bet.training import evaluate, load_state, numbers_of, save_state

VERSION = 2  # raised when results change


@dataclass(frozen=True, eq=False)
class StreamTask:
    """What a method is run on. ``cap``: bytes of every segment's file, None for none."""

    events: Events
    method: StreamMethod
    settings: RunSettings
    rule: StreamSettings
    cap: str | None
    d_max: int

    @property
    def key(self) -> str:
        """sha256 of all that the results follow from."""
        settings = self.settings
        content = (
            VERSION,
            self.events.fingerprint(),
            (self.method.name, self.method.version),
            (settings.backbone, settings.seed, settings.seed_of_init, settings.seed_of_search),
            (numbers_of(settings.training), asdict(settings.search)),
            (asdict(self.rule), self.cap, self.d_max),
        )
        return hashlib.sha256(repr(content).encode()).hexdigest()

    def check(self) -> list[Segment]:
        """The segments; raises BetError, before any work, on what cannot run."""
        self.method.check(self.settings.backbone, self.cap)
        if self.rule.empty_rows and not BACKBONES[self.settings.backbone].reads_graph:
            raise BetError(
                f"empty rows need a backbone that reads a graph; {self.settings.backbone} scores "
                "nothing without a row: raise the cap or take lightgcn"
            )
        segments, empty = cut(self.events, self.rule), self.rule.empty_rows
        may_be_empty = BACKBONES[self.settings.backbone].reads_graph and not empty
        remedy = "; or allow empty rows (empty_rows = true)" if may_be_empty else ""
        check_caps(self.events, segments, self.cap, self.d_max, empty_rows=empty, remedy=remedy)
        for segment in segments:
            check_rankable(self.events, segment)
        return segments


Finished = Callable[[SegmentResult, Recommender, SegmentData], None]
"""Called after every segment that this process runs."""


def run_stream(
    task: StreamTask,
    workspace: Workspace,
    finished: Finished | None = None,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> list[SegmentResult]:
    """The results of all segments. A run that was killed goes on with the segment it was in, to the
    same numbers. ``clock`` gives the seconds that are reported. Raises BetError, before any work,
    on a task that cannot run.
    """
    segments, policy = task.check(), task.method.policy()
    path, results = workspace.folder / "stream.pt", list[SegmentResult]()
    if state := load_state(path, task.key):
        results = [SegmentResult.from_state(each) for each in state["results"]]
        policy.load_state_dict(state["policy"])
    before = None
    if state:
        before = Inherited(results[-1].allocation, state["rows"], results[-1].n_users)
    with progress_bar(
        label=f"segments of {task.method.name}",
        total=len(segments),
        initial=len(results),
        shown=workspace.progress,
    ) as bar:
        for segment in segments[len(results) :]:
            data = segment_data(task.events, segment, task.rule, task.settings.seed)
            context = segment_context(task, workspace, data)
            if before is not None:
                context = starting_from(context, before)
            step = Step(segment.number, context, before)
            result, model = _run_segment(task, step, data, policy, clock)
            results.append(result)
            if finished is not None:
                finished(result, model, data)
            before = Inherited.of(model)
            content = {
                "results": [each.to_state() for each in results],
                "policy": policy.state_dict(),
                "rows": before.rows,
            }
            save_state(path, task.key, content)
            bar.update()
    return results


def segment_context(task: StreamTask, workspace: Workspace, data: SegmentData) -> SearchContext:
    """What methods see of a segment; its tables start at random."""
    n_users, n_items = data.train.shape
    folder = workspace.folder / f"segment-{data.segment.number}"
    return SearchContext(
        data=TrainingData(data.train, data.validation, data.known),
        settings=task.settings,
        workspace=replace(workspace, folder=folder, progress=False),
        budget=segment_budget(
            task.cap, n_users, n_items, task.d_max, empty_rows=task.rule.empty_rows
        ),
    )


def _run_segment(
    task: StreamTask, step: Step, data: SegmentData, policy: Policy, clock: Callable[[], float]
) -> tuple[SegmentResult, Recommender]:
    """Size, train, learn, test."""
    context, times = step.context, [clock()]
    proposal = policy.propose(step)
    times.append(clock())
    trained = train_from_scratch(context, proposal.allocation, "train")
    check_table(context, trained.model.table)
    limit = None if task.cap is None else parse_bytes(task.cap, context.budget.n)
    n_bytes = trained.model.table.n_bytes()
    if limit is not None and n_bytes > limit:
        raise BetError(f"segment {step.number}: {n_bytes:,} bytes exceed the cap of {limit:,}")
    times.append(clock())
    policy.learn(step, trained)
    times.append(clock())
    ranker, device = trained.model.ranker(), context.workspace.device
    ranked = evaluate(ranker, data.test, [data.known, data.validation], device=device)
    size, train, learn, test = np.diff([*times, clock()]).tolist()
    shutil.rmtree(context.workspace.folder, ignore_errors=True)
    result = SegmentResult(
        number=step.number,
        n_users=data.train.shape[0],
        n_items=data.train.shape[1],
        counts={
            "train": data.train.nnz,
            "validation": data.validation.nnz,
            "test": data.test.nnz,
            "unknown": data.unknown,
        },
        limit_bytes=limit,
        n_bytes=n_bytes,
        allocation=proposal.allocation,
        facts={name: _plain(value) for name, value in proposal.facts.items()},
        short_trainings=proposal.short_trainings,
        epochs=trained.result.epoch,
        validation=trained.result.quality,
        ranked=ranked,
        seconds={"size": size + learn, "train": train, "test": test},
    )
    return result, trained.model


def _plain(value: float | str) -> float | str:
    """Without a type of numpy, which a checkpoint would refuse."""
    return value if isinstance(value, str) else float(value)
