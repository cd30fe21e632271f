"""Normal distributions and their mixtures."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastrev.model import check, mixture
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution, Draw, common_dim, expand, freeze


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


def _draw_mixture(j, u, v, z, p):  # type: ignore[no-untyped-def]
    k = 0
    for i in range(len(p.cumulative)):
        if u > p.cumulative[i]:
            k = i + 1
    return p.mean[k, j] + p.std[k, j] * z


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
        freeze(self, mean=check.finite_array("Gaussian.mean", self.mean, ndim=(0, 1)))
        if self.cov is not None:
            cov = check.covariance("Gaussian.cov", self.cov, ndim=2)
            if not (np.ndim(self.std) == 0 and self.std == 1.0):
                raise InputError("Gaussian takes std or cov, got both")
            if self.mean.ndim and len(self.mean) != len(cov):
                raise InputError(
                    f"Gaussian.cov must be ({len(self.mean)}, {len(self.mean)}), as mean has, "
                    f"got shape {cov.shape}"
                )
            freeze(self, cov=cov, mean=expand(self.mean, (len(cov),)), dim=len(cov))
            return
        freeze(self, std=check.positive_array("Gaussian.std", self.std, ndim=(0, 1)))
        freeze(self, dim=common_dim(self.mean, self.std))

    def draw(self, dim: int) -> Draw:
        """mean + std z, or mean + L z with L L^T = cov."""
        if self.cov is not None:
            return _draw_correlated(self.components())
        params = {"mean": expand(self.mean, (dim,)), "std": expand(self.std, (dim,))}
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
            freeze(self, weights=weights / weights.sum(), means=means, covs=covs, dim=d)
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
        freeze(self, weights=weights / weights.sum(), means=means, stds=stds)
        freeze(self, dim=common_dim(*(a for a in (means, stds) if a.ndim == 2)))

    def draw(self, dim: int) -> Draw:
        """Component k where u falls between cumulative weights, then m_k + s_k z."""
        c = self.components()
        if c.covs is not None:
            return _draw_correlated(c)
        shape = (len(c.weights), dim)
        params = {
            "cumulative": np.cumsum(c.weights)[:-1],
            "mean": expand(c.means, shape),
            "std": expand(np.sqrt(c.variances), shape),
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
