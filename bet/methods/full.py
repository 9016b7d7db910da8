"""The full table without a budget: the ceiling that the paper leaves out."""

from bet.search import Outcome, Problem, pretrained


def full(problem: Problem) -> Outcome:
    """The pre-trained backbone itself: d_max columns for everybody, trained to convergence."""
    trained = pretrained(problem)
    return Outcome(trained, seconds={"pretrain": trained.result.seconds})
