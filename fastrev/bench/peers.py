"""The same models, as users of NumPy and of Numba would write them well."""

import math
from typing import Any

import numba
import numpy as np

from fastrev.bench.models import BETA_MAX, BETA_MIN, BROWNIAN, MEANS, STD, WEIGHTS, D, Model, T
from fastrev.model.check import Array


def numpy_loop(x: Array, model: Model, steps: int) -> Array:
    """The textbook loop: NumPy, float64."""
    dt = -T / steps
    for i in range(steps):
        t = T + i * dt
        drift = model.b(x, t)
        x = x + drift * dt + model.g(t) * np.sqrt(abs(dt)) * np.random.randn(len(x))
    return x


def numpy_float32(x: Array, steps: int) -> Any:
    """Reverse Brownian motion by NumPy in place, float32, with the modern generator."""
    rng = np.random.default_rng()
    y = x.astype(np.float32)
    z = np.empty_like(y)
    h = T / steps
    for i in range(steps):
        t = T - i * h
        rng.standard_normal(dtype=np.float32, out=z)
        y *= np.float32(1 - h / t)
        z *= np.float32(np.sqrt(2 * D * h))
        y += z
    return y


def numba_loop(x: Array, model: Model, steps: int) -> Array:
    """Numba: a loop over particles with np.random.standard_normal, float64, all cores."""
    x = x.copy()
    LOOPS[model.name](x, steps, T / steps)
    return x


@numba.njit(parallel=True)
def _brownian(x, steps, h):
    root = math.sqrt(2.0 * D * h)
    for i in numba.prange(len(x)):
        v = x[i]
        for k in range(steps):
            v = v - v / (T - k * h) * h + root * np.random.standard_normal()
        x[i] = v


@numba.njit(parallel=True)
def _double_well(x, steps, h):
    root = math.sqrt(h)
    for i in numba.prange(len(x)):
        v = x[i]
        for _ in range(steps):
            f = math.tanh(2.0 * v) - v + 2.0 * v * math.exp(-(v * v))
            s = (math.tanh(2.0 * v) - v) * math.exp(-0.1 * v * v)
            v += (0.25 * s - f) * h + 0.5 * root * np.random.standard_normal()
        x[i] = v


@numba.njit(parallel=True)
def _mixture(x, steps, h):
    slope = BETA_MAX - BETA_MIN
    for i in numba.prange(len(x)):
        v = x[i]
        for k in range(steps):
            t = T - k * h
            beta = BETA_MIN + slope * t
            a = math.exp(-0.5 * (BETA_MIN * t + 0.5 * slope * t * t))
            variance = a * a * STD * STD + 1.0 - a * a
            total = pull = 0.0
            for c in range(8):
                away = a * MEANS[c] - v
                w = WEIGHTS[c] * math.exp(-0.5 * away * away / variance)
                total += w
                pull += w * away
            s = pull / (total * variance)
            noise = math.sqrt(beta * h) * np.random.standard_normal()
            v += (0.5 * beta * v + beta * s) * h + noise
        x[i] = v


LOOPS = {BROWNIAN: _brownian, "user's kernel": _double_well, "mixture score": _mixture}
"""By the model's name: loop(x, steps, h), in place."""
