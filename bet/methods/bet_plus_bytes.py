"""``bet-plus-bytes`` and ``bet-plus-vectors``: ``bet-plus`` over one width for everybody and bits
by frequency rank, exact in bytes of the file. Ours.

At equal width, precision by frequency pays in bytes where sizes by frequency do not. The uniform
tables of every number of bits are anchors, with the same file; the search stays near them.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from bet.actions import (
    PRECISIONS,
    Action,
    Allocation,
    PrecisionRule,
    RankPrecision,
    precision_features,
)
from bet.backbones import BACKBONES
from bet.errors import BetError
from bet.methods.fixed import uniform_action
from bet.methods.quantized import quantized_context
from bet.methods.vectors import check_final_vectors, vector_context
from bet.packed import Layout, most_row_bytes
from bet.search import Candidate, MethodResult, SearchContext, evaluate_shortly_trained, search_plus
from bet.tables import PackedSpec, RankedSpec, RankedVectorSpec

# Rules besides the uniform ones, at the width of so many mean bits: name, mean, spread, tilt.
RULES = (
    ("10/70/20 %", 2.0, 0.47, 0.0),  # at 4, 2 and 1 bits
    ("10/70/20 %", 4.0, 0.47, 0.0),
    ("half and half", 1.5, 0.0, 0.0),
    ("half and half", 3.0, 0.0, 0.0),
    ("more for users", 2.0, 0.25, 1.0),
    ("more for items", 2.0, 0.25, -1.0),
)


def bet_plus_bytes(context: SearchContext) -> MethodResult:
    """Tables. Never below the best of ``uniform-int8`` to ``uniform-int1`` on validation where
    least squares train; by gradients never below the two of them that are fittest.
    """
    space = table_candidates(context)
    return search_plus(space.context, space)


def bet_plus_vectors(context: SearchContext) -> MethodResult:
    """Final vectors that need no graph; never below the two fittest of ``vectors-int8`` to
    ``vectors-int1`` on validation.
    """
    space = vector_candidates(context)
    # Layers of another width have no part in the full model: there is no cut to fine-tune.
    score = evaluate_shortly_trained if space.ranked.copies > 1 else None
    return search_plus(space.context, space, score)


@dataclass(frozen=True)
class PrecisionCandidates:
    """``ranked`` actions for ``context``, and the ``uniform`` ones at all bits that fit."""

    context: SearchContext
    ranked: RankPrecision
    uniform: tuple[Action, ...]

    def anchors(self) -> list[Candidate]:
        """The uniform tables, the fittest of which are always finished, and ``RULES``."""
        found = [Candidate("uniform", action, finished=True) for action in self.uniform]
        for name, mean_bits, spread, tilt in RULES:
            width = self.ranked.width_at(mean_bits)
            action = self.ranked.action(PrecisionRule(width, spread, spread, tilt))
            found.append(Candidate(name, action))
        # Where d_max is all that bounds the width some are the same: the first counts.
        first = {anchor.action.allocation.digest: anchor for anchor in reversed(found)}
        return list(reversed(first.values()))

    def sample(self, m: int, rng: np.random.Generator) -> list[Action]:
        return self.ranked.sample(m, rng)

    def mutate(self, action: Action, m: int, rng: np.random.Generator) -> list[Action]:
        return self.ranked.mutate(action, m, rng)

    def features(self, actions: Sequence[Action]) -> np.ndarray:
        return precision_features(self.context.data.order, actions)


def table_candidates(context: SearchContext) -> PrecisionCandidates:
    """Actions whose table's file has at most ``context.byte_limit`` bytes.

    Of ranked ones what is left is less than a row's step to twice its bits and the eight bytes that
    the header is padded to, unless all have eight bits; uniform ones are those of
    ``uniform_packed``. Raises BetError, with the smallest possible file, where too few bytes are
    given.
    """
    budget, order = context.budget, context.data.order
    layout = partial(_one_bit, context, copies=budget.copies)
    ranked = _ranked(context, layout, budget.copies)
    fitting = _fitting(lambda bits: quantized_context(context, bits, uniform=True))
    uniform, listed = [], []
    for bits, one in fitting.items():
        assert isinstance(one.table_spec, PackedSpec)
        uniform.append(_with_bits(uniform_action(one), bits))
        listed.append(one.table_spec.kinds)
    spec = RankedSpec(PRECISIONS, tuple(listed), order.n_users, order.entities)
    free = replace(context.without_budget(), table_spec=spec)  # bytes bound it, not columns
    return PrecisionCandidates(free, ranked, tuple(uniform))


def vector_candidates(context: SearchContext) -> PrecisionCandidates:
    """Actions whose vectors' file has at most ``context.byte_limit`` bytes; what is left of it, and
    errors, as of ``table_candidates``. Uniform ones are those of ``rounded_vectors``.
    """
    check_final_vectors(context, "bet-plus-vectors", "bet-plus-bytes")
    order = context.data.order
    layers = BACKBONES[context.settings.backbone].final_width(1, d_max=1)

    def layout(width: int) -> Layout:
        return replace(_one_bit(context, layers * width), file_kind="vectors")

    ranked = _ranked(context, layout, layers)
    fitting = _fitting(lambda bits: vector_context(context, bits))
    uniform = []
    for bits, one in fitting.items():
        allocation = Allocation.uniform(order.n, one.budget.d_max)
        uniform.append(_with_bits(Action(allocation, order.n_users), bits))
    spec = RankedVectorSpec(PRECISIONS, layers, order.n_users, order.entities)
    free = replace(context.without_budget(), table_spec=spec)
    return PrecisionCandidates(free, ranked, tuple(uniform))


def _one_bit(context: SearchContext, columns: int, copies: int = 1) -> Layout:
    """The layout of a file that lists rows of ``columns`` at every precision and has those of one
    bit.
    """
    kinds = np.array([(columns, bits) for bits in sorted(PRECISIONS, reverse=True)])
    n_users, n = context.data.n_users, context.budget.n
    counts = np.zeros((2, len(kinds)), dtype=np.int64)
    counts[:, -1] = n_users, n - n_users
    return Layout(kinds, counts, copies=copies)


def _ranked(context: SearchContext, layout: Callable[[int], Layout], copies: int) -> RankPrecision:
    """The rules within the bytes; ``layout`` of a width: the file where all rows have one bit."""
    limit = context.byte_limit
    if limit is None:
        raise BetError(
            "a table of mixed precision needs a budget; give a sparsity, parameters or bytes"
        )
    order, d_max = context.data.order, context.budget.d_max
    ranked = RankPrecision(order, d_max, lambda width: most_row_bytes(layout(width), limit), copies)
    if not ranked.widths[1]:
        raise BetError(
            f"a budget of {limit:,} bytes is below the smallest file of mixed precision, "
            f"{layout(1).byte_report().total:,} bytes (a column of one bit per entity); raise the "
            "budget"
        )
    return ranked


def _fitting(at: Callable[[int], SearchContext]) -> dict[int, SearchContext]:
    """The contexts ``at`` every number of bits at which a uniform table fits."""
    found = {}
    for bits in PRECISIONS:
        try:
            found[bits] = at(bits)
        except BetError:  # too few bytes, or columns, at so many bits
            continue
    return found


def _with_bits(action: Action, bits: int) -> Action:
    """The ``action`` of rows of ``bits`` each, as a ranked one of no spread."""
    sizes = action.sizes
    allocation = Allocation.from_sizes(sizes, np.full(len(sizes), bits))
    return Action(allocation, action.n_users, asdict(PrecisionRule(int(sizes.min()))))
