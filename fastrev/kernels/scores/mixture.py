"""Scores of Gaussian mixtures: the components' pulls by a softmax of their logits.

    s(x) = sum_k share_k (m_k - x)/v_k,  share_k = softmax_k( log w_k N(x; m_k, v_k) )

The largest logit of each particle is found first, and then shares of it, for all of which logits
are made once more: they are to the base 2, as `decay` takes them.
Of p, by step: log_weight (K,), with the volumes in it; mean (K, d); precision (K, d), or (K, d, d).
"""

import math

from fastrev.kernels.plain import LOG2_E, decay, largest, multiply_add

_HALF = -0.5 * LOG2_E
"""What makes a precision the factor of a square distance in a logit to the base 2."""


def _logit(away, precision, before):
    return multiply_add(_HALF * precision * away, away, before)


def mixture_score(x, t, p, out, work):
    """Coordinates that do not depend on one another within a component."""
    if len(x) == 1:
        _on_line(x[0], p, out[0], work[0], work[1])
    else:
        _in_space(x, p, out, work)


def _on_line(x, p, out, peak, total):
    """The score of a row of x, two components in a turn: they share what it loads and stores."""
    last = len(p.log_weight) - 1
    for l in range(len(x)):
        peak[l] = -math.inf
        total[l] = 0.0
        out[l] = 0.0
    for k in range(0, last + 1, 2):
        mean, precision, weight = _component(p, k)
        mean_2, precision_2, weight_2 = _component(p, min(k + 1, last))
        for l in range(len(x)):
            logit = _logit(mean - x[l], precision, weight)
            logit_2 = _logit(mean_2 - x[l], precision_2, weight_2)
            peak[l] = largest(logit, logit_2, peak[l])
    for k in range(0, last, 2):
        mean, precision, weight = _component(p, k)
        mean_2, precision_2, weight_2 = _component(p, k + 1)
        for l in range(len(x)):
            away, away_2 = mean - x[l], mean_2 - x[l]
            share = decay(_logit(away, precision, weight - peak[l]))
            share_2 = decay(_logit(away_2, precision_2, weight_2 - peak[l]))
            total[l] += share + share_2
            pull = multiply_add(share, away * precision, out[l])
            out[l] = multiply_add(share_2, away_2 * precision_2, pull)
    if last % 2 == 0:
        mean, precision, weight = _component(p, last)
        for l in range(len(x)):
            away = mean - x[l]
            share = decay(_logit(away, precision, weight - peak[l]))
            total[l] += share
            out[l] = multiply_add(share, away * precision, out[l])
    for l in range(len(x)):
        out[l] = out[l] / total[l]


def _component(p, k):
    """Mean and precision of a component in the first coordinate, and its logit at the mean."""
    return p.mean[k, 0], p.precision[k, 0], LOG2_E * p.log_weight[k]


def _in_space(x, p, out, work):
    """The score of a tile of several coordinates; what is done by the last one is one loop."""
    peak, total, share, other = work[0], work[1], work[2], out[0]
    last, end = len(p.log_weight) - 1, len(x) - 1
    for l in range(len(peak)):
        peak[l] = -math.inf
        total[l] = 0.0
    for k in range(0, last + 1, 2):
        k_2 = min(k + 1, last)
        _but_last(x, p, k, share)
        _but_last(x, p, k_2, other)
        mean, precision = p.mean[k, end], p.precision[k, end]
        mean_2, precision_2 = p.mean[k_2, end], p.precision[k_2, end]
        for l in range(len(peak)):
            logit = _logit(mean - x[end, l], precision, share[l])
            logit_2 = _logit(mean_2 - x[end, l], precision_2, other[l])
            peak[l] = largest(logit, logit_2, peak[l])
    for j in range(len(x)):
        for l in range(len(peak)):
            out[j, l] = 0.0
    for k in range(last + 1):
        _but_last(x, p, k, share)
        mean, precision = p.mean[k, end], p.precision[k, end]
        for l in range(len(peak)):
            away = mean - x[end, l]
            share[l] = decay(_logit(away, precision, share[l] - peak[l]))
            total[l] += share[l]
            out[end, l] = multiply_add(share[l], away * precision, out[end, l])
        for j in range(end):
            mean, precision = p.mean[k, j], p.precision[k, j]
            for l in range(len(peak)):
                away = mean - x[j, l]
                out[j, l] = multiply_add(share[l], away * precision, out[j, l])
    _divide(out, total)


def _but_last(x, p, k, out):
    """A component's logit by all coordinates but the last, for each lane."""
    mean, precision, weight = _component(p, k)
    for l in range(len(out)):
        out[l] = _logit(mean - x[0, l], precision, weight)
    for j in range(1, len(x) - 1):
        mean, precision = p.mean[k, j], p.precision[k, j]
        for l in range(len(out)):
            out[l] = _logit(mean - x[j, l], precision, out[l])


def full_score(x, t, p, out, work):
    """Full covariances: precisions are matrices."""
    peak, total, share, other = work[0], work[1], work[2], out[0]
    last = len(p.log_weight) - 1
    for l in range(len(peak)):
        peak[l] = -math.inf
        total[l] = 0.0
    for k in range(0, last + 1, 2):
        _full_logit(x, p, k, share)
        _full_logit(x, p, min(k + 1, last), other)
        for l in range(len(peak)):
            peak[l] = largest(share[l], other[l], peak[l])
    for j in range(len(x)):
        for l in range(len(peak)):
            out[j, l] = 0.0
    for k in range(last + 1):
        _full_logit(x, p, k, share)
        for l in range(len(peak)):
            share[l] = decay(share[l] - peak[l])
            total[l] += share[l]
        for j in range(len(x)):
            for i in range(len(x)):
                mean, precision = p.mean[k, i], p.precision[k, j, i]
                for l in range(len(peak)):
                    away = mean - x[i, l]
                    out[j, l] = multiply_add(share[l], away * precision, out[j, l])
    _divide(out, total)


def _full_logit(x, p, k, out):
    """A component's logit, for each lane."""
    weight = LOG2_E * p.log_weight[k]
    for l in range(len(out)):
        out[l] = weight
    for i in range(len(x)):
        for j in range(i + 1):
            a, b = p.mean[k, i], p.mean[k, j]
            half = (_HALF if i == j else 2.0 * _HALF) * p.precision[k, i, j]
            for l in range(len(out)):
                out[l] = multiply_add(half * (a - x[i, l]), b - x[j, l], out[l])


def _divide(out, total):
    for j in range(len(out)):
        for l in range(len(total)):
            out[j, l] = out[j, l] / total[l]
