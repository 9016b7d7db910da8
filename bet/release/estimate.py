"""How long a call will take, said before it starts: sizes times what a machine of 2024 needs."""

from bet.release.clock import Clock
from bet.release.task import Task

# Seconds on one core: of all trainings by least squares and by gradients per interaction of the
# training data, of all looks at rules per interaction and user that selects, and of a small data
# set, which compiling takes.
ALS_SECONDS, GRADIENT_SECONDS, RULE_SECONDS, LEAST_SECONDS = 6e-4, 2e-3, 6e-8, 20.0


def expected_seconds(task: Task, clock: Clock) -> float:
    """Of the whole call; never more than the clock has."""
    k = task.data.train.nnz
    users = task.validation_share * task.data.n_users
    work = (ALS_SECONDS + GRADIENT_SECONDS) * k + RULE_SECONDS * users * k
    return min(clock.seconds, LEAST_SECONDS + work)


def expected_sentence(task: Task, clock: Clock) -> str:
    """For the command line, before anything is trained."""
    minutes = min(max(1, round(expected_seconds(task, clock) / 60)), clock.seconds / 60)
    about = f"about {minutes:g} minute{'s' * (minutes != 1)}"
    return (
        f"{task.interactions!r}, {task.limit:,} bytes to serve: {about}, at most "
        f"{clock.seconds / 60:g} (--minutes)"
    )
