"""What happens at the walls of an interval, after each step.

Absorbing walls are looked for within a step too.  Given its two ends at distances
d0, d1 > 0 from a wall, and a step of variance v, a path has touched it with probability
exp(-2 d0 d1/v); and the time at which one that did was there first, a fraction Y/(1 + Y) of
the step, has Y inverse Gaussian of mean d0/|d1| and shape d0^2/v, whichever side it ends on.
Both are exact for one wall and constant coefficients (Borodin and Salminen, Handbook of
Brownian Motion, 2002, IV.21-26).  A draw is addressed by particle, step and coordinate.
"""

import math
from typing import Any

import numpy as np

from fastrev.kernels.intrinsics import chosen, floor_nearest
from fastrev.kernels.jit import inlined, inner_loop
from fastrev.kernels.noise import first_normal64, uniform_at
from fastrev.kernels.recipe import Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.streams import STREAM_BRIDGE
from fastrev.kernels.vmath import BY_WIDTH

_u64 = np.uint64
_BRIDGE = _u64(STREAM_BRIDGE)
_EIGHT, _TWO = _u64(8), _u64(2)
_exp = BY_WIDTH["float64"]["exp"]
_AT_ONCE = 64
"""Particles among which those near a wall are looked for together."""
_CERTAIN = 12.0
"""2 d0 d1/v < 24: beyond, a path touches a wall less often than once in 10^10 steps."""


@inlined
def _folded(x, low, high):
    """x mirrored at low, then at high, where it is beyond."""
    x = low + (low - x) if x < low else x
    return high - (x - high) if x > high else x


@inlined
def reflected(x, low, high):
    """x folded at low and high, twice; what is then still outside is put on the wall.

    Not by a loop of two: the loop over particles around it would stay scalar (measured, Zen 3:
    3 ns a particle-step instead of 0.3).
    """
    x = _folded(_folded(x, low, high), low, high)
    x = low if x < low else x
    return high if x > high else x


@inlined
def wrapped(x, low, high):
    """x moved by whole periods into [low, high)."""
    period = high - low
    x = x - period * floor_nearest((x - low) / period)  # half a period about low
    x = x + period if x < low else x
    return low if x >= high else x


@inner_loop
def begin_absorbed(x, tau, t0, walls):
    """tau: t0 for particles outside, infinity for the others."""
    low, high = walls
    for l in range(len(tau)):
        tau[l] = np.inf
        for j in range(len(x)):
            if x[j, l] <= low[j] or x[j, l] >= high[j]:
                tau[l] = t0


@inner_loop
def hold(x, before, tau):
    """Particles that were absorbed stay where they are.

    0 is added to what stays, which LLVM may not leave out (-0 becomes 0): else it makes a masked
    store, for which AMD's processors without AVX-512 take twenty cycles.
    """
    zero = x.dtype.type(0.0)
    for j in range(len(x)):
        ends, starts = x[j], before[j]
        for l in range(len(tau)):
            ends[l] = chosen(tau[l] < np.inf, starts[l], ends[l]) + zero


@inner_loop
def near_walls(x, before, tau, variance, flags, walls, bridge):
    """Flag the particles that touched a wall, or may have, for the first time; their number."""
    low, high = walls
    flags[:] = 0
    for j in range(len(x)):
        a, b = low[j], high[j]
        ends, starts, v = x[j], before[j], variance[j]
        for l in range(len(flags)):
            reach = ends.dtype.type(_CERTAIN) * v[l] if bridge else v[l] * 0
            below = (starts[l] - a) * (ends[l] - a) <= reach or ends[l] <= a
            above = (b - starts[l]) * (b - ends[l]) <= reach or ends[l] >= b
            flags[l] = 1 if below or above else flags[l]
    count = np.int32(0)
    for l in range(len(flags)):
        flags[l] = flags[l] if tau[l] == np.inf else 0
        count = np.int32(count + np.int32(1 if flags[l] > 0 else 0))
    return count


@inlined
def _flagged(flags):
    """How many are flagged."""
    count = np.int32(0)
    for l in range(len(flags)):
        count = np.int32(count + np.int32(flags[l] > 0))
    return count


@inner_loop
def add_passages(numbers, x, tau, table, k, work):
    """Add a tile to `numbers`, laid out as model/first_passage.py says."""
    count, mean, squares = 0, 0.0, 0.0
    for l in range(len(tau)):
        if tau[l] < np.inf:
            count += 1
            gap = float(tau[l]) - mean
            mean += gap / count
            squares += gap * (float(tau[l]) - mean)
    numbers[0] += len(tau)
    if count:
        total, gap = numbers[1] + count, mean - numbers[2]
        numbers[3] += squares + gap * gap * numbers[1] * count / total
        numbers[2] += gap * count / total
        numbers[1] = total


