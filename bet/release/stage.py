"""A part of the time in which candidates are trained, one after the other."""

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf

from bet.progress import announce
from bet.release.candidates import Candidate
from bet.release.clock import OutOfTime
from bet.release.families import BLENDS, training_facts
from bet.release.result import Measured
from bet.search import MethodResult
from bet.training import load_state, save_state

Moves = Callable[[Candidate], Iterable[Candidate | None]]
"""Candidates to try beside the best one so far; None does not fit."""


@dataclass(frozen=True, eq=False)
class Tried:
    """A candidate, the model that came out, the row that it has in the report, and what its fit to
    all interactions takes, about.
    """

    candidate: Candidate
    outcome: MethodResult
    measured: Measured
    refit_seconds: float

    @property
    def quality(self) -> float:
        return self.measured.quality


@dataclass(eq=False)
class Stage:
    """``ends``: a time of ``time.monotonic``. ``measured`` and ``left_out`` are added to: what was
    trained, and the names of what there was no time for.

    ``latest``: when everything that is trained must also have been fitted to all interactions;
    ``of_parts``: seconds that this takes for the parts of a blend.
    """

    ends: float
    measured: list[Measured]
    left_out: list[str]
    latest: float = inf
    of_parts: float = 0.0
    slowest: float = 0.0  # seconds of a training so far
    _known: set[str] = field(default_factory=set)  # keys of candidates

    def has_trained(self, candidate: Candidate) -> bool:
        return candidate.key in self._known

    def best_of(
        self, candidates: Iterable[Candidate | None], best: Tried | None = None
    ) -> Tried | None:
        """The best on validation of ``best`` and ``candidates``, the earlier among equals.

        Only the best stays in memory and on disk. No candidate is trained twice, or begun when one
        that takes as long as the longest so far would not end in time, its fit to all interactions
        included.
        """
        for candidate in candidates:
            if candidate is None or candidate.key in self._known:
                continue
            tried = self._try(candidate, best)
            if tried is None:
                continue
            if best is None or tried.quality > best.quality:
                best, tried = tried, best
            if tried is not None:
                _forget(tried.candidate)
        return best

    def climb(self, start: Iterable[Candidate | None], moves: Iterable[Moves]) -> Tried | None:
        """The best of ``start``; then of what each of ``moves`` makes of the best so far."""
        best = self.best_of(start)
        for move in moves:
            if best is None:
                return None
            best = self.best_of(move(best.candidate), best)
        return best

    def training_ends(self, candidate: Candidate, started: float) -> float:
        """When a training that begins at ``started`` must end, so that the fit to all interactions,
        which takes ``growth`` times as long, can follow.
        """
        if candidate.family in BLENDS:
            return min(self.ends, self.latest - self.of_parts)
        times = candidate.growth
        return min(self.ends, (self.latest + times * started) / (1 + times))

    def _try(self, candidate: Candidate, best: Tried | None) -> Tried | None:
        """None where it is not finished, or known from an interrupted call to be no better."""
        started = time.monotonic()
        ends = self.training_ends(candidate, started)
        if started + self.slowest > ends:
            self._leave_out(candidate)
            return None
        path = candidate.context.workspace.folder / f"{candidate.key}.outcome"
        earlier = load_state(path, candidate.key)
        if earlier and best and earlier["quality"] <= best.quality:
            self._note(candidate, Measured(**earlier))
            return None
        try:
            outcome = candidate.train(ends)
        except OutOfTime:
            self._leave_out(candidate)
            return None
        seconds = earlier["seconds"] if earlier else time.monotonic() - started
        measured = measure(candidate, outcome, seconds)
        save_state(path, candidate.key, {**vars(measured), "settings": dict(measured.settings)})
        self._note(candidate, measured)
        again = outcome.seconds.search or 0.0  # a rule's numbers are chosen again
        refit_seconds = candidate.growth * (again + training_seconds(outcome))
        if candidate.family in BLENDS:
            refit_seconds = self.of_parts
        return Tried(candidate, outcome, measured, refit_seconds)

    def _note(self, candidate: Candidate, measured: Measured) -> None:
        self._known.add(candidate.key)
        self.measured.append(measured)
        self.slowest = max(self.slowest, measured.seconds)
        if candidate.context.workspace.progress:
            announce(f"{measured.name}: quality {measured.quality:.4f}, {measured.seconds:.1f} s")

    def _leave_out(self, candidate: Candidate) -> None:
        if candidate.name not in self.left_out:
            self.left_out.append(candidate.name)
        _forget(candidate)


def training_seconds(outcome: MethodResult) -> float:
    """Of the training that led to ``outcome``, without its looks at validation."""
    return outcome.trained.result.seconds - outcome.trained.result.evaluating


def measure(candidate: Candidate, outcome: MethodResult, seconds: float) -> Measured:
    """The row of ``candidate`` in the report."""
    trained, table = outcome.trained, outcome.trained.model.table
    facts = {**trained.model.facts, **training_facts(candidate.settings)}
    if candidate.family.has_table:
        facts["epochs"] = trained.result.epoch
    return Measured(
        name=candidate.name,
        family=candidate.family.name,
        bits=candidate.bits,
        history=candidate.history,
        n_bytes=candidate.trained_bytes(table.n_bytes()),
        columns=table.n_parameters() / table.n,
        quality=trained.result.quality,
        seconds=seconds,
        settings=facts,
    )


def _forget(candidate: Candidate) -> None:
    """Remove its files; those of the filter are for blends, too."""
    if candidate.folder.parent == candidate.context.workspace.folder:
        shutil.rmtree(candidate.folder, ignore_errors=True)
