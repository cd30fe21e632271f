"""Moments of an ensemble: sums of powers about a reference point near the mean.

The numbers of one time, for d coordinates and with y = x - r:

    [n, r (d), sum y (d), sum y y^T (d x d), sum y^3 (d), sum y^4 (d)]

The point is the median of a few particles, run beforehand, and the same for all ranges, so that
their sums are added; in the end they are moved to the mean itself (Pebay, Sandia report
SAND2008-6212), and a mean far from zero costs no digits.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastrev.model.check import Array
from fastrev.model.observable import Additive

_EXPONENT = 125
"""Of the scale, at most: it and a point times it are float32 numbers."""


class Sums(NamedTuple):
    """The numbers by name: n (F,), the others (F, d), the products (F, d, d)."""

    n: Array
    point: Array
    first: Array
    products: Array
    third: Array
    fourth: Array

    @classmethod
    def of(cls, numbers: Array) -> "Sums":
        """Views of an array (F, 1 + 4d + d^2)."""
        d = round(np.sqrt(numbers.shape[1] + 3.0)) - 2
        ends = np.cumsum([1, d, d, d * d, d])
        n, point, first, products, third, fourth = np.split(numbers, ends, axis=1)
        return cls(n[:, 0], point, first, products.reshape(-1, d, d), third, fourth)

    def packed(self) -> Array:
        """The array that `of` takes."""
        flat = self.products.reshape(len(self.n), -1)
        parts = (self.n[:, None], self.point, self.first, flat, self.third, self.fourth)
        return np.concatenate(parts, axis=1)

    def about(self, point: Array) -> "Sums":
        """The same particles' sums about another point."""
        n, e = self.n[:, None], point - self.point
        s1, s2 = self.first, np.einsum("fjj->fj", self.products)
        cross = s1[:, :, None] * e[:, None, :]
        products = self.products - cross - cross.swapaxes(1, 2)
        products += n[:, :, None] * e[:, :, None] * e[:, None, :]
        third = self.third + e * (-3.0 * s2 + e * (3.0 * s1 - n * e))
        fourth = self.fourth + e * (-4.0 * self.third + e * (6.0 * s2 + e * (n * e - 4.0 * s1)))
        return Sums(self.n, point, s1 - n * e, products, third, fourth)


@dataclass(frozen=True)
class MomentsResult:
    """Moments of each coordinate at each time.

    times           (F,) forward time
    n               (F,) particles
    mean            (F, d)
    cov             (F, d, d) unbiased covariance, <(x - m)(x - m)^T> n/(n - 1)
    third, fourth   (F, d) central moments <(x - m)^3>, <(x - m)^4>
    stderr          (F, d) standard error of the mean, sqrt(v/n)

    A particle that is NaN makes them NaN, one that is infinite NaN or infinite.
    """

    times: Array
    n: Array
    mean: Array
    cov: Array
    third: Array
    fourth: Array

    @property
    def variance(self) -> Array:
        """(F, d), the diagonal of cov."""
        return np.asarray(np.einsum("fjj->fj", self.cov))

    @property
    def stderr(self) -> Array:
        """Standard error of the mean, (F, d)."""
        return np.sqrt(self.variance / self.n[:, None])

    @property
    def variance_stderr(self) -> Array:
        """Standard error of the variance, sqrt((m4 - v^2)/n), (F, d)."""
        spread = np.maximum(self.fourth - self.variance**2, 0.0)
        return np.sqrt(spread / self.n[:, None])

    @property
    def skewness(self) -> Array:
        """m3 / v^(3/2), (F, d); 0 for a Gaussian."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.third / self.variance**1.5)

    @property
    def kurtosis(self) -> Array:
        """m4 / v^2, (F, d); 3 for a Gaussian."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.fourth / self.variance**2)


@dataclass(frozen=True)
class Moments(Additive):
    """Mean, covariance, third and fourth central moments, in float64, of every coordinate.

    Of float32 particles, six terms at a time are added in float32.  What they lose is some 10^-7
    of a moment's statistical error, or of the moment where many particles have one value; which
    six depends on the size of the shards, and so do these digits.

    times   when: a count, a list of times, {"every": k} steps; None for the times of the frames
    """

    times: Any = None
    name = "moments"
    pilot = 32
    layout = "n, r (d), sum y (d), sum y y^T (d x d), sum y^3 (d), sum y^4 (d), with y = x - r"

    def width(self, dim: int) -> int:
        """Numbers per time: 1 + 4d + d^2."""
        return 1 + 4 * dim + dim * dim

    def bins(self, frames: Array) -> tuple[Array, Array]:
        """The reference point, (F, d), and the inverse of the scale of distances from it, (F, d).

        Of most particles, whatever a few are: the point is the median.  The scale is a power of
        two, and the point a multiple of its sixteenth: float32 then has the differences of
        particles near it exactly, or rounds them at random, not all of them to one side.
        """
        x = np.where(np.isfinite(frames), frames, 0.0).astype(np.float64)  # sums may leave float32
        middle = np.median(x, axis=1)
        away = np.abs(x - middle[:, None])
        half, mean = np.median(away, axis=1), away.mean(axis=1)
        spread = np.where(half > 0.0, half, mean)
        scale = np.ldexp(1.0, np.clip(np.frexp(spread)[1], -_EXPONENT, _EXPONENT))
        point = np.where(half > 0.0, np.rint(middle / scale * 16.0) * scale / 16.0, middle)
        return point.astype(frames.dtype).astype(np.float64), 1.0 / scale

    def laid(self, numbers: Array) -> Array:
        """The reference point."""
        return Sums.of(numbers).point

    def result(self, numbers: Array, times: Array) -> MomentsResult:
        """The moments that the numbers stand for; NaN where there are no particles."""
        sums = Sums.of(numbers)
        n = sums.n[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = sums.point + sums.first / n
            central = sums.about(mean)
            cov = central.products / np.where(sums.n > 1, sums.n - 1.0, np.nan)[:, None, None]
            third, fourth = central.third / n, central.fourth / n
        return MomentsResult(np.asarray(times), sums.n.astype(np.int64), mean, cov, third, fourth)
