"""What methods that learn codes share: filling a number of bytes, and the choice among widths of
the subspaces.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from bet.data import FrequencyOrder
from bet.errors import BetError
from bet.methods._shared.kmeans import kmeans
from bet.packed import CodebookLayout
from bet.packed.codebook import MOST_BITS
from bet.search import (
    Effort,
    MethodResult,
    Refitted,
    SearchContext,
    StageSeconds,
    cached,
    load_or_pretrain,
    train_from_scratch,
)
from bet.tables import CodebookSpec

WIDTHS = (4, 8, 2, 16, 32, 1)  # columns of a subspace, in the order they are tried

Learner = Callable[[SearchContext, CodebookLayout, Tensor], dict[str, Any]]
"""Codes for the coded entities of a layout, from the rows (n, columns) of the pre-trained table in
the file's order.

{"codes": (coded, subspaces) int16, "start": what the stored rows start from, (rows, columns)
float32, or None, "facts": numbers for the record}.
"""


def train_codebooks(
    context: SearchContext, name: str, learn: Learner, settings: tuple
) -> MethodResult:
    """Learn codes for up to ``search.top`` widths of subspaces, train the numbers through each,
    keep the best on validation.

    ``settings``: constants that the codes depend on. Raises BetError, with the smallest file, where
    no width fits.
    """
    layouts = _layouts(context)
    full = load_or_pretrain(context)

    def coded_by(context: SearchContext, layout: CodebookLayout) -> tuple[SearchContext, dict]:
        """The context of a table of codes of the full one, and what came of learning them."""
        order, full = context.data.order.entities, load_or_pretrain(context).model
        with torch.no_grad():
            rows = full.table().cpu()[torch.from_numpy(order)]  # (n, columns), as in the file
        # Codes and shared rows are bounded by bytes, not by columns.
        whole, label = context.without_budget(), f"{name}-{layout.subspaces}-codes"
        learned = cached(whole, label, learn, layout, rows, settings=(layout, *settings))
        start = learned["start"]
        start = None if start is None else start.numpy()
        spec = CodebookSpec(layout, learned["codes"].numpy(), order, start)
        return replace(whole, table_spec=spec), learned

    results, trials, searched = [], [], 0.0
    for layout in layouts:
        coded, learned = coded_by(context, layout)
        trained = train_from_scratch(coded, coded.full_allocation, f"{name}-{layout.subspaces}")
        results.append((trained, coded))
        searched += learned["seconds"]
        trials.append(
            {
                "parts": layout.subspaces,
                "code_bits": layout.code_bits,
                "own_rows": sum(layout.uncompressed),
                **learned["facts"],
                "quality": trained.result.quality,
                "epochs": trained.result.epoch,
            }
        )
    best, best_context = max(results, key=lambda pair: pair[0].result.quality)

    def fit_again(interactions: csr_array, what: str) -> Refitted:
        """Codes of the full table of these interactions, in the same layout."""
        assert isinstance(best_context.table_spec, CodebookSpec)
        coded, _ = coded_by(context.fitted_to(interactions), best_context.table_spec.layout)
        again = train_from_scratch(coded, coded.full_allocation, f"refit on {what}", best.result)
        return Refitted(again.model, Effort(trainings=1))

    return MethodResult(
        best,
        best_context,
        StageSeconds(
            pretrain=full.result.seconds,
            search=searched,
            retrain=sum(trained.result.seconds for trained, _ in results),
        ),
        Effort(trainings=len(results)),
        trials=tuple(trials),
        refit=fit_again,
    )


def _layouts(context: SearchContext) -> list[CodebookLayout]:
    """The different layouts that fill the limit in bytes, as many as may be retrained."""
    limit, budget = context.byte_limit, context.budget
    if limit is None:
        raise BetError("a table of codes needs a budget; give a sparsity, parameters or bytes")
    columns = budget.d_max * budget.copies
    subspaces = [columns // width for width in WIDTHS if columns % width == 0]
    filling = (fill_budget(context, limit, count) for count in subspaces)
    # With room for everybody's row every width ends in the same layout, without codes.
    layouts = list(dict.fromkeys(layout for layout in filling if layout is not None))
    if not layouts:
        smallest = min(_layout(context, count, 1, 0, 0).file_bytes for count in subspaces)
        raise BetError(
            f"a budget of {limit:,} bytes is below the smallest file of a table of codes, "
            f"{smallest:,} bytes; raise the budget"
        )
    return layouts[: context.settings.search.top]


def split_sides(layout: CodebookLayout, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
    """``rows`` (n, columns), in the file's order, by side: those that are stored uncompressed and
    those that are coded.
    """
    sides = rows.split([layout.users, layout.items])
    return [(side[:k], side[k:]) for side, k in zip(sides, layout.uncompressed, strict=True)]


def cluster_subspaces(
    rows: Tensor, weights: Tensor, k: int, subspaces: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """k-means in every subspace of ``rows`` (n, columns): centroids (k, columns) and codes (n,
    subspaces) int16.
    """
    if not k:
        return torch.empty(0, rows.shape[1]), torch.empty(0, subspaces, dtype=torch.int16)
    centroids, codes = [], []
    for part in rows.chunk(subspaces, dim=1):  # (n, width)
        part_centroids, part_codes = kmeans(part.contiguous(), weights, k, generator)
        centroids.append(part_centroids)  # (k, width)
        codes.append(part_codes)  # (n,)
    return torch.cat(centroids, 1), torch.stack(codes, 1).short()


def decode(centroids: Tensor, codes: Tensor) -> Tensor:
    """Rows put together from ``centroids`` (k, columns) by ``codes`` (n, subspaces): (n,
    columns).
    """
    parts = centroids.chunk(codes.shape[1], dim=1)  # (k, width) each
    return torch.cat([part[code.long()] for part, code in zip(parts, codes.T, strict=True)], 1)


def fill_budget(context: SearchContext, limit: int, subspaces: int) -> CodebookLayout | None:
    """The layout of ``subspaces`` that fills ``limit`` bytes: codes of as many bits as fit, then
    uncompressed rows for the most frequent entities.

    What is left is less than such a row and the eight bytes that the header is padded to, unless
    everybody has one. None where codes of one bit do not fit. Only numbers are read of ``context``:
    ``budget``, ``data.n_users`` and, for ties, ``data.order``.
    """
    n_users = context.data.n_users
    uncompressed = _layout(context, 1, 1, n_users, context.budget.n - n_users)
    if uncompressed.file_bytes <= limit:
        return uncompressed
    # More centroids than rows are of no use.
    useful = max(1, max(uncompressed.users, uncompressed.items) - 1).bit_length()
    make = partial(_layout, context, subspaces)
    fitting = [
        bits
        for bits in range(1, min(MOST_BITS, useful) + 1)
        if make(bits, 0, 0).file_bytes <= limit
    ]
    if not fitting:
        return None
    # An uncompressed row costs more than the codes it replaces, but the last few replace a centroid
    # each; the file is longest in between, so all counts are tried from above.
    bits, users = fitting[-1], _users_among_frequent(context.data.order)
    payload = _payload(make(bits, 0, 0), users)
    for count in np.flatnonzero(payload <= limit)[::-1]:
        layout = make(bits, int(users[count]), int(count - users[count]))
        if layout.file_bytes <= limit:
            return layout
    raise AssertionError("without uncompressed rows the file fits already")


def _layout(
    context: SearchContext, subspaces: int, bits: int, user_rows: int, item_rows: int
) -> CodebookLayout:
    """The layout with so many uncompressed ``user_rows`` and ``item_rows``."""
    budget, users = context.budget, context.data.n_users
    return CodebookLayout(
        columns=budget.d_max * budget.copies,
        copies=budget.copies,
        subspaces=subspaces,
        code_bits=bits,
        users=users,
        items=budget.n - users,
        user_uncompressed=user_rows,
        item_uncompressed=item_rows,
    )


def _users_among_frequent(order: FrequencyOrder) -> np.ndarray:
    """Users among the 0, 1, ..., n most frequent entities, (n + 1,); users first among equals."""
    return np.concatenate([[0], np.cumsum(order.by_frequency < order.n_users)])


def _payload(layout: CodebookLayout, users: np.ndarray) -> np.ndarray:
    """Bytes without the header with 0, 1, ..., n uncompressed rows, ``users`` (n + 1,) of them
    users': (n + 1,).
    """
    total = np.zeros(len(users), dtype=np.int64)
    for n, uncompressed in ((layout.users, users), (layout.items, np.arange(len(users)) - users)):
        coded = n - uncompressed
        stored = uncompressed + np.minimum(2**layout.code_bits, coded)  # rows and centroids
        total += (
            2 * layout.columns * stored + (coded * layout.subspaces * layout.code_bits + 7) // 8
        )
    return total
