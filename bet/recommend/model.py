"""A file that recommends: the best items for users that it knows, for new ones, and beside items.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bet.errors import BetError
from bet.packed import OpenFile, RecommenderFile
from bet.packed import load as open_file
from bet.packed.lookup import whole_numbers
from bet.recommend.choose import scorer_of
from bet.recommend.ranking import Histories, RankedRows, top_k
from bet.recommend.scorer import BLOCK, Scorer


@dataclass(frozen=True, eq=False)
class Recommendations:
    """The best items of b users: ``items``, a list of at most k of your ids for each, the best
    first, and ``scores`` (b, k) float32, -inf where fewer than k are left.
    """

    items: list[list[str]]
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class RankedItems:
    """The best items of one list: ``items``, your ids, the best first, and ``scores`` (k,)
    float32.
    """

    items: list[str]
    scores: np.ndarray


class FileRecommender:
    """Recommends from an open ``file`` alone, which is read in place: a recommender or vectors.

    Users and items are called by your ids, as text or as the numbers that they write; equal scores
    stand in the order of the file's items, the most frequent first. Opening a graph model
    propagates its table once. Raises BetError where the file does not say how it scores.
    """

    def __init__(self, file: OpenFile):
        self.file = file
        self.scorer: Scorer = scorer_of(file)

    @property
    def n_users(self) -> int:
        """Users that the file knows."""
        return self.file.n_users

    @property
    def n_items(self) -> int:
        """Items that the file knows."""
        return self.file.n_items

    @property
    def shape(self) -> tuple[int, int]:
        """Users and items."""
        return self.n_users, self.n_items

    def __len__(self) -> int:
        return self.n_users + self.n_items

    def __repr__(self) -> str:
        name = self.file.backbone if isinstance(self.file, RecommenderFile) else "vectors"
        return f"FileRecommender({name}, {self.n_users:,} users, {self.n_items:,} items)"

    @property
    def has_histories(self) -> bool:
        """Whether the file says which items its users have seen."""
        return isinstance(self.file, RecommenderFile) and self.file.seen is not None

    def recommend(
        self, users: Iterable[object], k: int = 10, *, exclude_seen: bool = True
    ) -> Recommendations:
        """The ``k`` best items for ``users``, by your ids.

        exclude_seen: leave out what a user has had. Raises BetError for an unknown id, which names
        the nearest ones, for k outside 1 to n_items, without ids, and where items are to be left
        out but the file does not say which.

        Ann has had tea, bob both of the others; there is nothing that says more than that:

        >>> lists = code_interactions(np.array([0, 1, 3]), np.array([0, 1, 2]), n_items=3)
        >>> ids = ["ann", "bob"], ["tea", "rye", "nut"]
        >>> report = write_recommender(folder / "f", "popularity", {}, n_users=2, n_items=3,
        ...                            seen=lists, ids=ids)
        >>> model = FileRecommender(load(folder / "f"))
        >>> model.recommend(["bob", "ann"], k=2).items
        [['tea'], ['rye', 'nut']]
        >>> model.recommend(["ann"], k=1, exclude_seen=False).items
        [['tea']]
        """
        rows = self.recommend_rows(self._users(users), k, exclude_seen=exclude_seen)
        return Recommendations([self._names(items) for items in rows.items], rows.scores)

    def recommend_rows(
        self, users: np.ndarray | Sequence[int], k: int = 10, *, exclude_seen: bool = True
    ) -> RankedRows:
        """The ``k`` best items for ``users`` (b,), by number: ``items`` (b, k) int64, numbers from
        0, and ``scores`` (b, k) float32; -1 and -inf where fewer are left.

        Users and items are numbered as in the file, each from 0. Raises BetError as ``recommend``.
        """
        self._check_k(k)
        numbers = whole_numbers(users, "users")
        outside = numbers[(numbers < 0) | (numbers >= self.n_users)]
        if len(outside):
            raise BetError(
                f"{self.file.path}: user {outside[0]} does not exist: it has {self.n_users:,} "
                "users, numbered from 0"
            )
        step = max(1, min(self.scorer.users_at_once, BLOCK // k))
        parts = [numbers[first : first + step] for first in range(0, len(numbers), step)]
        best = [self._best(part, k, exclude_seen) for part in parts or [numbers]]
        items, scores = (np.concatenate(both) for both in zip(*best, strict=True))
        return RankedRows(items, scores)

    def _best(self, users: np.ndarray, k: int, exclude_seen: bool) -> tuple[np.ndarray, np.ndarray]:
        seen = self._seen(users) if exclude_seen else None
        best = self.scorer.top(self.scorer.profiles(users), k, seen)
        return best.items, best.scores

    def _seen(self, users: np.ndarray) -> Histories:
        seen = self.file.seen if isinstance(self.file, RecommenderFile) else None
        if seen is None:
            raise BetError(
                f"{self.file.path}: does not say which items its users have seen; ask with "
                "exclude_seen=False, or write the file with its users' histories"
            )
        return Histories(*seen.items_of(users))

    def recommend_for(self, items: Iterable[object], k: int = 10) -> RankedItems:
        """The ``k`` best items for somebody new who has ``items``, by your ids; these are left out.

        Without items the order is that of the file's items where nothing is known about anybody.
        Raises BetError as ``recommend``.
        """
        self._check_k(k)
        history = _history(self._items(items))
        best = self.scorer.top(self.scorer.fold_in(history), k, history)
        return self._ranked(best)

    def fold_in(self, items: Iterable[object]) -> np.ndarray:
        """The profile of somebody new who has ``items``, by your ids: (p,) float32.

        Where scores are inner products it is the user's vector; for a rule, the row of the
        interactions; for a blend, both, the vector first; for NCF, the user's hidden units and
        factors. Raises BetError for an unknown id.
        """
        return self.scorer.fold_in(_history(self._items(items)))[0]

    def similar_items(self, item: object, k: int = 10) -> RankedItems:
        """The ``k`` items most like ``item``, by your ids, without itself.

        Scores are cosines, of vectors or, for the graph filter, of who has the items; for a blend
        both, standardized and added as its scores are; for item-knn and ease the scores of somebody
        who has only this item.

        Raises BetError as ``recommend``, and for popularity, which compares no items.
        """
        self._check_k(k)
        (number,) = self._items([item])
        similarity = np.array(self.scorer.similarity(number), dtype=np.float32)
        similarity[number] = -np.inf
        return self._ranked(top_k(similarity[None], k))

    def score(self, user: object, items: Iterable[object]) -> np.ndarray:
        """The scores of ``items`` for ``user``, by your ids: (n,) float32.

        Only differences between scores of one user mean something. Raises BetError for an unknown
        id.
        """
        numbers = self._items(items)
        return self.scorer.pair_scores(self.scorer.profiles(self._users([user]))[0], numbers)

    def _users(self, ids: Iterable[object]) -> np.ndarray:
        return np.array(self.file.user_rows(ids), dtype=np.int64)

    def _items(self, ids: Iterable[object]) -> np.ndarray:
        return np.array(self.file.item_rows(ids), dtype=np.int64) - self.n_users

    def _ranked(self, best: RankedRows) -> RankedItems:
        names = self._names(best.items[0])
        return RankedItems(names, best.scores[0, : len(names)])

    def _names(self, items: np.ndarray) -> list[str]:
        names = self._item_names
        return [names[number] for number in items[items >= 0].tolist()]

    @cached_property
    def _item_names(self) -> list[str]:
        return list(self.file.ids.item_rows)  # in the order of the rows

    def _check_k(self, k: int) -> None:
        if isinstance(k, bool) or not isinstance(k, int | np.integer):
            raise BetError(f"k must be a whole number, got {k!r}")
        if not 1 <= k <= self.n_items:
            raise BetError(f"k must be from 1 to the {self.n_items:,} items of the file, got {k}")


def _history(items: np.ndarray) -> Histories:
    """One list of the different ``items`` (m,)."""
    different = np.unique(items)
    return Histories(np.array([0, len(different)]), different)


def open_model(path: Path | str, *, check: bool = True) -> FileRecommender:
    """Open a file that recommends; check as in ``bet.load``. Raises BetError as it, and for a table
    that does not say how scores follow from it.
    """
    return FileRecommender(open_file(path, check=check))
