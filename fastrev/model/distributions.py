"""A point, a box, and points of a data set, as distributions."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastrev.model import check, mixture
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution, Draw, common_dim, expand, freeze
from fastrev.model.points import read_points


def _draw_point(j, u, v, z, p):  # type: ignore[no-untyped-def]
    return p.x[j]


def _draw_uniform(j, u, v, z, p):  # type: ignore[no-untyped-def]
    return p.low[j] + p.width[j] * v


def _draw_empirical(j, u, v, z, p):  # type: ignore[no-untyped-def]
    m = len(p.points)
    return p.points[min(int(u * m), m - 1), j]


@dataclass(frozen=True, eq=False)
class Point(Distribution):
    """All mass at x: a number, or one number per coordinate (d,).  Raises InputError."""

    x: Any

    dim: int | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        freeze(self, x=check.finite_array("Point.x", self.x, ndim=(0, 1)))
        freeze(self, dim=common_dim(self.x))

    def draw(self, dim: int) -> Draw:
        """x itself."""
        return Draw(_draw_point, {"x": expand(self.x, (dim,))})

    def moments(self) -> tuple[Array, Array]:
        """x and zero."""
        mean = np.atleast_1d(self.x)
        return mean, np.zeros_like(mean)

    def components(self) -> mixture.Components:
        """One component of no width."""
        mean = np.atleast_2d(self.x)
        return mixture.Components(np.ones(1), mean, np.zeros_like(mean))

    def pdf(self, x: ArrayLike) -> Array:
        """A point has no density.  Raises InputError."""
        raise InputError("Point has no density; use .cdf, or the marginal at a later time")

    def score(self, x: ArrayLike) -> Array:
        """A point has no score.  Raises InputError."""
        raise InputError("Point has no score; use the marginal at a later time")

    def _sample(self, rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        return expand(self.x, shape)


@dataclass(frozen=True, eq=False)
class Uniform(Distribution):
    """Uniform between low and high in each coordinate; numbers or (d,).  Raises InputError."""

    low: Any
    high: Any

    dim: int | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        freeze(self, low=check.finite_array("Uniform.low", self.low, ndim=(0, 1)))
        freeze(self, high=check.finite_array("Uniform.high", self.high, ndim=(0, 1)))
        freeze(self, dim=common_dim(self.low, self.high))
        if np.any(self.high <= self.low):
            raise InputError(f"Uniform.high must exceed low, got {self.low} .. {self.high}")

    def draw(self, dim: int) -> Draw:
        """low + (high - low) v."""
        params = {
            "low": expand(self.low, (dim,)),
            "width": expand(self.high - self.low, (dim,)),
        }
        return Draw(_draw_uniform, params, uses_v=True)

    def moments(self) -> tuple[Array, Array]:
        """(low + high)/2 and (high - low)^2/12."""
        low, high = np.atleast_1d(self.low), np.atleast_1d(self.high)
        return (low + high) / 2, (high - low) ** 2 / 12

    def pdf(self, x: ArrayLike) -> Array:
        """1/volume inside the box, else 0."""
        points, shape = mixture.rows(x, self.dim)
        inside = np.all((points >= self.low) & (points <= self.high), axis=1)
        width = np.broadcast_to(self.high - self.low, (points.shape[1],))
        return np.asarray((inside / np.prod(width)).reshape(shape))

    def cdf(self, x: ArrayLike) -> Array:
        """P(X <= x), for one coordinate."""
        if self.dim not in (None, 1):
            raise InputError(f"cdf is for one coordinate; the distribution has {self.dim}")
        return np.asarray(np.clip((np.asarray(x) - self.low) / (self.high - self.low), 0.0, 1.0))

    def score(self, x: ArrayLike) -> Array:
        """Zero inside the box, NaN outside, where there is no density."""
        x = np.asarray(x, dtype=np.float64)
        return np.where((x >= self.low) & (x <= self.high), 0.0, np.nan)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        return rng.uniform(self.low, self.high, shape)


@dataclass(frozen=True, eq=False)
class Empirical(Distribution):
    """Equal mass at each of M points, shape (M, d), or (M,) on the line; or a file of them.

    points   an array, or the name of a .npy file of (M, d), a .csv file of rows, or an HDF5 file
             of a run, whose last frame they are

    Raises InputError.
    """

    points: Any

    dim: int | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        points = self.points
        if isinstance(points, str | Path):
            points = read_points(points)
        points = check.finite_array("Empirical.points", points, ndim=(1, 2))
        points = points.reshape(len(points), -1)
        points.setflags(write=False)
        freeze(self, points=points, dim=points.shape[1])

    def draw(self, dim: int) -> Draw:
        """Point number floor(u M)."""
        return Draw(_draw_empirical, {"points": self.points}, uses_u=True)

    def moments(self) -> tuple[Array, Array]:
        """Mean and variance of the points, per coordinate."""
        return self.points.mean(axis=0), self.points.var(axis=0)

    def components(self) -> mixture.Components:
        """M components of no width."""
        m = len(self.points)
        return mixture.Components(np.full(m, 1.0 / m), self.points, np.zeros_like(self.points))

    def pdf(self, x: ArrayLike) -> Array:
        """Points have no density.  Raises InputError."""
        raise InputError("Empirical has no density; use the marginal at a later time")

    def cdf(self, x: ArrayLike) -> Array:
        """The fraction of points <= x, for one coordinate."""
        if self.dim != 1:
            raise InputError(f"cdf is for one coordinate; the distribution has {self.dim}")
        ordered = np.sort(self.points[:, 0])
        return np.searchsorted(ordered, np.asarray(x), side="right") / len(ordered)

    def score(self, x: ArrayLike) -> Array:
        """Points have no score.  Raises InputError."""
        raise InputError("Empirical has no score; use the marginal at a later time")

    def _sample(self, rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        return np.asarray(self.points[rng.integers(len(self.points), size=shape[0])])
