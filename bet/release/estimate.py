"""How long a call will take, said before it starts: sizes times what a machine of 2024 needs."""

from bet.release.clock import Clock
from bet.release.task import Task

# Seconds on one core per interaction of the training data, the part of the time that rules take,
# and what a small data set takes anyway.
ALS_SECONDS, GRADIENT_SECONDS, RULE_SECONDS, LEAST_SECONDS = 6e-4, 2e-3, 0.1, 20.0


def expected_seconds(task: Task, clock: Clock) -> float:
    """Of the whole call; never more than the clock has."""
    k = task.data.train.nnz
    work = (ALS_SECONDS + GRADIENT_SECONDS) * k + RULE_SECONDS * 60 * task.minutes
    return min(clock.seconds, LEAST_SECONDS + work)


def expected_sentence(task: Task, clock: Clock) -> str:
    """For the command line, before anything is trained."""
    minutes = max(1, round(expected_seconds(task, clock) / 60))
    about = f"about {minutes} minute{'s' * (minutes > 1)}"
    return (
        f"{task.interactions!r}, {task.limit:,} bytes to serve: {about}, at most "
        f"{clock.seconds / 60:g} (--minutes)"
    )
