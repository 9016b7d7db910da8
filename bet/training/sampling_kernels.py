"""The sampler's compiled loop; imported only where numba is installed."""

from bet.compiled import compiled


@compiled
def count_up_to(values, starts, lengths, limits, counts):
    """How many of ``values[starts[i] : starts[i] + lengths[i]]``, ascending, are at most
    ``limits[t, i]``: into ``counts`` (t, i), int64 all.
    """
    for t in range(limits.shape[0]):
        for i in range(limits.shape[1]):
            low, high = starts[i], starts[i] + lengths[i]
            while low < high:
                middle = (low + high) // 2
                if values[middle] <= limits[t, i]:
                    low = middle + 1
                else:
                    high = middle
            counts[t, i] = low - starts[i]
