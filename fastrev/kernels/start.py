"""The initial state of a tile: drawn from its law, or copied."""

from typing import Any

import numpy as np

from fastrev.kernels.noise import NOISE, uniform_at
from fastrev.kernels.params import make_params
from fastrev.kernels.recipe import Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.streams import STREAM_INITIAL

_u64 = np.uint64
_U, _V = _u64(2), _u64(3)
"""Numbers of their counters; Philox's normals have 0 and 1."""
_INITIAL = _u64(STREAM_INITIAL)


def make_start(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`start(x, noises, low, high, j0, k0, k1, x0, done, values)`: the initial state of a tile.

    noises, of `step.make_refill`, are room.
    """
    if recipe.draw is None:

        @build.own_loop
        def copy(x, noises, low, high, j0, k0, k1, x0, done, values):
            for j in range(x.shape[0]):
                for l in range(x.shape[1]):
                    x[j, l] = x0[done + l, j0 + j]

        return copy

    draw = build.scalar(recipe.draw)
    uses_u, uses_v, uses_z = recipe.draw_uses
    fill_first = NOISE[recipe.generator].fill_first
    params = make_params(recipe.draw_names, (False,) * len(recipe.draw_names), per_coordinate=False)

    @build.own_loop
    def start(x, noises, low, high, j0, k0, k1, x0, done, values):
        p = params(values, 0, 0)
        for w in range(x.shape[0]):
            j = j0 + w
            address = _u64(_INITIAL | _u64(j))
            if uses_z:
                fill_first(x[w], noises[0], noises[2], low, high, address, k0, k1)
            for l in range(x.shape[1]):
                i = _u64(low + _u64(l))
                u = v = 0.5
                normal_z = x[w, l] if uses_z else real(0.0)
                if uses_u:
                    u = uniform_at(i, high, _U, _INITIAL, k0, k1)
                if uses_v:
                    v = uniform_at(i, high, _V, address, k0, k1)
                x[w, l] = real(draw(j, u, v, normal_z, p))

    if not recipe.correlated:
        return start

    @build.own_loop
    def start_correlated(x, noises, low, high, j0, k0, k1, x0, done, values):
        start(x, noises, low, high, j0, k0, k1, x0, done, values)
        p = params(values, 0, 0)
        for l in range(x.shape[1]):
            u = uniform_at(_u64(low + _u64(l)), high, _U, _INITIAL, k0, k1)
            k = 0
            for q in range(len(p.cumulative)):
                if u > p.cumulative[q]:
                    k = q + 1
            for j in range(len(x) - 1, -1, -1):  # downwards: earlier normals are still there
                total = p.mean[k, j]
                for q in range(j + 1):
                    total += p.chol[k, j, q] * x[q, l]
                x[j, l] = total

    return start_correlated
