"""``dess-like``: a bandit per side picks every entity's size (after DESS, Arxiv 2308.07760).

Its text and code could not be read: the forms of IND, POD, reward and forgetting are ours, from
the summaries, hence the name.
"""

from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from bet.actions import Allocation, Budget
from bet.backbones import Recommender
from bet.search import SearchContext, Trained
from bet.seeds import numpy_generator
from bet.stream.bandit import DiscountedLinUcb
from bet.stream.carry import carry_rows
from bet.stream.policy import Proposal, Step

ARMS = (1, 2, 4, 8, 16, 32, 64)  # sizes, those up to d_max
FORGET, EXPLORE = 0.7, 0.5  # of a segment; standard errors
BLOCKS = 10  # in which entities choose: later ones know what earlier ones explore
NEGATIVES = 20  # that a validation item is compared with
HALVINGS = 40  # of the interval that the price is searched in


class Dess:
    """Arms are sizes. What a size is worth to an entity: the share of random items, of those the
    user has not had, that its validation items are scored above, less that of all. Contexts:
    frequency and, with ``indicators``, IND (how far apart the rows of its neighbors are) and POD
    (how far their popularity is from the mean). Without a cap everybody takes the size of the
    largest value; under one, value less price times size, the price such that the sizes fit.
    """

    def __init__(self, capped: bool = True, indicators: bool = True):
        self.capped, self.indicators = capped, indicators
        self.bandits: list[DiscountedLinUcb] = []
        self.chosen: tuple[np.ndarray, np.ndarray] | None = None  # contexts (n, f), arms (n,)

    def propose(self, step: Step) -> Proposal:
        context, budget = step.context, step.context.budget
        arms = np.array([size for size in ARMS if size <= budget.d_max])
        contexts = entity_contexts(step, self.indicators)
        if not self.bandits:
            self._start(len(arms), contexts.shape[1])
        n_users = context.data.n_users
        sides = np.arange(budget.n) >= n_users
        values = np.empty((budget.n, len(arms)))
        limit = budget.total if self.capped else None
        places = context.search_rng("dess-like").permutation(budget.n)
        more = np.zeros((2, len(arms), contexts.shape[1], contexts.shape[1]))
        picked = np.empty(budget.n, dtype=np.int64)
        for block in np.array_split(places, min(BLOCKS, budget.n)):
            for side, bandit in enumerate(self.bandits):
                part = block[sides[block] == side]
                values[part] = bandit.values(contexts[part], more[side])
            share = None if limit is None else limit * len(block) / budget.n
            picked[block] = priced_arms(values[block], arms, share)
            for side in (0, 1):
                part = block[sides[block] == side]
                pulled = np.eye(len(arms))[picked[part]]  # (m, K)
                x = contexts[part]
                more[side] += np.einsum("mk,mf,mg->kfg", pulled, x, x)
        self.chosen = contexts, picked
        sizes = arms[picked]
        if self.capped:
            sizes = fill(sizes, values, arms, budget)
        return Proposal(Allocation.from_sizes(sizes), {"mean size": float(sizes.mean())})

    def _start(self, n_arms: int, n_features: int) -> None:
        self.bandits = [
            DiscountedLinUcb(n_arms, n_features, forget=FORGET, explore=EXPLORE) for _ in range(2)
        ]

    def learn(self, step: Step, trained: Trained) -> None:
        assert self.chosen is not None, "sizes were proposed before"
        contexts, arms = self.chosen
        rewards = pair_rewards(step.context, trained.model)
        n_users = step.context.data.n_users
        for part, bandit in zip(
            (slice(0, n_users), slice(n_users, None)), self.bandits, strict=True
        ):
            seen = np.isfinite(rewards[part])
            bandit.update(contexts[part][seen], arms[part][seen], rewards[part][seen])

    def state_dict(self) -> dict[str, Any]:
        sums = [(torch.from_numpy(each.a), torch.from_numpy(each.b)) for each in self.bandits]
        return {"sums": sums}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for a, b in state["sums"]:
            bandit = DiscountedLinUcb(*b.shape, forget=FORGET, explore=EXPLORE)
            bandit.a, bandit.b = a.numpy(), b.numpy()
            self.bandits.append(bandit)


def entity_contexts(step: Step, indicators: bool) -> np.ndarray:
    """(n, 2) or, with ``indicators``, (n, 4): one, frequency, IND and POD, each in [0, 1] or near
    it. The rows that IND looks at are those that the segment's tables start from; in the first
    segment nobody has one, and IND is zero.
    """
    data = step.context.data
    frequency = np.log1p(data.order.frequency)
    columns = [np.ones(data.n), frequency / max(frequency.max(), 1.0)]
    if indicators:
        rows = np.zeros((data.n, 1))
        if step.before is not None:
            n_items = data.n - data.n_users
            rows = carry_rows(
                step.before, data.n_users, n_items, d_max=step.context.budget.d_max, std=0.0, seed=0
            ).numpy()
        users, items = rows[: data.n_users], rows[data.n_users :]
        by_item = csr_array(data.train.T.tocsr())
        spread = [spread_of(data.train, items), spread_of(by_item, users)]
        counts = frequency[: data.n_users], frequency[data.n_users :]
        unusual = [deviation_of(data.train, counts[1]), deviation_of(by_item, counts[0])]
        columns += [np.concatenate(spread), np.concatenate(unusual)]
    return np.stack(columns, 1)


