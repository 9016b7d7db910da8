"""Compiled loops that keep the k best items of every user; imported only where numba is installed.

``best``, items (b, k) int64 and scores (b, k) float32, is a heap per user: the first is the worst
of all, and each is worse than number 2i + 1 and 2i + 2. An item is worse by its score, or at equal
scores by a higher number; without an item, -1 and -inf.
"""

from bet.compiled import compiled

CHUNK = 64  # scores that are compared with the worst one at once


@compiled
def is_worse(item, score, other_item, other_score):
    """Whether an item comes after another one."""
    return score < other_score or (score == other_score and item > other_item)


@compiled
def sink(items, scores, size):
    """Move the first of a heap of ``size`` to its place."""
    item, score = items[0], scores[0]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        other = child + 1
        if other < size and is_worse(items[other], scores[other], items[child], scores[child]):
            child = other
        if not is_worse(items[child], scores[child], item, score):
            break
        items[place], scores[place] = items[child], scores[child]
        place = child
    items[place], scores[place] = item, score


@compiled
def is_listed(item, items):
    """Whether ``item`` is one of the sorted ``items`` (m,)."""
    first, end = 0, len(items)
    while first < end:
        middle = (first + end) // 2
        if items[middle] < item:
            first = middle + 1
        else:
            end = middle
    return first < len(items) and items[first] == item


@compiled
def keep_best(products, first, seen, best):
    """Replace in ``best`` what is below ``products`` (b, m) float32 of items ``first``, ``first`` +
    1, ..., which come after all that were looked at before; ``seen``: indptr (b + 1,) and items.
    """
    indptr, seen_items = seen
    for user in range(len(products)):
        row = products[user]
        items, scores = best[0][user], best[1][user]
        left_out = seen_items[indptr[user] : indptr[user + 1]]
        worst = scores[0]
        for start in range(0, len(row), CHUNK):
            part = row[start : start + CHUNK]
            better = 0  # counted with vector instructions: most often there are none
            for j in range(len(part)):
                better += part[j] > worst
            if not better:
                continue
            for j in range(len(part)):
                item = first + start + j
                if part[j] > worst and not is_listed(item, left_out):
                    items[0], scores[0] = item, part[j]
                    sink(items, scores, len(items))
                    worst = scores[0]


@compiled
def sort_best(best):
    """Sort every heap, the best first."""
    for user in range(len(best[0])):
        items, scores = best[0][user], best[1][user]
        for size in range(len(items) - 1, 0, -1):
            items[0], items[size] = items[size], items[0]
            scores[0], scores[size] = scores[size], scores[0]
            sink(items, scores, size)
