"""How far a sample lies from a law, or from another sample, and how far noise alone would put it.

For one coordinate, with distribution functions F and G of two samples of n and m
particles (m infinite for a law), and N = nm/(n + m):

    Kolmogorov-Smirnov  D  = max |F - G|           Kolmogorov's law of sqrt(N) D
    Wasserstein-1       W1 = int |F - G| dx        E W1 -> sqrt(2/(pi N)) int sqrt(F (1 - F)) dx
    energy              E  = 2 int (F - G)^2 dx    mean   -> 2/N int F (1 - F) dx

where the two laws are equal: the second column is the noise floor.  F - G is then
a Brownian bridge over sqrt(N), of mean modulus sqrt(2 F (1 - F)/pi) at each point
(del Barrio, Gine and Matran, Ann. Probab. 27 (1999) 1009; Szekely and Rizzo,
J. Stat. Plan. Inference 143 (2013) 1249).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastrev.model.check import Array

FLOORS = 3.0
"""Of W1, in units of what noise alone gives."""


class Distance(NamedTuple):
    """Distances and what noise alone would give where the laws are equal.

    ks, ks_p              Kolmogorov-Smirnov distance and its p-value
    w1, w1_floor          Wasserstein-1 distance and its mean under equality, in units of x
    energy, energy_floor  energy distance (squared) and its mean under equality
    resolution            what rounding of the sample alone may do to W1
    """

    ks: float
    ks_p: float
    w1: float
    w1_floor: float
    energy: float
    energy_floor: float
    resolution: float

    @property
    def equal(self) -> bool:
        """W1 within three times its floor, and D not rejected at 1e-4."""
        return self.equal_at(1e-4)

    def equal_at(self, p: float) -> bool:
        """The same at another level."""
        return self.w1 <= FLOORS * self.w1_floor + self.resolution and self.ks_p > p


def between_samples(x: Array, y: Array) -> Distance:
    """Two samples (n,) and (m,) of one coordinate."""
    x, y = np.sort(x), np.sort(y)
    points = np.sort(np.concatenate([x, y]))
    f = np.searchsorted(x, points, side="right") / len(x)
    g = np.searchsorted(y, points, side="right") / len(y)
    number = len(x) * len(y) / (len(x) + len(y))
    pooled = np.arange(1, len(points) + 1) / len(points)
    # F - G and F are constant from one point to the next
    gap, widths = np.abs(f - g), np.diff(points)
    return _distance(gap, pooled, widths, number, float(np.max(gap)), _resolution(points))


def from_law(x: Array, cdf: Callable[[Array], Array]) -> Distance:
    """A sample (n,) of one coordinate, and the distribution function of a law."""
    x = np.sort(x)
    n, steps, fine = len(x), np.arange(len(x) + 1) / len(x), _resolution(x)
    below, above = _tail(x[0], -1.0, cdf, fine), _tail(x[-1], 1.0, cdf, fine)
    points = np.concatenate([below[::-1], x, above])
    upper, lower = cdf(points + fine), cdf(points - fine)
    own = slice(len(below), len(below) + n)
    ks = max(np.max(steps[1:] - upper[own]), np.max(lower[own] - steps[:-1]), 0.0)
    risen = lower[1:] - upper[:-1] > _MUCH
    if risen.any():
        between = points[:-1][risen, None] + np.diff(points)[risen, None] * _BETWEEN
        points = np.sort(np.concatenate([points, between.ravel()]))
        upper, lower = cdf(points + fine), cdf(points - fine)
    # between points F_n is constant and the law is taken as the mean of its ends within
    middle = 0.5 * (upper[:-1] + lower[1:])
    gap = np.abs(np.searchsorted(x, points[:-1], side="right") / n - middle)
    return _distance(gap, middle, np.diff(points), float(n), float(ks), fine)


_MUCH = 1e-3
"""A rise of the law from one point to the next in which it is looked at in between,"""
_BETWEEN = np.linspace(0.0, 1.0, 257)[1:-1]
"""at so many places: it may have jumps there."""


def _resolution(x: Array) -> float:
    """What rounding to float32 may have moved the points by; never 0, so that both sides of a
    point may be told apart."""
    return float(2.0**-22 * max(abs(x[0]), abs(x[-1]), 1e-290))


def _tail(end: float, side: float, cdf: Callable[[Array], Array], fine: float) -> Array:
    """Points outwards from a sample's end to where the law has no mass left, (m,)."""
    reach = fine  # enough where the law ends with the sample
    for _ in range(80):
        outside = float(cdf(np.array([end + side * reach]))[0])
        if min(outside, 1.0 - outside) < 1e-12 and (outside > 0.5) == (side > 0):
            break
        reach = max(2.0 * reach, 1e-12)
    return end + side * reach * np.linspace(0.0, 1.0, 2001)[1:]


def _distance(
    gap: Array, law: Array, widths: Array, number: float, ks: float, resolution: float
) -> Distance:
    """From |F - G| and F on intervals of these widths."""
    from scipy.stats import kstwobign

    gap, law = gap[: len(widths)], law[: len(widths)]
    spread = np.maximum(law * (1.0 - law), 0.0)
    return Distance(
        ks,
        float(kstwobign.sf(np.sqrt(number) * ks)),
        float(widths @ gap),
        float(np.sqrt(2.0 / (np.pi * number)) * (widths @ np.sqrt(spread))),
        float(2.0 * (widths @ gap**2)),
        float(2.0 / number * (widths @ spread)),
        resolution,
    )


def energy_in_space(x: Array, y: Array, unbiased: bool = False) -> float:
    """Energy distance of two samples (n, d) and (m, d): 2 E|X - Y| - E|X - X'| - E|Y - Y'|.

    unbiased   leave pairs of a particle with itself out, so that the mean is 0 where the laws
               are equal; else it is never negative, and noise alone makes about
               (1/n + 1/m) E|X - X'| (Szekely and Rizzo 2013)

    It takes n m distances, a block of rows at a time.
    """
    within = [_mean_distance(v, v) * (len(v) / (len(v) - 1) if unbiased else 1.0) for v in (x, y)]
    return 2.0 * _mean_distance(x, y) - sum(within)


_PAIRS = 1 << 22
"""Distances held at a time."""


def _mean_distance(x: Array, y: Array) -> float:
    from scipy.spatial.distance import cdist

    step = max(1, _PAIRS // len(y))
    total = sum(float(cdist(x[a : a + step], y).sum()) for a in range(0, len(x), step))
    return total / (len(x) * len(y))
