"""Gaussian mixtures: density, distribution function, score, moments.

    p(x) = sum_k w_k N(x; m_k, V_k)

Every closed-form marginal is one of these, with K = 1 for a Gaussian.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fastrev.model.check import Array, InputError

_BLOCK = 1 << 21
"""Entries of the largest temporary array."""


@dataclass(frozen=True)
class Components:
    """weights (K,) with sum 1, means (K, d), variances (K, d); d = 1 serves every coordinate.

    covs (K, d, d) where coordinates depend on one another; variances are their diagonals.
    """

    weights: Array
    means: Array
    variances: Array
    covs: Array | None = None

    @property
    def dim(self) -> int | None:
        """Coordinates, None where the parameters serve any number of them."""
        d = self.means.shape[1] if self.covs is None else self.covs.shape[1]
        return d if d > 1 else None

    def affine(self, scale: float, shift: float, variance: float) -> "Components":
        """The law of scale X + shift + N(0, variance)."""
        covs = self.covs
        if covs is not None:
            covs = scale**2 * covs + variance * np.eye(covs.shape[1])
        return Components(
            self.weights, scale * self.means + shift, scale**2 * self.variances + variance, covs
        )

    def cholesky(self) -> Array:
        """Lower triangles L with L L^T = covs, (K, d, d)."""
        assert self.covs is not None
        return np.asarray(np.linalg.cholesky(self.covs))

    def full(self, dim: int) -> "Components":
        """The same with covs, at this dimension."""
        if self.covs is not None:
            return self
        shape = (len(self.weights), dim)
        means = np.array(np.broadcast_to(self.means, shape))
        variances = np.array(np.broadcast_to(self.variances, shape))
        return Components(self.weights, means, variances, variances[:, :, None] * np.eye(dim))


def rows(x: ArrayLike, dim: int | None = None) -> tuple[Array, tuple[int, ...]]:
    """x as (N, d) rows, and the shape that N densities get back.

    dim   the law's coordinates, None where it has as many as x

    Raises InputError.
    """
    x = np.asarray(x, dtype=np.float64)
    if dim is not None and (x.shape[1:] or (1,)) != (dim,) and x.ndim < 3:
        raise InputError(
            f"x must have shape (N, {dim}), as the law has {dim} coordinates, got {x.shape}"
        )
    if x.ndim == 2:
        return x, (x.shape[0],)
    if x.ndim < 2:
        return x.reshape(-1, 1), x.shape
    raise InputError(f"x must be (N, d) rows or points on the line, got shape {x.shape}")


def moments(c: Components) -> tuple[Array, Array]:
    """Mean and variance of each coordinate."""
    mean = c.weights @ c.means
    return mean, c.weights @ (c.variances + (c.means - mean) ** 2)


def marginal(c: Components, coordinate: int) -> Components:
    """The law of one coordinate."""
    j = min(coordinate, c.means.shape[1] - 1)  # one column serves every coordinate
    return Components(c.weights, c.means[:, [j]], c.variances[:, [j]])


def pdf(c: Components, x: ArrayLike) -> Array:
    """The density at each point."""
    points, shape = rows(x, c.dim)
    parts = [np.exp(_log_density(c, block)[0]) for block in _blocks(c, points)]
    return np.concatenate([np.zeros(0), *parts]).reshape(shape)


def score(c: Components, x: ArrayLike) -> Array:
    """grad log p = sum_k share_k(x) (m_k - x)/v_k, in the shape of x."""
    points, _ = rows(x, c.dim)
    parts = [np.zeros((0, points.shape[1]))]
    for block in _blocks(c, points):
        _, share = _log_density(c, block)
        away = c.means - block[:, None, :]
        if c.covs is None:
            pull = away / c.variances
        else:
            pull = np.einsum("kde,nke->nkd", np.linalg.inv(c.covs), away)
        parts.append(np.einsum("nk,nkd->nd", share, pull))
    return np.concatenate(parts).reshape(np.shape(x))


def cdf(c: Components, x: ArrayLike) -> Array:
    """P(X <= x), for one coordinate.  Raises InputError."""
    from scipy.special import ndtr

    if c.means.shape[1] != 1:
        raise InputError(f"cdf is for one coordinate; the distribution has {c.means.shape[1]}")
    points, shape = rows(x)
    result = np.zeros(len(points))
    for w, m, v in zip(c.weights, c.means[:, 0], c.variances[:, 0], strict=True):
        if v > 0.0:
            result += w * ndtr((points[:, 0] - m) / np.sqrt(v))
        else:
            result += w * (points[:, 0] >= m)
    return result.reshape(shape)


def _blocks(c: Components, points: Array) -> Iterator[Array]:
    """Rows in blocks that keep temporaries of (rows, K, d) bounded."""
    size = max(1, _BLOCK // (len(c.weights) * points.shape[1]))
    return (points[i : i + size] for i in range(0, len(points), size))


def _log_density(c: Components, points: Array) -> tuple[Array, Array]:
    """log p (N,) and each component's share of it (N, K)."""
    d = points.shape[1]
    away = points[:, None, :] - c.means
    if c.covs is None:
        spread = np.broadcast_to(c.variances, (len(c.weights), d))
        log_volume = np.log(2 * np.pi * spread).sum(axis=1)
        squares = (away**2 / c.variances).sum(axis=2)
    else:
        log_volume = np.linalg.slogdet(2 * np.pi * c.covs)[1]
        squares = np.einsum("nkd,kde,nke->nk", away, np.linalg.inv(c.covs), away)
    logs = np.log(c.weights) - 0.5 * (squares + log_volume)
    peak = logs.max(axis=1, keepdims=True)
    shares = np.exp(logs - peak)
    total = shares.sum(axis=1, keepdims=True)
    return (peak + np.log(total))[:, 0], shares / total
