"""The same reverse Brownian motion, as users of other tools would write it well.

Each takes (x0, D, T, steps) and returns the final x.
"""

import numba
import numpy as np


def numpy_loop(x, D, T, steps):
    """The loop of the reference document: NumPy, float64."""
    dt = -T / steps
    for i in range(steps):
        t = T + i * dt
        drift = x / t
        x = x + drift * dt + np.sqrt(2 * D * abs(dt)) * np.random.randn(len(x))
    return x


def numpy_float32(x, D, T, steps):
    """NumPy in place, float32, with the modern generator."""
    rng = np.random.default_rng()
    x = x.astype(np.float32)
    z = np.empty_like(x)
    h = T / steps
    for i in range(steps):
        t = T - i * h
        rng.standard_normal(dtype=np.float32, out=z)
        x *= np.float32(1 - h / t)
        z *= np.float32(np.sqrt(2 * D * h))
        x += z
    return x


@numba.njit(parallel=True)
def _fused(x, D, T, steps):
    dt = -T / steps
    scale = np.sqrt(2 * D * abs(dt))
    for i in numba.prange(len(x)):
        v = x[i]
        for k in range(steps):
            t = T + k * dt
            v = v + v / t * dt + scale * np.random.standard_normal()
        x[i] = v


def numba_fused(x, D, T, steps):
    """Numba: a fused loop over particles with np.random.standard_normal, float64, all cores."""
    x = x.copy()
    _fused(x, D, T, steps)
    return x
