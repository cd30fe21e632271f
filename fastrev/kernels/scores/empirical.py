"""The score of data points smoothed by a Gaussian: two matrix products and a running softmax.

    s(x) = sum_k share_k (scale y_k + shift - x)/v,
    share_k = softmax_k( -|x - scale y_k - shift|^2/(2v) )

The points pass through in groups of neighbours, each counted from a point m in its midst: with
u = x - scale m - shift the logits are

    scale/v u . (y_k - m) - scale^2/(2v) |y_k - m|^2 - |u|^2/(2v),

in which hardly anything cancels where it matters, in the groups about x, however wide the data are.
They are made to the base 2, as `decay` takes them.
Beside the sums, each particle keeps the largest logit seen, and when a larger one comes the sums
so far shrink by the ratio (Milakov and Gimelshein, arXiv:1805.02867), so that no array of
particles by points is ever held.
"""

import math

from fastrev.kernels.matmul import LANES, ROWS, multiply, panels
from fastrev.kernels.plain import LOG2_E, decay

CHUNK = 96
"""Points at a time: their logits are 24 kB in float32."""
FARTHEST = -1e38
"""A logit than which there is no smaller: float32 could not tell infinite ones apart."""


def empirical_score(x, t, p, out, work):
    """The score of particles x (d, B) at this time.

    p   rows (M/6, d, 6) and columns (M/chunk d/6, chunk, 6): the points and their transpose, as
        `matmul.packed`; half_norms (M,), infinite for points that only fill a block; all from the
        centres (groups, d), of `group` chunks each; scale, shift and precision 1/v at this time
    """
    d, width = x.shape
    across, chunk = (d + ROWS - 1) // ROWS, p.columns.shape[1]
    chunks, group = len(p.half_norms) // chunk, int(p.group)
    room = panels(2 * d + (across + 1) * ROWS + 2 * chunk, x)
    pulled, missed, rest = room[:d], room[d : 2 * d], room[2 * d :]
    sums, rest = rest[: across * ROWS], rest[across * ROWS :]
    peak, total, own, base, level, shrink = rest[0], rest[1], rest[2], rest[3], rest[4], rest[5]
    shares, start = rest[ROWS : ROWS + chunk], rest[ROWS + chunk :].ravel()[:chunk]
    falloff = LOG2_E * p.scale * p.scale * p.precision
    for first in range(0, width, LANES):
        lanes = min(LANES, width - first)
        peak[:] = -math.inf
        total[:] = 0.0
        sums[:] = 0.0
        pulled[:] = 0.0
        missed[:] = 0.0
        for c in range(chunks):
            if c % group == 0:
                _from_centre(x, first, lanes, p, c // group, pulled, base)
                own[:] = 0.0
            for k in range(chunk):
                start[k] = -p.half_norms[c * chunk + k] * falloff
            a = c * (chunk // ROWS)
            multiply(p.rows[a : a + chunk // ROWS], start, pulled, shares)
            if _softened(shares, base, peak, total, own, level, shrink):
                _scale(sums, shrink)
                if c >= group:
                    _scale(missed, shrink)
            multiply(p.columns[c * across : (c + 1) * across], sums, shares, sums)
            if (c + 1) % group == 0 or c + 1 == chunks:
                _count(x, first, lanes, p, c // group, own, total, missed)
        for j in range(d):
            for l in range(lanes):
                there = (p.scale * sums[j, l] - missed[j, l]) / total[l]
                out[j, first + l] = there * p.precision


def _from_centre(x, first, lanes, p, g, pulled, base):
    """scale/v u and -|u|^2/(2v) for group g; a panel's empty lanes stay as they are.

    A single group needs no -|u|^2/(2v), and so is as good far from the data.
    """
    factor = LOG2_E * p.scale * p.precision
    base[:] = 0.0
    for j in range(len(x)):
        middle = p.scale * p.centres[g, j] + p.shift
        for l in range(lanes):
            u = x[j, first + l] - middle
            pulled[j, l] = u * factor
            base[l] += u * u
    for l in range(LANES):
        far = max(base[l] * (-0.5 * LOG2_E * p.precision), FARTHEST)
        base[l] = far if len(p.centres) > 1 else 0.0


def _scale(sums, shrink):
    """All sums so far by the ratio that they shrink by."""
    for j in range(len(sums)):
        for l in range(LANES):
            sums[j, l] = sums[j, l] * shrink[l]


def _count(x, first, lanes, p, g, own, total, missed):
    """A group's shares, `own` all together, and what they miss of x by its being counted from m."""
    for l in range(LANES):
        total[l] += own[l]
    for j in range(len(x)):
        middle = p.scale * p.centres[g, j] + p.shift
        for l in range(lanes):
            missed[j, l] += own[l] * (x[j, first + l] - middle)


def _softened(logits, base, peak, total, own, level, shrink):
    """Logits from `base` to shares of the largest so far; whether it grew, and by which ratio sums
    shrink."""
    level[:] = -math.inf
    for k in range(0, len(logits), ROWS):  # six at a time: `level` is read and written in memory
        for l in range(LANES):
            a = max(logits[k, l], logits[k + 1, l])
            b = max(logits[k + 2, l], logits[k + 3, l])
            c = max(logits[k + 4, l], logits[k + 5, l])
            level[l] = max(level[l], a, b, c)
    grew = 0
    for l in range(LANES):
        grew += level[l] > peak[l] - base[l]
    if grew > 0:
        for l in range(LANES):
            so_far = peak[l] - base[l]
            largest = level[l] + base[l] if level[l] > so_far else peak[l]
            level[l] = level[l] if level[l] > so_far else so_far
            shrink[l] = decay(peak[l] - largest)
            peak[l] = largest
            total[l] = total[l] * shrink[l]
            own[l] = own[l] * shrink[l]
    else:
        for l in range(LANES):
            level[l] = peak[l] - base[l]
    for k in range(len(logits)):
        for l in range(LANES):
            logits[k, l] = decay(logits[k, l] - level[l])
            own[l] += logits[k, l]
    return grew > 0
