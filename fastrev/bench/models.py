"""What is measured: reverse processes in one dimension, from N(0, 1) at t = 1 back to 0.

Each is given twice, as fastrev takes it and as NumPy does; what the scheme makes of it is exact.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastrev as fr
from fastrev.analysis.exact import Moments
from fastrev.model.check import Array

T = 1.0
D = 0.5
BROWNIAN = "reverse Brownian"
"""The model that has a kernel in C."""
MEANS = np.linspace(-3.0, 3.0, 8)
WEIGHTS = np.array([0.1, 0.15, 0.1, 0.2, 0.1, 0.15, 0.1, 0.1])
STD = 0.3
BETA_MIN, BETA_MAX = 0.1, 8.0


@dataclass(frozen=True)
class Model:
    """A reverse process dx = b dt + g dw.

    process   fastrev's
    b, g      functions (x, t) and (t) of arrays and numbers; t is the forward time
    n         particles for one core of a slow peer: about a second
    """

    name: str
    process: Any
    b: Callable[[Array, float], Array]
    g: Callable[[float], float]
    n: int


def brownian() -> Model:
    """Reverse Brownian motion from a point: the drift is x / t."""
    process = fr.Brownian(D)
    back = fr.reverse(process, process.score(fr.Point(0.0)))
    return Model(BROWNIAN, back, lambda x, t: x / t, lambda t: (2.0 * D) ** 0.5, 2**18)


def double_well() -> Model:
    """A user's kernel: a double well with a tanh wall and a barrier, and a score of that kind."""

    def drift(x: Any, t: float, p: Any) -> Any:
        return np.tanh(2.0 * x) - x + 2.0 * x * np.exp(-(x * x))

    def score(x: Any, t: float, p: Any) -> Any:
        return (np.tanh(2.0 * x) - x) * np.exp(-0.1 * x * x)

    def b(x: Array, t: float) -> Array:
        return drift(x, t, ()) - 0.25 * score(x, t, ())  # type: ignore[no-any-return]

    back = fr.reverse(fr.SDE(drift, 0.5), fr.Score(score))
    return Model("user's kernel", back, b, lambda t: 0.5, 2**16)


def mixture() -> Model:
    """Reverse VP with the exact score of eight components."""
    vp = fr.VP(BETA_MIN, BETA_MAX)
    back = fr.reverse(vp, vp.score(fr.GaussianMixture(WEIGHTS, MEANS, STD)))
    slope = BETA_MAX - BETA_MIN

    def b(x: Array, t: float) -> Array:
        beta = BETA_MIN + slope * t
        a = np.exp(-0.5 * (BETA_MIN * t + 0.5 * slope * t * t))
        variance = a * a * STD * STD + 1.0 - a * a
        away = a * MEANS - x[:, None]
        w = WEIGHTS * np.exp(-0.5 * away * away / variance)
        score = (w * away).sum(axis=1) / (w.sum(axis=1) * variance)
        return -0.5 * beta * x - beta * score  # type: ignore[no-any-return]

    return Model("mixture score", back, b, lambda t: float((BETA_MIN + slope * t) ** 0.5), 2**15)


MODELS = (brownian, double_well, mixture)


_NOTHING = 1e-25
"""Mass of a cell that no longer counts: a score may have underflowed so far out."""


def scheme_law(model: Model, steps: int) -> Moments:
    """Exact mean and variance, (1, 1), after Euler-Maruyama's equal steps from N(0, 1).

    Each step is a Gaussian convolution, p(y) = sum_x p(x) N(y; x + b h, g^2 |h|), on a grid of
    0.7 of the narrowest kernel's spread: the rectangle rule is then exact to 1e-14.
    """
    dt = -T / steps
    times = T + dt * np.arange(steps)
    stds = [model.g(float(t)) * abs(dt) ** 0.5 for t in times]
    dx, edge = 0.7 * min(*stds, 0.1), 20.0
    x = dx * np.arange(-int(edge / dx), int(edge / dx) + 1)
    mass = dx * np.exp(-0.5 * x * x) / (2.0 * np.pi) ** 0.5
    for t, std in zip(times, stds, strict=True):
        live = mass > _NOTHING
        mean = x[live] + model.b(x[live], float(t)) * dt
        reach = int(8.0 * std / dx) + 1
        cells = np.rint((mean - x[0]) / dx).astype(int)[:, None] + np.arange(-reach, reach + 1)
        away = (x[0] + dx * cells - mean[:, None]) / std
        moved = mass[live, None] * np.exp(-0.5 * away * away) * dx / (std * (2.0 * np.pi) ** 0.5)
        cells = np.clip(cells, 0, len(x) - 1)
        mass = np.bincount(cells.ravel(), moved.ravel(), minlength=len(x))
    first = float(mass @ x)
    return Moments(np.full((1, 1), first), np.full((1, 1), mass @ (x - first) ** 2))
