"""Distributions: where a run starts, and what its marginals are.

Scalar parameters serve every coordinate; an array gives each coordinate its
own.  Points are rows: an `x` of shape (N, d) holds N points and gives N
densities; an `x` of fewer dimensions holds points on the line.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastrev.model import check, mixture
from fastrev.model.check import Array, InputError
from fastrev.model.points import read_points


@dataclass(frozen=True)
class Draw:
    """How a kernel draws coordinate j of one particle: `function(j, u, v, z, p)`.

    u is uniform on (0, 1) and shared by the particle's coordinates, v is uniform
    and z standard normal for coordinate j; the flags say which are looked at.
    """

    function: Callable[..., Any]
    params: dict[str, Array]
    uses_u: bool = False
    uses_v: bool = False
    uses_z: bool = False
    correlated: bool = False
    """Whether x then becomes mean_k + chol_k x for the component k that u chooses: params mean
    (K, d), chol (K, d, d), lower triangles, and cumulative (K - 1,)."""


class Distribution:
    """What all distributions share.  `dim` is None where the parameters are scalars."""

    dim: int | None

    def draw(self, dim: int) -> Draw:
        """The kernel's draw for `dim` coordinates."""
        raise NotImplementedError

    def moments(self) -> tuple[Array, Array]:
        """Mean and variance of each coordinate, shapes (d,), or (1,) where scalar."""
        raise NotImplementedError

    def components(self) -> mixture.Components:
        """The distribution as a Gaussian mixture.  Raises InputError where it is none."""
        raise InputError(
            f"{type(self).__name__} has no closed-form marginal; "
            "allowed: Point, Gaussian, GaussianMixture, Empirical"
        )

    def sample(self, n: int, seed: int | None = None, dim: int | None = None) -> Array:
        """n points, shape (n, d), float64, from NumPy's generator."""
        d = agree(self.dim, dim)
        size = int(check.positive("n", n))
        return self._sample(np.random.default_rng(seed), (size, d))

    def _sample(self, rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        raise NotImplementedError

    def pdf(self, x: ArrayLike) -> Array:
        """The density at each point."""
        return mixture.pdf(self.components(), x)

    def cdf(self, x: ArrayLike) -> Array:
        """P(X <= x), for one coordinate."""
        return mixture.cdf(self.components(), x)

    def score(self, x: ArrayLike) -> Array:
        """The score, grad log p, at each point, in the shape of x."""
        return mixture.score(self.components(), x)


def agree(own: int | None, asked: int | None) -> int:
    """The number of coordinates.  Raises InputError where two sources disagree."""
    if own is not None and asked is not None and own != asked:
        raise InputError(f"dim must be {own}, as the distribution has, got {asked}")
    return own or asked or 1


def _common_dim(*parameters: Array) -> int | None:
    """The common length of the array parameters, None where all are scalars."""
    sizes = {value.shape[-1] for value in parameters if value.ndim}
    if len(sizes) > 1:
        raise InputError(f"parameters must have equally many coordinates, got {sorted(sizes)}")
    return sizes.pop() if sizes else None


def _expand(value: Array, shape: tuple[int, ...]) -> Array:
    return np.array(np.broadcast_to(value, shape))


def _draw_point(j, u, v, z, p):  # type: ignore[no-untyped-def]
    return p.x[j]


def _draw_gaussian(j, u, v, z, p):  # type: ignore[no-untyped-def]
    return p.mean[j] + p.std[j] * z


def _draw_normal(j, u, v, z, p):  # type: ignore[no-untyped-def]
    return z


def _draw_correlated(c: mixture.Components) -> Draw:
    """Normals, which the kernel then mixes."""
    params = {
        "cumulative": np.cumsum(c.weights)[:-1],
        "mean": c.means,
        "chol": c.cholesky(),
    }
    return Draw(_draw_normal, params, uses_u=True, uses_z=True, correlated=True)


def _sample_correlated(
    c: mixture.Components, rng: np.random.Generator, shape: tuple[int, int]
) -> Array:
    k = rng.choice(len(c.weights), size=shape[0], p=c.weights)
    z = rng.standard_normal(shape)
    return np.asarray(c.means[k] + (c.cholesky()[k] @ z[..., None])[..., 0])


def _draw_uniform(j, u, v, z, p):  # type: ignore[no-untyped-def]
    return p.low[j] + p.width[j] * v


def _draw_mixture(j, u, v, z, p):  # type: ignore[no-untyped-def]
    k = 0
    for i in range(len(p.cumulative)):
        if u > p.cumulative[i]:
            k = i + 1
    return p.mean[k, j] + p.std[k, j] * z


def _draw_empirical(j, u, v, z, p):  # type: ignore[no-untyped-def]
    m = len(p.points)
    return p.points[min(int(u * m), m - 1), j]


@dataclass(frozen=True, eq=False)
class Point(Distribution):
    """All mass at x: a number, or one number per coordinate (d,).  Raises InputError."""

    x: Any

    dim: int | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _freeze(self, x=check.finite_array("Point.x", self.x, ndim=(0, 1)))
        _freeze(self, dim=_common_dim(self.x))

    def draw(self, dim: int) -> Draw:
        """x itself."""
        return Draw(_draw_point, {"x": _expand(self.x, (dim,))})

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
        return _expand(self.x, shape)


@dataclass(frozen=True, eq=False)
class Gaussian(Distribution):
    """N(mean, std^2) with independent coordinates; numbers or (d,), std > 0.

    cov   (d, d), symmetric and positive definite, in place of std

    Raises InputError.
    """

    mean: Any = 0.0
    std: Any = 1.0
    cov: Any = None

    dim: int | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _freeze(self, mean=check.finite_array("Gaussian.mean", self.mean, ndim=(0, 1)))
        if self.cov is not None:
            cov = check.covariance("Gaussian.cov", self.cov, ndim=2)
            if not (np.ndim(self.std) == 0 and self.std == 1.0):
                raise InputError("Gaussian takes std or cov, got both")
            if self.mean.ndim and len(self.mean) != len(cov):
                raise InputError(
                    f"Gaussian.cov must be ({len(self.mean)}, {len(self.mean)}), as mean has, "
                    f"got shape {cov.shape}"
                )
            _freeze(self, cov=cov, mean=_expand(self.mean, (len(cov),)), dim=len(cov))
            return
        _freeze(self, std=check.positive_array("Gaussian.std", self.std, ndim=(0, 1)))
        _freeze(self, dim=_common_dim(self.mean, self.std))

    def draw(self, dim: int) -> Draw:
        """mean + std z, or mean + L z with L L^T = cov."""
        if self.cov is not None:
            return _draw_correlated(self.components())
        params = {"mean": _expand(self.mean, (dim,)), "std": _expand(self.std, (dim,))}
        return Draw(_draw_gaussian, params, uses_z=True)

    def moments(self) -> tuple[Array, Array]:
        """mean and std^2, or the diagonal of cov."""
        if self.cov is not None:
            return self.mean, np.diag(self.cov).copy()
        mean, std = np.broadcast_arrays(np.atleast_1d(self.mean), np.atleast_1d(self.std))
        return np.array(mean), std**2

    def components(self) -> mixture.Components:
        """One component."""
        mean, variance = self.moments()
        covs = None if self.cov is None else self.cov[None]
        return mixture.Components(np.ones(1), mean[None], variance[None], covs)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        if self.cov is not None:
            return _sample_correlated(self.components(), rng, shape)
        return np.asarray(self.mean + self.std * rng.standard_normal(shape))


@dataclass(frozen=True, eq=False)
class GaussianMixture(Distribution):
    """sum_k w_k N(m_k, s_k^2): a component is chosen once, for all coordinates.

    `weights` (K,), positive, scaled to sum 1; `means` (K,) or (K, d); `stds` a
    number, (K,) or (K, d), positive; or `covs` (K, d, d), symmetric and positive
    definite, in their place.  Raises InputError.
    """

    weights: Any
    means: Any
    stds: Any = None
    covs: Any = None

    dim: int | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        weights = check.positive_array("GaussianMixture.weights", self.weights, ndim=(1,))
        means = check.finite_array("GaussianMixture.means", self.means, ndim=(1, 2))
        if (self.stds is None) == (self.covs is None):
            raise InputError("GaussianMixture takes stds or covs, one of them")
        if self.covs is not None:
            covs = check.covariance("GaussianMixture.covs", self.covs, ndim=3)
            k, d = len(covs), covs.shape[1]
            if len(weights) != k or means.shape != (k, d):
                raise InputError(
                    f"GaussianMixture.covs of shape {covs.shape} need weights ({k},) and means "
                    f"({k}, {d}), got {weights.shape} and {means.shape}"
                )
            _freeze(self, weights=weights / weights.sum(), means=means, covs=covs, dim=d)
            return
        stds = check.positive_array("GaussianMixture.stds", self.stds, ndim=(0, 1, 2))
        for name, value in (("means", means), ("stds", stds)):
            if value.ndim and len(value) != len(weights):
                raise InputError(
                    f"GaussianMixture.{name} must have one entry per weight "
                    f"({len(weights)}), got {len(value)}"
                )
        if stds.ndim == 2 and means.ndim == 1:
            means = np.repeat(means[:, None], stds.shape[1], axis=1)
        _freeze(self, weights=weights / weights.sum(), means=means, stds=stds)
        _freeze(self, dim=_common_dim(*(a for a in (means, stds) if a.ndim == 2)))

    def draw(self, dim: int) -> Draw:
        """Component k where u falls between cumulative weights, then m_k + s_k z."""
        c = self.components()
        if c.covs is not None:
            return _draw_correlated(c)
        shape = (len(c.weights), dim)
        params = {
            "cumulative": np.cumsum(c.weights)[:-1],
            "mean": _expand(c.means, shape),
            "std": _expand(np.sqrt(c.variances), shape),
        }
        return Draw(_draw_mixture, params, uses_u=True, uses_z=True)

    def moments(self) -> tuple[Array, Array]:
        """Mean and variance per coordinate."""
        return mixture.moments(self.components())

    def components(self) -> mixture.Components:
        """Itself."""
        if self.covs is not None:
            variances = np.einsum("kjj->kj", self.covs).copy()
            return mixture.Components(self.weights, self.means, variances, self.covs)
        means = self.means.reshape(len(self.weights), -1)
        stds = self.stds.reshape(len(self.weights), -1) if self.stds.ndim else self.stds
        return mixture.Components(
            self.weights, means, np.array(np.broadcast_to(stds**2, np.broadcast(means, stds).shape))
        )

    def _sample(self, rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        c = self.components()
        if c.covs is not None:
            return _sample_correlated(c, rng, shape)
        k = rng.choice(len(c.weights), size=shape[0], p=c.weights)
        return c.means[k] + np.sqrt(c.variances[k]) * rng.standard_normal(shape)


@dataclass(frozen=True, eq=False)
class Uniform(Distribution):
    """Uniform between low and high in each coordinate; numbers or (d,).  Raises InputError."""

    low: Any
    high: Any

    dim: int | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _freeze(self, low=check.finite_array("Uniform.low", self.low, ndim=(0, 1)))
        _freeze(self, high=check.finite_array("Uniform.high", self.high, ndim=(0, 1)))
        _freeze(self, dim=_common_dim(self.low, self.high))
        if np.any(self.high <= self.low):
            raise InputError(f"Uniform.high must exceed low, got {self.low} .. {self.high}")

    def draw(self, dim: int) -> Draw:
        """low + (high - low) v."""
        params = {
            "low": _expand(self.low, (dim,)),
            "width": _expand(self.high - self.low, (dim,)),
        }
        return Draw(_draw_uniform, params, uses_v=True)

    def moments(self) -> tuple[Array, Array]:
        """(low + high)/2 and (high - low)^2/12."""
        low, high = np.atleast_1d(self.low), np.atleast_1d(self.high)
        return (low + high) / 2, (high - low) ** 2 / 12

    def pdf(self, x: ArrayLike) -> Array:
        """1/volume inside the box, else 0."""
        points, shape = mixture.rows(x)
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

    points   an array, or the name of a .npy, .csv or HDF5 file: see `model/points.py`

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
        _freeze(self, points=points, dim=points.shape[1])

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


def _freeze(instance: Any, **values: Any) -> None:
    """Set checked values on a frozen dataclass."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def parameters(instance: Any) -> dict[str, Any]:
    """The constructor's arguments of a model object, arrays as lists."""
    values = {f.name: getattr(instance, f.name) for f in fields(instance) if f.init}
    return {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in values.items()}
