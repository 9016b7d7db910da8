"""The vector of a new user or item: one solve of the equation that alternating least squares solves
for every one (Hu et al., ICDM 2008).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bet.errors import BetError
from bet.recommend.ranking import Histories


@dataclass(frozen=True)
class RowEquation:
    """(w0 V'V + sum_i v_i v_i' + ridge I) x = sum_i v_i over a user's items i, with ridge =
    l2 (|R| + w0 |V|)^exponent for |R| items, as ``AlsSettings`` names them. An item's vector solves
    the same over its users, with their vectors as V.

    relative: the ridge is times the mean square length of V's rows, so that the scale of vectors of
    which nobody said how they were fitted does not matter. The values were chosen on validation
    data (``python -m benchmarks.sweeps.new_users``).
    """

    unobserved_weight: float = 0.03
    l2: float = 0.5
    exponent: float = 0.5
    relative: bool = True


AT_ONCE = 2**14  # vectors that are held: a new item may have all users
FACTS = ("unobserved_weight", "l2", "exponent")


def equation_of(facts: Mapping[str, object], path: Path) -> RowEquation:
    """The equation by which the rows of the file at ``path`` were fitted, where its facts state all
    of it.

    Raises BetError where a fact is no finite number of at least 0.
    """
    stated = {name: facts[name] for name in FACTS if name in facts}
    numbers = {}
    for name, value in stated.items():
        if not isinstance(value, int | float) or not 0 <= value < np.inf:
            raise BetError(
                f"{path}: {name} = {value!r} is no number of at least 0; write the file again"
            )
        numbers[name] = float(value)
    complete = len(numbers) == len(FACTS)
    return RowEquation(relative=False, **numbers) if complete else RowEquation()


def solve_rows(
    equation: RowEquation,
    gram: np.ndarray,
    n_others: int,
    histories: Histories,
    vectors_of: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """The solutions (b, d) float32 for ``histories``, of users or of items; zero for an empty one.

    ``gram``: V'V (d, d) of all ``n_others`` vectors of the other side, of which ``vectors_of``
    gives those of numbers (n,) as (n, d).

    Items v = (1, 3) in one dimension, both seen: x = (1 + 3) / (0.5 * 10 + 1 + 9 + 1).

    >>> vectors = np.array([[1.0], [3.0]])
    >>> both = Histories(np.array([0, 2]), np.array([0, 1]))
    >>> equation = RowEquation(unobserved_weight=0.5, l2=1.0, exponent=0.0, relative=False)
    >>> solve_rows(equation, vectors.T @ vectors, 2, both, vectors.__getitem__).tolist()
    [[0.25]]
    """
    d, weight = len(gram), equation.unobserved_weight
    solutions = np.zeros((len(histories), d), dtype=np.float32)
    scale = float(np.trace(gram)) / max(1, n_others) if equation.relative else 1.0
    for row, size in enumerate(histories.sizes):
        if not size:
            continue
        ridge = equation.l2 * (size + weight * n_others) ** equation.exponent * scale
        left, right = weight * gram, np.zeros(d)
        left[np.diag_indices(d)] += ridge
        others = histories.part(row, row + 1).items
        for first in range(0, size, AT_ONCE):
            vectors = vectors_of(others[first : first + AT_ONCE]).astype(np.float64)  # (m, d)
            left += vectors.T @ vectors
            right += vectors.sum(0)
        try:
            solutions[row] = np.linalg.solve(left, right)
        except np.linalg.LinAlgError:  # without a ridge there are many solutions
            solutions[row] = np.linalg.lstsq(left, right, rcond=None)[0]
    return solutions
