"""Columns turned so that the first ones say most, of which a prefix is the best there is, or so
that every row has few large numbers.
"""

import torch
from torch import Tensor

STEPS = 100  # of the search for sparse axes, which hardly move after half of them


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


def sparse_rotation(rows: Tensor) -> Tensor:
    """The rotation (d, d) to axes on which ``rows`` (n, d), each scaled to length 1, are sparse:
    the sum of their fourth powers is a maximum, which alternating steps reach from the axes as
    they are (matching, stretching and projection; Zhai et al., JMLR 2020).

    >>> rows = torch.tensor([[2.0, 1.0], [-1.0, 2.0]])
    >>> (rows @ sparse_rotation(rows)).round(decimals=3)  # 5 ** 0.5
    tensor([[2.2360, 0.0000],
            [0.0000, 2.2360]])
    """
    lengths = rows.norm(dim=1, keepdim=True)  # (n, 1)
    unit = rows / lengths.clamp_min(torch.finfo(rows.dtype).tiny)
    axes = torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
    for _ in range(STEPS):
        left, _, right = torch.linalg.svd(unit.T @ (unit @ axes) ** 3)
        axes = left @ right
    return axes


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
