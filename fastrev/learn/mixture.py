"""Data as a mixture of Gaussians of one covariance, by expectation and maximisation.

    p_ik ~ w_k N(x_i; c_k, S),   w_k = mean_i p_ik,   c_k = sum_i p_ik x_i / sum_i p_ik,
    S = mean_i x_i x_i^T - sum_k w_k c_k c_k^T

so that mean and covariance of the mixture are those of the data after every step.  Begun from
k-means.  Dempster, Laird and Rubin, J. R. Stat. Soc. B 39 (1977) 1.
"""

import warnings
from typing import NamedTuple

import numpy as np

from fastrev.model.check import Array


class Fitted(NamedTuple):
    """Weights (K,), centres (K, d), and the principal axes of S: std (d,), basis (d, d)."""

    weights: Array
    centres: Array
    std: Array
    basis: Array


def fitted_mixture(points: Array, count: int) -> Fitted:
    """The mixture of at most `count` Gaussians of points (N, d) whose mean is 0."""
    from scipy.special import softmax

    shares = _k_means(points, count)
    for _ in range(_STEPS if count > 1 else 0):
        weights, centres, std, basis = _maximised(points, shares)
        kept = std > 0.0
        y, c = ((v @ basis)[:, kept] / std[kept] for v in (points, centres))
        shares = softmax(y @ c.T - 0.5 * (c**2).sum(axis=1) + np.log(weights), axis=1)
    return _maximised(points, shares)


_STEPS = 30


def _k_means(points: Array, count: int) -> Array:
    """Which centre each point is nearest to, as shares (N, K) of 0 and 1."""
    from scipy.cluster.vq import kmeans2

    if count == 1:
        return np.ones((len(points), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of centres that lose all their points
        nearest = kmeans2(points, count, 50, minit="++", rng=0)[1]
    return np.asarray(np.eye(count)[nearest])


def _maximised(points: Array, shares: Array) -> Fitted:
    """The mixture that these shares give; centres that no point has a share in are gone."""
    weights = shares.mean(axis=0)
    alive = weights > 1e-3 / len(points)
    shares, weights = shares[:, alive], weights[alive] / weights[alive].sum()
    centres = shares.T @ points / shares.sum(axis=0)[:, None]
    within = points.T @ points / len(points) - (weights[:, None] * centres).T @ centres
    variances, basis = np.linalg.eigh(within)
    std = np.sqrt(np.maximum(variances, 0.0))
    std[std < 1e-6 * std.max()] = 0.0
    return Fitted(weights, centres, std, basis)