def spread_of(neighbors: csr_array, rows: np.ndarray) -> np.ndarray:
    """IND (m,): half of one less the mean cosine of two different neighbors' ``rows`` (k, d), which
    ``neighbors`` (m, k), binary, lists; zero with fewer than two.

    From |sum e|^2 of unit rows: the mean over pairs is (|sum e|^2 - c) / (c (c - 1)).

    >>> both = csr_array(np.array([[1, 1]]))
    >>> spread_of(both, np.array([[1.0, 0.0], [0.0, 2.0]])), spread_of(both, np.ones((2, 1)))
    (array([0.5]), array([0.]))
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    counts = neighbors @ (lengths[:, 0] > 0).astype(float)
    squares = np.square(neighbors @ unit).sum(1)
    pairs = counts * (counts - 1)
    cosine = np.divide(squares - counts, pairs, out=np.ones_like(squares), where=pairs > 0)
    return (1 - cosine) / 2


def deviation_of(neighbors: csr_array, popularity: np.ndarray) -> np.ndarray:
    """POD (m,): how far the mean ``popularity`` (k,) of the neighbors that ``neighbors`` (m, k),
    binary, lists is from that of all, in standard deviations, squashed to [0, 1); zero without any.
    """
    counts = np.diff(neighbors.indptr)
    scale = max(float(popularity.std()), 1e-9)
    unusual = (popularity - popularity.mean()) / scale
    sums = neighbors @ unusual
    return np.tanh(np.abs(np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)))


def priced_arms(values: np.ndarray, arms: np.ndarray, limit: float | None) -> np.ndarray:
    """The arm of the largest ``values`` (m, K) less price times ``arms`` (K,) sizes, (m,): the
    price is the smallest one, not below zero, at which the sizes sum to at most ``limit``.

    With two entities of values 1 and 3 for the sizes 1 and 4, a limit of 5 pays for one change of
    size, so that the second one stays small:

    >>> priced_arms(np.array([[1.0, 3.0], [1.0, 2.0]]), np.array([1, 4]), limit=5)
    array([1, 0])
    """

    def at(price: float) -> np.ndarray:
        return (values - price * arms).argmax(1)

    picked = at(0.0)
    if limit is None or arms[picked].sum() <= limit:
        return picked
    low, high = 0.0, float(np.ptp(values) + 1.0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if arms[at(middle)].sum() <= limit else (middle, high)
    return at(high)


def fill(sizes: np.ndarray, values: np.ndarray, arms: np.ndarray, budget: Budget) -> np.ndarray:
    """``sizes`` (n,), each of ``arms`` (K,), raised until exactly ``budget.target`` columns are
    used: whole steps to the next arm by gain of ``values`` (n, K) per column, then single columns,
    the largest rows first. Above the budget, the largest rows are cut first. Of equally large ones
    those whose arm is worth most grow, and those whose arm is worth least are cut.

    >>> values, arms = np.array([[0.9], [0.1], [0.5]]), np.array([1])
    >>> fill(np.array([1, 1, 1]), values, arms, Budget(total=2, n=3, d_max=1, d_min=0))
    array([1, 0, 1])
    """
    sizes = sizes.astype(np.int64)
    at = np.searchsorted(arms, sizes)
    nexts = np.minimum(at + 1, len(arms) - 1)
    everybody = np.arange(len(sizes))
    cost = arms[nexts] - arms[at]
    gain = (values[everybody, nexts] - values[everybody, at]) / np.maximum(cost, 1)
    order = np.argsort(-np.where(cost > 0, gain, -np.inf), kind="stable")
    left = budget.target - int(sizes.sum())
    steps = order[np.cumsum(cost[order]) <= left]
    sizes[steps] += cost[steps]
    worth = values[everybody, at]
    while left := budget.target - int(sizes.sum()):
        open_rows = sizes < budget.d_max if left > 0 else sizes > budget.d_min
        largest = np.lexsort((-np.sign(left) * worth, -np.where(open_rows, sizes, -1)))
        chosen = largest[: min(abs(left), int(open_rows.sum()))]
        sizes[chosen] += np.sign(left)
    return sizes


@torch.no_grad()
def pair_rewards(context: SearchContext, model: Recommender) -> np.ndarray:
    """(n,) float64: of every entity with validation items, how often one is scored above a random
    item that its user has not had, less the mean of all pairs; NaN of others.
    """
    data, ranker = context.data, model.ranker()
    users, items = data.validation.nonzero()
    rng = numpy_generator(context.stream("dess-like rewards"))
    unique, place = np.unique(users, return_inverse=True)
    scores = ranker(torch.from_numpy(unique).to(context.workspace.device)).cpu().numpy()
    had = (data.masked + data.validation)[unique].toarray() > 0
    others, n_others = had.argsort(1, kind="stable"), (~had).sum(1)[place]  # those not had first
    drawn = rng.random((len(users), NEGATIVES)) * n_others[:, None]
    negatives = others[place[:, None], drawn.astype(np.int64)]
    share = (scores[place, items][:, None] > scores[place[:, None], negatives]).mean(1)
    fits = n_others > 0  # a user who has had everything says nothing
    share = np.where(fits, share - share[fits].sum() / max(fits.sum(), 1), 0.0)
    entities = np.concatenate([users, data.n_users + items])
    counts = np.bincount(entities, minlength=data.n)
    sums = np.bincount(entities, weights=np.tile(share, 2), minlength=data.n)
    return np.divide(sums, counts, out=np.full(data.n, np.nan), where=counts > 0)
