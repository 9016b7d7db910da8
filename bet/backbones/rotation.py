"""Columns turned so that the first ones say most: a prefix of them is the best there is."""

import torch
from torch import Tensor


def rotate_rows(ego: Tensor, final: Tensor, n_users: int) -> Tensor:
    """The rows ``ego`` (n, d) turned to the principal axes of the ``final`` vectors (n, d), users
    first, that come of them without mixing columns.
    """
    return ego @ principal_rotation(final[:n_users], final[n_users:])


def principal_rotation(users: Tensor, items: Tensor) -> Tensor:
    """The rotation (d, d) to the principal axes of final vectors ``users`` (|U|, d) and ``items``
    (|V|, d) together, the largest first; both sides have the same weight.

    Inner products stay as they are: U Q Q' V' = U V'.

    >>> turned = principal_rotation(torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 4.0]]))
    >>> (torch.tensor([[1.0, 2.0]]) @ turned).abs().round(decimals=3)  # 5 ** 0.5
    tensor([[2.2360, 0.0000]])
    """
    gram = torch.zeros(users.shape[1], users.shape[1], dtype=torch.float64, device=users.device)
    for side in (users.double(), items.double()):
        of_side = side.T @ side  # (d, d)
        gram += of_side / of_side.trace().clamp_min(torch.finfo(torch.float64).tiny)
    _, axes = torch.linalg.eigh(gram)  # the smallest first
    return axes.flip(1).to(users.dtype)


def principal_projection(rows: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """``rows`` (m, d) and ``weight`` (h, d), h >= d, of a layer, changed so that rows @ weight.T
    stays what it is and its best approximation by k columns is in the first k: the layer's
    outputs by their right singular vectors.

    >>> rows, weight = torch.tensor([[3.0, 1.0]]), torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    >>> turned, other = principal_projection(rows, weight)
    >>> torch.allclose(turned @ other.T, rows @ weight.T), abs(float(turned[0, 1])) < 1e-5
    (True, True)
    """
    weight64 = weight.double()
    gram = rows.double().T @ rows.double()  # (d, d)
    _, vectors = torch.linalg.eigh(weight64 @ gram @ weight64.T)  # of the outputs' gram: (h, h)
    basis = vectors.flip(1)[:, : weight.shape[1]]  # (h, d), all directions that outputs have
    return (rows.double() @ (weight64.T @ basis)).to(rows.dtype), basis.to(weight.dtype)
