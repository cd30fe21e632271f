"""A network run inside the kernel, panel by panel: its hidden layers never leave the cache.

    y = x - m,  or U^T (x - m) in the basis U;   h_0 = enter y
    h_i = act(W_i h_(i-1) + b_i(t)),   F = W_L h_(L-1) + b_L(t)
    s = gain F - skip y + pull c,  or U (gain F - skip y + pull c)
    c = sum_k p_k c_k,  p = softmax(heights + C pull y),  or 0 where there are no centres

Time enters through the biases and factors alone, which are the same for all particles of a step
and come as a table.
"""

import math
from collections.abc import Callable
from typing import Any

from fastrev.kernels.matmul import LANES, ROWS, multiply, panels
from fastrev.kernels.plain import largest


def _make_network(
    activation: Callable[[Any], Any], turned: bool, mixed: bool
) -> Callable[..., None]:
    """The tile kernel of a network with this activation, in a basis, with centres, or without.

    p   sizes (L+1,) of the layers; weights, one after the other as `matmul.packed`; bias, one
        after the other, filled up to whole blocks; centre, enter, skip and gain (d,) at this
        time; turn and back, U^T and U as `matmul.packed`, and nothing, zeros for their start;
        rows and columns, C and C^T as `matmul.packed`, and pull (d,), heights (K,) at this time
    """

    def layered(here, there, p):
        """Through all layers, from one room to the other and back; where F ends."""
        layers, a, b = len(p.sizes) - 1, 0, 0
        for i in range(layers):
            inputs = int(p.sizes[i])
            blocks = (int(p.sizes[i + 1]) + ROWS - 1) // ROWS
            count = blocks * ROWS
            matrix = p.weights[a : a + count * inputs].reshape((blocks, inputs, ROWS))
            multiply(matrix, p.bias[b : b + count], here[:inputs], there[:count])
            a, b = a + count * inputs, b + count
            if i < layers - 1:
                for k in range(count):
                    for l in range(LANES):
                        there[k, l] = activation(there[k, l])
            here, there = there, here
        return here, there

    def expected_centre(y, p, pulled, shares, middle):
        """Where y's own mixture has its mean; shares (K + 1, B) are scratch."""
        centres = len(p.heights)
        for j in range(len(pulled)):
            for l in range(LANES):
                pulled[j, l] = y[j, l] * p.pull[j]
        multiply(p.rows, p.heights, pulled, shares[:centres])
        _normalised(shares[:centres], shares[centres])
        multiply(p.columns, p.nothing, shares[: p.columns.shape[1]], middle)

    def network_score(x, t, p, out, work):
        d, width = x.shape
        across = (d + ROWS - 1) // ROWS * ROWS
        widest = across
        for size in p.sizes:
            widest = max(widest, (int(size) + ROWS - 1) // ROWS * ROWS)
        centres = len(p.heights) if mixed else 0
        room = panels(2 * widest + 2 * across + centres + 1, x)
        one, other, rest = room[:widest], room[widest : 2 * widest], room[2 * widest :]
        y, middle, shares = rest[:across], rest[across : 2 * across], rest[2 * across :]
        for first in range(0, width, LANES):
            lanes = min(LANES, width - first)
            _centred(x[:, first : first + lanes], p.centre, other if turned else y)
            if turned:
                multiply(p.turn, p.nothing, other[:d], y)
            if mixed:
                expected_centre(y, p, one[:d], shares, middle)
            for j in range(d):
                for l in range(LANES):
                    one[j, l] = y[j, l] * p.enter[j]
            here, there = layered(one, other, p)
            for j in range(d):
                for l in range(LANES):
                    corrected = p.gain[j] * here[j, l] - p.skip[j] * y[j, l]
                    here[j, l] = corrected + p.pull[j] * middle[j, l] if mixed else corrected
            if turned:
                multiply(p.back, p.nothing, here[:d], there[:across])
                here = there
            for j in range(d):
                for l in range(lanes):
                    out[j, first + l] = here[j, l]

    return network_score


def _normalised(logits, total):
    """Logits (K, B) to probabilities."""
    for l in range(LANES):
        total[l] = logits[0, l]
    for k in range(1, len(logits), 2):
        other = min(k + 1, len(logits) - 1)
        for l in range(LANES):
            total[l] = largest(logits[k, l], logits[other, l], total[l])
    for k in range(len(logits)):
        for l in range(LANES):
            logits[k, l] = math.exp(logits[k, l] - total[l])
    for l in range(LANES):
        total[l] = 0.0
    for k in range(len(logits)):
        for l in range(LANES):
            total[l] += logits[k, l]
    for k in range(len(logits)):
        for l in range(LANES):
            logits[k, l] = logits[k, l] / total[l]


def _centred(x, centre, y):
    """x - m, and zeros in the panel's empty lanes."""
    for j in range(len(x)):
        for l in range(LANES):
            y[j, l] = 0.0
        for l in range(x.shape[1]):
            y[j, l] = x[j, l] - centre[j]


def _silu(v):
    return v / (1.0 + math.exp(-v))


def _relu(v):
    return v if v > 0.0 else 0.0


def _gelu(v):
    return 0.5 * v * (1.0 + math.erf(0.7071067811865476 * v))


def _softplus(v):
    return (v if v > 0.0 else 0.0) + math.log1p(math.exp(-abs(v)))


def _tanh(v):
    return math.tanh(v)


_ACTIVATIONS = {
    "silu": _silu,
    "tanh": _tanh,
    "relu": _relu,
    "gelu": _gelu,
    "softplus": _softplus,
}
NETWORKS = {
    (name, turned, mixed): _make_network(function, turned, mixed)
    for name, function in _ACTIVATIONS.items()
    for turned, mixed in ((False, False), (True, False), (True, True))
}
"""Tile kernels by activation, whether they turn to a basis, and whether there are centres."""
