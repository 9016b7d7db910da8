"""Rows that entities share by hashing: nothing is stored per entity, so the file can be as small as
one likes.
"""

import zlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bet.actions import Allocation
from bet.packed import header_bytes, metadata_for, read_safetensors, write_safetensors
from bet.tables.base import Table


@dataclass(frozen=True)
class HashedSpec:
    """``rows`` token rows of ``size`` columns, of which ``user_rows`` are the users'; every entity
    is the sum of ``k`` of its side.

    ``weights``: scalars, of which ``k_weights`` are summed to scale the entity's row (MEM-REC); 0:
    none. ``seed``: of all hashes.
    """

    size: int
    rows: int
    user_rows: int
    weights: int
    k: int
    k_weights: int
    n_users: int
    seed: int

    @property
    def bits(self) -> int:
        """Per number."""
        return 32

    def table(self, allocation: Allocation, **options) -> "HashedTable":
        """A table of these hashes; ``size`` columns for everybody."""
        return HashedTable(allocation, hashing=self, **options)

    @property
    def metadata(self) -> dict[str, str]:
        return metadata_for("hashed", vars(self))

    def file_bytes(self, copies: int) -> int:
        """Length of the file."""
        tensors = self._tensors(copies)
        return header_bytes(tensors, self.metadata) + 4 * sum(
            int(np.prod(shape)) for _, shape in tensors.values()
        )

    def _tensors(self, copies: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        found: dict[str, tuple[str, tuple[int, ...]]] = {
            "tokens": ("F32", (self.rows, copies * self.size))
        }
        return found | ({"weights": ("F32", (self.weights,))} if self.weights else {})

    def places(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Token rows (n, k) and weights (n, k_weights) of every entity, computed from its number;
        int64.
        """
        ids = np.arange(n, dtype=np.uint64)
        user = (np.arange(n) < self.n_users)[:, None]
        tokens = np.stack([_mix(ids, self.seed, "token", j) for j in range(self.k)], 1)
        own, others = max(1, self.user_rows), max(1, self.rows - self.user_rows)
        tokens = np.where(
            user, tokens % np.uint64(own), self.user_rows + tokens % np.uint64(others)
        )
        scales = [
            _mix(ids, self.seed, "weight", j) % np.uint64(max(1, self.weights))
            for j in range(self.k_weights)
        ]
        return tokens.astype(np.int64), np.stack(scales, 1).astype(
            np.int64
        ) if scales else np.zeros((n, 0), np.int64)


def _mix(ids: np.ndarray, seed: int, name: str, j: int) -> np.ndarray:
    """64 well-mixed bits of every id (the finalizer of MurmurHash3), another family for every name
    and j.
    """
    salt = zlib.crc32(f"{name} {j}".encode()) | (seed & 0xFFFFFFFF) << 32
    with np.errstate(over="ignore"):
        x = (ids + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(salt)
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            x = (x ^ x >> np.uint64(33)) * np.uint64(factor)
        return x ^ x >> np.uint64(33)


class HashedTable(Table):
    """z(x) = alpha(x) * sum_j M[h_j(x)], alpha(x) = sum_j v[g_j(x)] (MEM-REC, arXiv 2305.07205);
    without v the sum alone.
    """

    places: Tensor
    scales: Tensor

    def __init__(
        self,
        allocation: Allocation,
        *,
        d_max: int,
        copies: int,
        hashing: HashedSpec,
        std: float = 0.0,
        generator: torch.Generator | None = None,
    ):
        """``allocation``: ``hashing.size`` columns for everybody. Sums of token rows start as
        N(0, std^2).
        """
        super().__init__()
        self.n, self.copies, self.d_max, self.hashing = len(allocation), copies, d_max, hashing
        shape = (hashing.rows, copies * hashing.size)
        self.tokens = nn.Parameter(
            torch.empty(shape).normal_(0.0, std / hashing.k**0.5, generator=generator)
        )
        if hashing.weights:
            self.weights = nn.Parameter(
                torch.full((hashing.weights,), 1.0 / max(1, hashing.k_weights))
            )
        places, scales = hashing.places(self.n)
        self.register_buffer("places", torch.from_numpy(places), persistent=False)
        self.register_buffer("scales", torch.from_numpy(scales), persistent=False)

    @property
    def sizes(self) -> np.ndarray:
        return np.full(self.n, self.hashing.size, dtype=np.int16)

    @property
    def allocation(self) -> Allocation:
        return Allocation.uniform(self.n, self.hashing.size)

    @property
    def description(self) -> str:
        return repr(self.hashing)

    def forward(self) -> Tensor:
        ego = nn.functional.embedding_bag(self.places, self.tokens, mode="sum")
        return ego * self.weights[self.scales].sum(1, keepdim=True) if self.hashing.weights else ego

    def n_parameters(self) -> int:
        return self.tokens.numel() + self.hashing.weights

    def n_bytes(self) -> int:
        return self.hashing.file_bytes(self.copies)

    def save(self, path: Path) -> None:
        """Write a safetensors file of tokens and weights; hashes are computed from entity numbers
        and the seed in its metadata.
        """
        tensors = {"tokens": self.tokens} | (
            {"weights": self.weights} if self.hashing.weights else {}
        )
        typed = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        write_safetensors(path, typed, self.hashing.metadata)

    @classmethod
    def load(cls, path: Path, n: int, d_max: int) -> "HashedTable":
        """Read what ``save`` wrote for ``n`` entities; raises BetError when it is missing, damaged
        or something else.
        """

        def make(facts: dict[str, int], tensors: dict[str, np.ndarray]) -> "HashedTable":
            hashing = HashedSpec(**{field.name: facts[field.name] for field in fields(HashedSpec)})
            copies = tensors["tokens"].shape[1] // hashing.size
            table = hashing.table(Allocation.uniform(n, hashing.size), d_max=d_max, copies=copies)
            table.load_state_dict(
                {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
            )
            return table

        return read_safetensors(path, "hashed", make)
