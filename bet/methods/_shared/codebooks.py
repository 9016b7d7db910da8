"""What methods that learn codes share: filling a number of bytes, and the choice among widths of
the sub-spaces.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bet.errors import BetError
from bet.methods._shared.kmeans import kmeans
from bet.packed import CodebookLayout
from bet.packed.codebook import MOST_BITS
from bet.search import (
    Effort,
    MethodResult,
    SearchContext,
    StageSeconds,
    cached,
    load_or_pretrain,
    train_from_scratch,
)
from bet.tables import CodebookSpec

WIDTHS = (4, 8, 2, 16, 32, 1)  # columns of a sub-space, in the order they are tried

Learner = Callable[[SearchContext, CodebookLayout, Tensor], dict[str, Any]]
"""Codes for the coded entities of a form, from the rows (n, columns) of the pre-trained table in
the file's order.

{"codes": (coded, parts) int16, "start": (form.stored_rows, columns) float32 or None, "facts": plain
numbers for the record}.
"""


def best_coding(context: SearchContext, name: str, learn: Learner, settings: tuple) -> MethodResult:
    """Learn codes for up to ``search.top`` widths of sub-spaces, train the numbers through each,
    keep the best on validation.

    ``settings``: constants that the codes depend on. Raises BetError, with the smallest file, where
    no width fits.
    """
    limit, whole = context.byte_limit, context.without_budget()
    if limit is None:
        raise BetError("a table of codes needs a budget; give a sparsity, parameters or bytes")
    columns = context.budget.d_max * context.budget.copies
    possible = (
        filled(context, limit, columns // width) for width in WIDTHS if columns % width == 0
    )
    forms = list(dict.fromkeys(form for form in possible if form is not None))[
        : context.settings.search.top
    ]
    if not forms:
        smallest = min(
            _form(context, columns // width, 1, 0, 0).file_bytes
            for width in WIDTHS
            if columns % width == 0
        )
        raise BetError(
            f"a budget of {limit:,} bytes is below the smallest file of a table of codes, {smallest:,} bytes; raise the budget"
        )
    full = load_or_pretrain(context)
    order = context.data.order.entities
    with torch.no_grad():
        rows = full.model.table().cpu()[torch.from_numpy(order)]
    results, trials, searched = [], [], 0.0
    for form in forms:
        what = f"{name}-{form.subspaces}"
        learned = cached(whole, f"{what}-codes", learn, form, rows, settings=(form, *settings))
        start = learned["start"]
        spec = CodebookSpec(
            form, learned["codes"].numpy(), order, None if start is None else start.numpy()
        )
        coded = replace(whole, table_spec=spec)
        trained = train_from_scratch(coded, coded.full_allocation, what)
        results.append((trained, coded))
        searched += learned["seconds"]
        trials.append(
            {
                "parts": form.subspaces,
                "code_bits": form.code_bits,
                "own_rows": sum(form.uncompressed),
                **learned["facts"],
                "quality": trained.result.quality,
                "epochs": trained.result.epoch,
            }
        )
    best, best_context = max(results, key=lambda pair: pair[0].result.quality)
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
    )


def sides(form: CodebookLayout, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Of users and of items the ``rows`` (n, columns), in the file's order, that stand by
    themselves and those that are coded.
    """
    whole = rows.split([form.users, form.items])
    return [(side[:own], side[own:]) for side, own in zip(whole, form.uncompressed, strict=True)]


def cluster_subspaces(
    rows: Tensor, weights: Tensor, k: int, parts: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """k-means in every sub-space of ``rows`` (n, columns): centroids (k, columns) and codes (n,
    parts) int16.
    """
    if not k:
        return torch.empty(0, rows.shape[1]), torch.empty(0, parts, dtype=torch.int16)
    found = [kmeans(part.contiguous(), weights, k, generator) for part in rows.chunk(parts, dim=1)]
    return torch.cat([centroids for centroids, _ in found], 1), torch.stack(
        [codes for _, codes in found], 1
    ).short()


def decoded(centroids: Tensor, codes: Tensor) -> Tensor:
    """Rows put together from ``centroids`` (k, columns) by ``codes`` (n, parts): (n, columns)."""
    parts = codes.shape[1]
    return torch.cat(
        [
            part[own.long()]
            for part, own in zip(centroids.chunk(parts, dim=1), codes.T, strict=True)
        ],
        1,
    )


def filled(context: SearchContext, limit: int, parts: int) -> CodebookLayout | None:
    """The form of ``parts`` sub-spaces that fills ``limit`` bytes: codes of as many bits as fit,
    then rows of their own.

    What is left is less than such a row and the eight bytes that the header is padded to, unless
    everybody has one. None where codes of one bit do not fit. Only numbers are read of ``context``:
    ``budget``, ``n_users`` and, for ties, ``order``.
    """
    everybody = _form(context, 1, 1, context.data.n_users, context.budget.n - context.data.n_users)
    if everybody.file_bytes <= limit:
        return everybody
    useful = max(
        1, max(everybody.users, everybody.items) - 1
    ).bit_length()  # more centroids than rows are of no use
    fitting = [
        bits
        for bits in range(1, min(MOST_BITS, useful) + 1)
        if _form(context, parts, bits, 0, 0).file_bytes <= limit
    ]
    if not fitting:
        return None
    users = _own_users(context)
    # Own rows cost more than the codes they replace, but the last ones replace a centroid each; the
    # file is longest in between.
    make = partial(_form, context, parts, fitting[-1])
    payload = _payload(make(0, 0), users)
    for own in np.flatnonzero(payload <= limit)[::-1]:
        form = make(int(users[own]), int(own - users[own]))
        if form.file_bytes <= limit:
            return form
    raise AssertionError("no own rows fit already")


def _form(
    context: SearchContext, parts: int, bits: int, user_uncompressed: int, item_uncompressed: int
) -> CodebookLayout:
    budget = context.budget
    users, items = context.data.n_users, budget.n - context.data.n_users
    return CodebookLayout(
        budget.d_max * budget.copies,
        budget.copies,
        parts,
        bits,
        users,
        items,
        user_uncompressed,
        item_uncompressed,
    )


def _own_users(context: SearchContext) -> np.ndarray:
    """Users among the 0, 1, ..., n most frequent entities, (n + 1,); among equals users come first."""
    order = context.data.order
    frequency = np.concatenate(
        [np.sort(order.user_frequency)[::-1], np.sort(order.item_frequency)[::-1]]
    )
    ranked = np.argsort(-frequency, kind="stable")
    return np.concatenate([[0], np.cumsum(ranked < order.n_users)])


def _payload(form: CodebookLayout, users: np.ndarray) -> np.ndarray:
    """Bytes without the header with 0, 1, ..., n rows of their own, ``users`` (n + 1,) of them
    users': (n + 1,).
    """
    total = np.zeros(len(users), dtype=np.int64)
    for n, own in ((form.users, users), (form.items, np.arange(len(users)) - users)):
        coded = n - own
        rows = own + np.minimum(2**form.code_bits, coded)
        total += 2 * form.columns * rows + (coded * form.subspaces * form.code_bits + 7) // 8
    return total
