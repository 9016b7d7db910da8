"""Axes that lose little when vectors are cut and rounded: all inner products stay as they are.

Scores are U V'. For any invertible A, the rows of U A and V A^-T have the same inner products. The
*principal* axes are those in which both sides have the same, diagonal sum of outer products, so
their first c columns are the best approximation of rank c of all scores (Eckart and Young, 1936).
In *rotated* ones the columns that are kept are mixed by a random rotation, which gives all of them
the same share of the length: then one step per row suits every number.
"""

from typing import Literal

import numpy as np

from bet.seeds import numpy_generator

Axes = Literal["given", "principal", "rotated"]


def principal_axes(of_users: np.ndarray, of_items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps (d, d) of users' and of items' rows to their principal columns, the largest first, from
    the sums of their outer products (d, d) float64.

    With users along the first axis and items along the second, nothing is left of the scores; here
    both sides are alike, and the larger axis comes first:

    >>> users, items = principal_axes(np.diag([1.0, 4.0]), np.diag([1.0, 4.0]))
    >>> np.abs(users).round(3).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    root_users, inverse_users = _roots(of_users)
    root_items, inverse_items = _roots(of_items)
    left, shared, right = np.linalg.svd(root_users @ root_items)
    scale = np.sqrt(shared)
    return inverse_users @ left * scale, inverse_items @ right.T * scale


def _roots(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The root of ``gram`` (d, d) and the inverse of that; directions that no row has are left
    out.
    """
    values, vectors = np.linalg.eigh(gram)
    is_used = values > values.max() * len(values) * np.finfo(np.float64).eps
    root = np.sqrt(np.where(is_used, values, 0))
    inverse = np.divide(1, root, where=is_used, out=np.zeros_like(root))
    return vectors * root @ vectors.T, vectors * inverse @ vectors.T


def random_rotation(columns: int, seed: int = 0) -> np.ndarray:
    """A rotation (columns, columns), uniform among all of them (Mezzadri, 2007).

    >>> rotation = random_rotation(3)
    >>> np.allclose(rotation @ rotation.T, np.eye(3))
    True
    """
    normal = numpy_generator(seed, "pack", "rotation").standard_normal((columns, columns))
    rotation, triangle = np.linalg.qr(normal)
    return rotation * np.sign(np.diag(triangle))


def maps_of(
    axes: Axes, columns: int, principal: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """What users' and items' rows are multiplied by, (d, columns) float32 each; None: by nothing.

    >>> maps_of("given", 2, principal=(np.eye(2), np.eye(2)))
    (None, None)
    """
    if axes == "given":
        return None, None
    rotation = random_rotation(columns) if axes == "rotated" else np.eye(columns)
    users, items = (side[:, :columns] @ rotation for side in principal)
    return users.astype(np.float32), items.astype(np.float32)
