"""NCF's compiled loop; imported only where numba is installed."""

import numpy as np

from bet.compiled import compiled_in_any_order

ZERO = np.float32(0)


@compiled_in_any_order
def fill(x, y, a, out):
    """Sum a_h relu(x_uh + y_vh) over h into ``out`` (b, |V|), of rows ``x`` (b, H) and ``y``
    (|V|, H), all float32; b even, |V| divisible by four.

    Two rows by four columns at a time share their loads; 128 columns at a time stay in the cache.
    """
    for first in range(0, len(y), 128):
        for u in range(0, len(x), 2):
            for v in range(first, min(first + 128, len(y)), 4):
                s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = ZERO
                for h in range(len(a)):
                    p, q, w = x[u, h], x[u + 1, h], a[h]
                    y0, y1, y2, y3 = y[v, h], y[v + 1, h], y[v + 2, h], y[v + 3, h]
                    s0 += w * max(p + y0, ZERO)
                    s1 += w * max(p + y1, ZERO)
                    s2 += w * max(p + y2, ZERO)
                    s3 += w * max(p + y3, ZERO)
                    t0 += w * max(q + y0, ZERO)
                    t1 += w * max(q + y1, ZERO)
                    t2 += w * max(q + y2, ZERO)
                    t3 += w * max(q + y3, ZERO)
                out[u, v], out[u, v + 1], out[u, v + 2], out[u, v + 3] = s0, s1, s2, s3
                out[u + 1, v] = t0
                out[u + 1, v + 1] = t1
                out[u + 1, v + 2] = t2
                out[u + 1, v + 3] = t3
