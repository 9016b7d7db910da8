"""Compiled loops of the softmax loss; imported only where numba is installed."""

import numpy as np

from bet.compiled import compiled_in_any_order

ZERO, ONE = np.float32(0), np.float32(1)


@compiled_in_any_order
def from_scores(scores, scale):
    """-log of the first's share in a softmax of ``scores`` (t,) float32, which become its gradient
    times ``scale``; both to a rounding of that share, so that a loss below 1e-7 is 0.
    """
    first, largest, total = scores[0], scores.max(), ZERO
    for t in range(len(scores)):
        scores[t] = np.exp(scores[t] - largest)
        total += scores[t]
    for t in range(len(scores)):
        scores[t] *= scale / total
    scores[0] -= scale
    return np.log(total) + largest - first


@compiled_in_any_order
def of_inner_products(rows, users, items, gradient):
    """The mean loss of rows ``users`` (b,) with ``items`` (b, t) of ``rows`` (n, d) float32, the
    first of each positive; its gradient is added to ``gradient`` (n, d).
    """
    width, loss, scale = rows.shape[1], 0.0, ONE / np.float32(len(users))
    scores = np.empty(items.shape[1], dtype=np.float32)
    at_user = np.empty(width, dtype=np.float32)
    for i in range(len(users)):
        user = rows[users[i]]
        for t in range(len(scores)):
            item, score = rows[items[i, t]], ZERO
            for c in range(width):
                score += user[c] * item[c]
            scores[t] = score
        loss += from_scores(scores, scale)
        at_user[:] = ZERO
        for t in range(len(scores)):
            weight, item, at_item = scores[t], rows[items[i, t]], gradient[items[i, t]]
            for c in range(width):
                at_user[c] += weight * item[c]
                at_item[c] += weight * user[c]
        gradient[users[i]] += at_user
    return loss / len(users)


@compiled_in_any_order
def of_ncf(x, y, gmf, a, c, users, items, at_x, at_y, at_gmf, at_a, at_c):
    """The same of NCF's scores, sum a_h relu(x_uh + y_vh) + sum c_k g_uk g_vk over hidden units h
    and columns k: rows ``x`` (|U|, H), ``y`` (|V|, H), ``gmf`` (|U| + |V|, w), weights ``a`` (H,),
    ``c`` (w,), float32 all, and their gradients, zeros before. ``users`` and ``items`` are rows of
    ``gmf``.
    """
    hidden, width, n_users = len(a), len(c), len(x)
    loss, scale = 0.0, ONE / np.float32(len(users))
    scores = np.empty(items.shape[1], dtype=np.float32)
    weighted, at_columns = np.empty(width, dtype=np.float32), np.empty(width, dtype=np.float32)
    at_units, of_weights = np.empty(hidden, dtype=np.float32), np.empty(hidden, dtype=np.float32)
    # Sums over a whole batch.
    all_a, all_c = np.zeros(hidden, dtype=np.float64), np.zeros(width, dtype=np.float64)
    for i in range(len(users)):
        units, columns = x[users[i]], gmf[users[i]]
        for k in range(width):
            weighted[k] = columns[k] * c[k]
        for t in range(len(scores)):
            other, its_columns = y[items[i, t] - n_users], gmf[items[i, t]]
            score = ZERO
            for h in range(hidden):
                score += a[h] * max(units[h] + other[h], ZERO)
            for k in range(width):
                score += weighted[k] * its_columns[k]
            scores[t] = score
        loss += from_scores(scores, scale)
        at_columns[:], at_units[:], of_weights[:] = ZERO, ZERO, ZERO
        for t in range(len(scores)):
            item = items[i, t]
            weight, other, at_other = scores[t], y[item - n_users], at_y[item - n_users]
            for h in range(hidden):
                active = max(units[h] + other[h], ZERO)
                slope = weight * a[h] if active > ZERO else ZERO
                of_weights[h] += weight * active
                at_units[h] += slope
                at_other[h] += slope
            its_columns, at_its_columns = gmf[item], at_gmf[item]
            for k in range(width):
                at_columns[k] += weight * its_columns[k]
                at_its_columns[k] += weight * weighted[k]
        at_x[users[i]] += at_units
        all_a += of_weights
        at_user = at_gmf[users[i]]
        for k in range(width):
            at_user[k] += at_columns[k] * c[k]
            all_c[k] += at_columns[k] * columns[k]
    at_a[:], at_c[:] = all_a, all_c
    return loss / len(users)
