"""A network run inside the kernel, panel by panel: its hidden layers never leave the cache.

    z = (x - centre) enter,   h_0 = z,   h_i = act(W_i h_(i-1) + b_i(t)),   F = W_L h_(L-1) + b_L(t)
    s = gain F - skip (x - centre)

Time enters through the biases alone, which are the same for all particles of a step and come as
a table.
"""

import math
from collections.abc import Callable
from typing import Any

from fastrev.kernels.matmul import LANES, ROWS, multiply, panels


def _make_network(activation: Callable[[Any], Any]) -> Callable[..., None]:
    """The tile kernel of a network with this activation.

    p   sizes (L+1,) of the layers; weights, one after the other as `matmul.packed`; bias, one
        after the other, filled up to whole blocks; centre (d,), enter, skip and gain at this time
    """

    def network_score(x, t, p, out, work):
        d, width = x.shape
        layers = len(p.sizes) - 1
        widest = 0
        for i in range(layers + 1):
            widest = max(widest, (int(p.sizes[i]) + ROWS - 1) // ROWS * ROWS)
        room = panels(2 * widest, x)
        for first in range(0, width, LANES):
            lanes = min(LANES, width - first)
            here, there = room[:widest], room[widest:]
            for j in range(d):
                for l in range(LANES):
                    here[j, l] = 0.0
                for l in range(lanes):
                    here[j, l] = (x[j, first + l] - p.centre[j]) * p.enter
            a, b = 0, 0
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
            for j in range(d):
                for l in range(lanes):
                    away = x[j, first + l] - p.centre[j]
                    out[j, first + l] = p.gain * here[j, l] - p.skip * away

    return network_score


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


NETWORKS = {
    "silu": _make_network(_silu),
    "tanh": _make_network(_tanh),
    "relu": _make_network(_relu),
    "gelu": _make_network(_gelu),
    "softplus": _make_network(_softplus),
}
"""Tile kernels by activation."""
