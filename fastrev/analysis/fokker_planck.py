"""The Fokker-Planck equation in one dimension: densities without a particle.

    dp/dt = -d/dx (f p) + 1/2 d^2/dx^2 (g^2 p)

by finite volumes with the fluxes of Chang and Cooper (J. Comput. Phys. 6 (1970) 1), here in
the equivalent form of Scharfetter and Gummel, and implicit Euler steps: mass is kept to
rounding, densities stay positive, and a stationary law is met exactly where f and g are.
No flux leaves the grid.  The error is of first order in the time step, of second in the cell.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve_banded

from fastrev.model import check
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution
from fastrev.model.evaluate import evaluated
from fastrev.model.kernel import Kernel


class Densities(NamedTuple):
    """p at the cells' centres x (X,) and the times (F,): density (F, X)."""

    times: Array
    x: Array
    density: Array

    def cdf(self, t: float) -> Any:
        """The distribution function at the stored time nearest to t, as a function of x."""
        row = int(np.argmin(np.abs(self.times - t)))
        h = self.x[1] - self.x[0]
        edges = np.concatenate([[self.x[0] - h / 2], self.x + h / 2])
        total = np.concatenate([[0.0], np.cumsum(self.density[row]) * h])
        return lambda x: np.interp(x, edges, total / total[-1])


def solve(process: Any, p0: Distribution, times: Any, x: Any, steps: int = 1000) -> Densities:
    """The densities of x_t at some times, where x_0 has law p0.

    process  a forward process of one coordinate
    p0       a distribution with a cdf, a Point too
    times    (F,) increasing, from 0 or later
    x        (X,) evenly spaced centres of cells
    steps    implicit Euler steps from 0 to the last time; more where times ask for it

    Raises InputError.
    """
    if hasattr(process, "score") and not hasattr(process, "terms"):
        raise InputError(f"process must be a forward process, got {process!r}")
    if process.dim not in (None, 1):
        raise InputError(f"process must have one coordinate, got dim = {process.dim}")
    times = check.finite_array("times", times, ndim=(1,))
    x = check.finite_array("x", x, ndim=(1,))
    h = np.diff(x)
    if len(x) < 4 or h.min() <= 0 or np.ptp(h) > 1e-6 * h.mean():
        raise InputError("x must be evenly spaced, increasing, 4 or more points")
    if times[0] < 0 or np.any(np.diff(times) <= 0):
        raise InputError("times must increase, from 0 or later")
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}")
    width = float(h.mean())
    edges = np.concatenate([[x[0] - width / 2], x + width / 2])
    mass = np.diff([float(np.squeeze(p0.cdf(e))) for e in edges])
    if mass.sum() < 0.999:
        raise InputError(f"x must cover p0: only {mass.sum():.3g} of it lies between its ends")
    p = mass / mass.sum() / width
    terms = process.terms(1)
    found, t = [], 0.0
    for end in times:
        count = int(np.ceil((end - t) / times[-1] * steps)) if end > t else 0
        for k in range(count):
            dt = (end - t) / count
            p = _step(p, terms, edges, t + (k + 1) * dt, dt)
        t = float(end)
        found.append(p)
    return Densities(times, x, np.array(found))


def _step(p: Array, terms: Any, edges: Array, t: float, dt: float) -> Array:
    """One implicit step: (1 + dt/h (F_right - F_left)) p' = p, with F linear in p'."""
    inner, width = edges[1:-1], edges[1] - edges[0]
    small = 1e-5 * np.maximum(1.0, np.abs(inner))
    half = [0.5 * _at(terms.diffusion, inner + e, t) ** 2 for e in (-small, 0.0, small)]
    b = np.maximum(half[1], 1e-300)  # J = a p - b p', from d(b p) = b' p + b p'
    a = _at(terms.drift, inner, t) - (half[2] - half[0]) / (2.0 * small)
    w = a * width / b
    left, right = (
        b / width * _bernoulli(-w),
        b / width * _bernoulli(w),
    )  # J = left p_i - right p_i+1
    scale = dt / width
    bands = np.zeros((3, len(p)))
    bands[1] = 1.0
    bands[1, :-1] += scale * left
    bands[1, 1:] += scale * right
    bands[0, 1:] = -scale * right
    bands[2, :-1] = -scale * left
    return np.asarray(solve_banded((1, 1), bands, p))


def _bernoulli(w: Array) -> Array:
    """w/(e^w - 1)."""
    near = np.abs(w) < 1e-8
    safe = np.where(near, 1.0, np.clip(w, -700.0, 700.0))
    return np.where(near, 1.0 - 0.5 * w, safe / np.expm1(safe))


def _at(kernel: Kernel, x: Array, t: float) -> Array:
    """A kernel's values at places on the line, (X,)."""
    return evaluated(kernel, x[:, None], t).reshape(len(x))