@inlined
def touched(d0, d1, v, u):
    """Whether a step from distance d0 to d1 touched the wall, for a uniform u."""
    if d0 <= 0 or d1 <= 0:
        return True
    return v > 0 and u < _exp(-2.0 * d0 * d1 / v)


@inlined
def touching_time(d0, d1, v, n, u):
    """The fraction of the step at which, for a standard normal n and a uniform u.

    Michael, Schucany and Haas, Am. Stat. 30 (1976) 88; the smaller root written so that
    nothing cancels, also where d1 = 0.
    """
    if d0 <= 0:
        return 0.0
    if v <= 0:
        return d0 / (d0 - d1)
    m, q = abs(d1) / d0, n * n * v / (2.0 * d0 * d0)
    y = 1.0 / (m + q + math.sqrt(q * q + 2.0 * q * m))
    if u * (1.0 + m * y) > 1.0:
        y = 1.0 / (m * m * y)
    return y / (1.0 + y) if y < np.inf else 1.0


def make_begin(recipe: Recipe, build: Specialiser) -> Any:
    """`begin(x, tau, j0, t0, walls)`: the walls' part before the first step."""
    if recipe.absorbing:

        @build.own_loop
        def begin(x, tau, j0, t0, walls):
            begin_absorbed(x, tau, t0, walls)

        return begin
    move = _make_move(recipe, build)

    @build.own_loop
    def begin_inside(x, tau, j0, t0, walls):
        move(x, j0, walls)

    return begin_inside


def make_bound(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`bound(x, before, tau, variance, work, i, j0, low, high, k0, k1, t, h, walls)`: the walls'
    part of step i, which went from x = before at t; tau (B,) times of absorption."""
    if recipe.absorbing:
        return _make_absorb(recipe.boundary == "absorb-bridge", build, real)
    move = _make_move(recipe, build)

    @build.own_loop
    def bound(x, before, tau, variance, work, i, j0, low, high, k0, k1, t, h, walls):
        move(x, j0, walls)

    return bound


def _make_move(recipe: Recipe, build: Specialiser) -> Any:
    """`move(x, j0, walls)`: every coordinate folded at its walls, or brought into its period."""
    moved = reflected if recipe.boundary == "reflect" else wrapped

    @build.own_loop
    def move(x, j0, walls):
        low, high = walls
        for w in range(len(x)):
            a, b, row = low[j0 + w], high[j0 + w], x[w]
            for l in range(len(row)):
                row[l] = moved(row[l], a, b)

    return move


def _make_absorb(bridge: bool, build: Specialiser, real: Any) -> Any:
    @build.own_scalar
    def first_touch(x, before, variance, l, address, low, high, k0, k1, walls):
        """The fraction of the step at which particle l was first at a wall; where; 2 if never."""
        soonest, coordinate, wall = 2.0, 0, 0.0
        for j in range(len(x)):
            v = float(variance[j, l]) if bridge else 0.0
            stream = _u64(_BRIDGE | _u64(j))
            for side in range(2):
                sign = 1.0 if side == 0 else -1.0
                place = float(walls[side][j])
                d0, d1 = sign * (before[j, l] - place), sign * (x[j, l] - place)
                if d0 == np.inf:
                    continue
                counter = _u64(address + _u64(side))
                if touched(d0, d1, v, uniform_at(low, high, counter, stream, k0, k1)):
                    counter = _u64(address + _TWO + _u64(side))
                    n = first_normal64(low, high, counter, stream, k0, k1)
                    counter = _u64(counter + _TWO)
                    u = uniform_at(low, high, counter, stream, k0, k1)
                    fraction = touching_time(d0, d1, v, n, u)
                    if fraction < soonest:
                        soonest, coordinate, wall = fraction, j, place
        return soonest, coordinate, wall

    @build.own_loop
    def absorb(x, before, tau, variance, work, i, j0, low, high, k0, k1, t, h, walls):
        hold(x, before, tau)
        flags = work[0]
        if near_walls(x, before, tau, variance, flags, walls, bridge) == 0:
            return
        address = _u64(_EIGHT * _u64(i))
        for a in range(0, len(tau), _AT_ONCE):
            b = min(a + _AT_ONCE, len(tau))
            if _flagged(flags[a:b]) == 0:
                continue
            for l in range(a, b):
                if flags[l] > 0:
                    f, j, wall = first_touch(
                        x, before, variance, l, address, _u64(low + _u64(l)), high, k0, k1, walls
                    )
                    if f <= 1.0:
                        for q in range(len(x)):
                            x[q, l] = before[q, l] + real(f) * (x[q, l] - before[q, l])
                        x[j, l] = real(wall)
                        tau[l] = t + real(f) * h

    return absorb
