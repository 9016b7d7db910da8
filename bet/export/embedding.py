"""A drop-in for a frozen ``torch.nn.Embedding`` whose rows stay packed in memory."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bet.export.stored import SideName, StoredRows, open_packed, stored_rows
from bet.packed.levels import levels_of


class PackedEmbedding(nn.Module):
    """``weight[indices]`` of a side of a packed file, decoded as it is asked for; nothing is
    trained.

    Rows are buffers: ``to`` and ``state_dict`` work as for any module. Numbers beyond a row's size
    are zero.

    >>> layout = layout_of(np.full(3, 2), 32, n_users=2)
    >>> values = np.array([[[1, 2]], [[3, 4]], [[5, 6]]], dtype=np.float32)
    >>> written = write_packed(folder / "t", layout, values)
    >>> users = PackedEmbedding.users(folder / "t")
    >>> users.num_embeddings, users.embedding_dim, users(torch.tensor([[1, 0]])).tolist()
    (2, 2, [[[3.0, 4.0], [1.0, 2.0]]])
    """

    ends: Tensor  # (groups,) number of the row behind each group's last, where they stand in order
    kinds: Tensor  # (n,) group of every row, and
    places: Tensor  # (n,) its place there, where they do not

    def __init__(self, groups: list[StoredRows], n: int, width: int):
        """``groups``: all rows of a side, ``n``, of at most ``width`` numbers."""
        super().__init__()
        self.num_embeddings, self.embedding_dim = n, width
        self.bits = sorted({rows.bits for rows in groups})
        self.groups = nn.ModuleList(_Group(rows) for rows in groups)
        in_order = all(rows.numbers is None for rows in groups)
        ends = np.cumsum([len(rows) for rows in groups]) if in_order else np.zeros(0, np.int64)
        self.register_buffer("ends", torch.from_numpy(ends.astype(np.int64)))
        # Only rows that stand in any order need to be found one by one.
        number = np.uint8 if len(groups) <= 256 else np.int32
        kinds, places = (np.zeros(0 if in_order else n, dtype) for dtype in (number, np.int32))
        for i, rows in enumerate([] if in_order else groups):
            here = slice(rows.first, rows.first + len(rows))
            members = here if rows.numbers is None else rows.numbers
            kinds[members], places[members] = i, np.arange(len(rows))
        self.register_buffer("kinds", torch.from_numpy(kinds))
        self.register_buffer("places", torch.from_numpy(places))

    @classmethod
    def users(cls, path: Path | str) -> "PackedEmbedding":
        """The users' rows of the file at ``path``.

        Raises BetError where it has no packed rows, and where others are scored: for a graph model,
        whose final vectors ``bet export --to npy`` writes, and for a blend.
        """
        return cls._of(path, "users")

    @classmethod
    def items(cls, path: Path | str) -> "PackedEmbedding":
        """The items' rows, item 0 first; as ``users``."""
        return cls._of(path, "items")

    @classmethod
    def _of(cls, path: Path | str, side: SideName) -> "PackedEmbedding":
        table = open_packed(path)
        n = table.n_users if side == "users" else table.n_items
        return cls(stored_rows(table, side), n, table.width)

    def forward(self, indices: Tensor) -> Tensor:
        """Rows ``indices``, of any shape, int32 or int64: (..., embedding_dim) float32.

        Raises as ``nn.Embedding``: IndexError for a row that does not exist, RuntimeError for
        numbers of another type.
        """
        if indices.dtype not in (torch.int32, torch.int64):
            raise RuntimeError(f"indices are int32 or int64, got {indices.dtype}; convert them")
        flat = indices.reshape(-1).long()
        if len(flat) and not 0 <= int(flat.min()) <= int(flat.max()) < self.num_embeddings:
            raise IndexError(f"index out of range: there are {self.num_embeddings} rows")
        out = self._decode(flat)
        return out.reshape(*indices.shape, self.embedding_dim)

    def _decode(self, flat: Tensor) -> Tensor:
        if len(self.groups) == 1:
            return self._padded(self.groups[0](flat))
        if len(self.ends):
            kinds = torch.bucketize(flat, self.ends, right=True)
            starts = F.pad(self.ends, (1, 0))
            places = flat - starts[kinds]
        else:
            kinds, places = self.kinds[flat], self.places[flat].long()
        out = torch.zeros(len(flat), self.embedding_dim, device=flat.device)
        for number, group in enumerate(self.groups):
            chosen = (kinds == number).nonzero()[:, 0]
            if len(chosen):
                out[chosen] = self._padded(group(places[chosen])).to(out.dtype)
        return out

    def _padded(self, rows: Tensor) -> Tensor:
        return F.pad(rows, (0, self.embedding_dim - rows.shape[1]))

    def dense(self) -> nn.Embedding:
        """All rows in a frozen ``nn.Embedding``, float32."""
        rows = self(torch.arange(self.num_embeddings, device=self.ends.device))
        return nn.Embedding.from_pretrained(rows, freeze=True)

    def extra_repr(self) -> str:
        """Rows, numbers, and bits of each."""
        return f"{self.num_embeddings}, {self.embedding_dim}, bits={self.bits}"


class _Group(nn.Module):
    """Rows of one kind."""

    content: Tensor  # (m, bytes) uint8, or (m, size) float16 or float32
    steps: Tensor  # (m,) float16
    levels: Tensor  # (256, numbers in a byte) float32, in steps

    def __init__(self, rows: StoredRows):
        super().__init__()
        self.size, self.bits = rows.size, rows.bits
        content = np.array(rows.content)  # a copy: the file may go
        if rows.bits > 8:
            content = content.view("<f4" if rows.bits == 32 else "<f2")
            levels = np.zeros((0, 1), np.float32)
        else:
            levels = levels_of(np.arange(256, dtype=np.uint8)[:, None], rows.bits)
        self.register_buffer("content", torch.from_numpy(content.reshape(len(rows), -1)))
        self.register_buffer("steps", torch.from_numpy(np.array(rows.steps)))
        self.register_buffer("levels", torch.from_numpy(levels), persistent=False)

    def forward(self, places: Tensor) -> Tensor:
        """Rows ``places`` (k,) int64 of the group: (k, size) float32."""
        stored = self.content[places]
        if not self.size or self.bits > 8:
            return stored.float()
        numbers = F.embedding(stored.int(), self.levels).flatten(1)[:, : self.size]
        return numbers * self.steps[places].float()[:, None]
