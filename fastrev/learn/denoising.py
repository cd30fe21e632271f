"""Denoising score matching: what a score is fitted to when only data are known.

    the minimiser of  E || s(x_t, t) - target ||^2,   target = -(x_t - a x_0 - b)/v,

over functions s is grad log p_t, where x_t | x_0 ~ N(a x_0 + b, v).
Vincent, Neural Comput. 23 (2011) 1661; Song et al. 2021 (arXiv:2011.13456), eq. 7.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastrev.model import check
from fastrev.model.check import Array, InputError
from fastrev.model.process import Process


class Pairs(NamedTuple):
    """Training pairs: x_t (N, d), t (N,), target (N, d), and the usual weight v (N,)."""

    x: Array
    t: Array
    target: Array
    weight: Array


class AffineScore(NamedTuple):
    """s(x) = slope x + offset, shapes (d, d) and (d,)."""

    slope: Array
    offset: Array


def denoising_pairs(process: Process, data: ArrayLike, t: ArrayLike, seed: int) -> Pairs:
    """One noised copy of each data point at its own time.

    data  (N, d) points of p_0;  t  a time > 0, or one per point (N,)

    Raises InputError.
    """
    points = check.finite_array("data", data, ndim=(2,))
    times = np.broadcast_to(check.positive_array("t", t, ndim=(0, 1)), (len(points),))
    if times.max() > process.horizon:
        raise InputError(f"t must be at most T = {process.horizon:g}, got {times.max():g}")
    scale, shift, variance = (v[:, None] for v in process.transition(times))
    z = np.random.default_rng(seed).standard_normal(points.shape)
    x = scale * points + shift + np.sqrt(variance) * z
    return Pairs(x, times, -z / np.sqrt(variance), variance[:, 0])


def fit_affine_score(pairs: Pairs) -> AffineScore:
    """Least squares over affine scores: exact where p_t is Gaussian, at one time t.

    Then slope = -C^-1 and offset = C^-1 m, with C and m the covariance and mean of p_t.
    """
    design = np.column_stack([pairs.x, np.ones(len(pairs.x))])
    solution: Array = np.linalg.lstsq(design, pairs.target, rcond=None)[0].astype(np.float64)
    return AffineScore(solution[:-1].T, solution[-1])
