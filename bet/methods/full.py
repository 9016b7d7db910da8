"""The full table without a budget: the ceiling that the paper leaves out."""

import time

from bet.search import Outcome, Problem, pretrained


def full(problem: Problem) -> Outcome:
    """The pre-trained backbone itself: d_max columns for everybody, trained to convergence."""
    started = time.perf_counter()
    trained = pretrained(problem)
    return Outcome(trained, seconds={"pretrain": time.perf_counter() - started})
