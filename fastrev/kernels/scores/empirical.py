"""The score of data points smoothed by a Gaussian: two matrix products and a running softmax.

    s(x) = (scale sum_k share_k y_k + shift - x)/v,
    share_k = softmax_k( scale/v (x - shift) . y_k - scale^2/(2v) |y_k|^2 )

The points pass through in chunks.  Beside the sums, each particle keeps the largest logit seen,
and when a larger one comes the sums so far shrink by the ratio (Milakov and Gimelshein,
arXiv:1805.02867), so that no array of particles by points is ever held.
"""

import math

from fastrev.kernels.matmul import LANES, ROWS, multiply, panels
from fastrev.kernels.scores.mixture import decay

CHUNK = 96
"""Points at a time: their logits are 24 kB in float32."""


def empirical_score(x, t, p, out, work):
    """Points are counted from their centre, in which the products lose the fewest digits.

    p   rows (M/6, d, 6) and columns (M/chunk d/6, chunk, 6): the points and their transpose, as
        `matmul.packed`; half_norms (M,), infinite for points that only fill a block;
        centre (d,); scale, shift and precision 1/v at this time
    """
    d, width = x.shape
    across, chunk = (d + ROWS - 1) // ROWS, p.columns.shape[1]
    room = panels(d + (across + 1) * ROWS + 2 * chunk, x)
    pulled, sums = room[:d], room[d : d + across * ROWS]
    rest = room[d + across * ROWS :]
    peak, total, shrink = rest[0], rest[1], rest[2]
    shares, start = rest[ROWS : ROWS + chunk], rest[ROWS + chunk :].ravel()[:chunk]
    falloff = p.scale * p.scale * p.precision
    for first in range(0, width, LANES):
        lanes = min(LANES, width - first)
        _pull(x[:, first : first + lanes], p, pulled)
        rest[0] = -math.inf
        rest[1] = 0.0
        sums[:] = 0.0
        for c in range(len(p.half_norms) // chunk):
            for k in range(chunk):
                start[k] = -p.half_norms[c * chunk + k] * falloff
            a = c * (chunk // ROWS)
            multiply(p.rows[a : a + chunk // ROWS], start, pulled, shares)
            if _softened(shares, peak, total, shrink):
                for j in range(d):
                    for l in range(LANES):
                        sums[j, l] = sums[j, l] * shrink[l]
            multiply(p.columns[c * across : (c + 1) * across], sums, shares, sums)
        for j in range(d):
            middle = p.scale * p.centre[j] + p.shift
            for l in range(lanes):
                mean = p.scale * (sums[j, l] / total[l]) + middle
                out[j, first + l] = (mean - x[j, first + l]) * p.precision


def _pull(x, p, pulled):
    """scale/v (x - m) with m where the centre went; zeros in the panel's empty lanes."""
    factor = p.scale * p.precision
    for j in range(len(x)):
        middle = p.scale * p.centre[j] + p.shift
        for l in range(LANES):
            pulled[j, l] = 0.0
        for l in range(x.shape[1]):
            pulled[j, l] = (x[j, l] - middle) * factor


def _softened(logits, peak, total, shrink):
    """Logits to shares of the largest so far; whether it grew, and by which ratio sums shrink."""
    for l in range(LANES):
        shrink[l] = peak[l]
    for k in range(len(logits)):
        for l in range(LANES):
            peak[l] = logits[k, l] if logits[k, l] > peak[l] else peak[l]
    grew = 0
    for l in range(LANES):
        grew += peak[l] > shrink[l]
    if grew > 0:
        for l in range(LANES):
            shrink[l] = decay(shrink[l] - peak[l])
            total[l] = total[l] * shrink[l]
    for k in range(len(logits)):
        for l in range(LANES):
            logits[k, l] = decay(logits[k, l] - peak[l])
            total[l] += logits[k, l]
    return grew > 0
