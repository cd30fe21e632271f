"""The exact law beside a run: of the process, and of the discrete scheme itself."""

from typing import NamedTuple

import numpy as np

from fastrev.engine.specification import Specification
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution
from fastrev.model.kernel import Affine
from fastrev.model.process import Process
from fastrev.model.reversal import Reverse
from fastrev.model.score import ExactScore


class Moments(NamedTuple):
    """Mean and variance of each frame and coordinate, shapes (F, d)."""

    mean: Array
    variance: Array


def law(spec: Specification, t: float) -> Distribution | None:
    """The law of x_t of the process that a run follows, None where there is no closed form."""
    if isinstance(spec.process, Reverse):
        score = spec.process.score
        return score.process.marginal(score.p0, t) if isinstance(score, ExactScore) else None
    closed = isinstance(spec.process, Process) and isinstance(spec.x0, Distribution)
    if not closed or spec.grid.start != 0.0:
        return None
    try:
        return spec.process.marginal(spec.x0, t)  # type: ignore[no-any-return]
    except InputError:  # a law p0 with no closed-form marginal
        return None


def scheme_moments(spec: Specification, times: Array | None = None) -> Moments:
    """Mean and variance that Euler-Maruyama itself produces, without discretisation error.

        m_{i+1} = (1 + A_i h_i) m_i + B_i h_i
        v_{i+1} = (1 + A_i h_i)^2 v_i + eta^2 g_i^2 |h_i|      for the drift A x + B

    At some of the grid's times, those of the frames unless given.  In float64, for a
    drift linear in x: every built-in process, reversed with the score of a Gaussian or a
    point.  x0 must be a distribution.  Raises InputError.
    """
    kept = list(spec.frame_steps)
    if times is not None:
        kept = [int(np.argmin(np.abs(spec.grid.times - t))) for t in times]
    if spec.method == "heun":
        raise InputError("the exact recursion is Euler-Maruyama's, and this run took Heun steps")
    slope, offset, g = _linear_drift(spec)
    eta = spec.process.noise if isinstance(spec.process, Reverse) else 1.0
    if not isinstance(spec.x0, Distribution):
        raise InputError("scheme_moments needs x0 as a distribution, got an array")
    if slope.ndim == 3:
        return _matrix_recursion(spec, slope, offset, eta * g, kept)
    mean, variance = (np.broadcast_to(m, (spec.dim,)) for m in spec.x0.moments())
    means, variances = [mean], [variance]
    for i, h in enumerate(spec.grid.h):
        factor = 1.0 + slope[i] * h
        mean = factor * mean + offset[i] * h
        variance = factor**2 * variance + (eta * g[i]) ** 2 * abs(h)
        means.append(mean)
        variances.append(variance)
    return Moments(np.array(means)[kept], np.array(variances)[kept])


def _matrix_recursion(
    spec: Specification, slope: Array, offset: Array, g: Array, kept: list[int]
) -> Moments:
    """The same for a matrix: V_{i+1} = (1 + A_i h_i) V_i (1 + A_i h_i)^T + G_i G_i^T |h_i|."""
    means, covs = scheme_covariances(spec, slope, offset, g)
    return Moments(means[kept], np.einsum("fjj->fj", covs)[kept].copy())


def scheme_covariances(
    spec: Specification, slope: Array, offset: Array, g: Array
) -> tuple[Array, Array]:
    """Mean (S+1, d) and covariance (S+1, d, d) after each step, for the drift slope x + offset."""
    assert isinstance(spec.x0, Distribution)
    c = spec.x0.components().full(spec.dim)
    mean = c.weights @ c.means
    assert c.covs is not None
    away = c.means - mean
    cov = np.einsum("k,kij->ij", c.weights, c.covs + away[:, :, None] * away[:, None, :])
    means, covs, eye = [mean], [cov], np.eye(spec.dim)
    for i, h in enumerate(spec.grid.h):
        factor = eye + slope[i] * h
        noise = g @ g.T if g.ndim == 2 else g[i] ** 2 * eye
        mean, cov = factor @ mean + offset[i] * h, factor @ cov @ factor.T + noise * abs(h)
        means.append(mean)
        covs.append(cov)
    return np.array(means), np.array(covs)


def _linear_drift(spec: Specification) -> Affine:
    """Slope and offset of the drift, (S, d), and g (S,).  Raises InputError."""
    affine = getattr(spec.process, "affine", None)
    law = affine(spec.grid.times[:-1]) if affine else None
    if law is None:
        raise InputError("the drift is not linear in x: there is no exact recursion")
    if law.slope.ndim == 3:
        return law  # type: ignore[no-any-return]
    shape = (spec.grid.steps, spec.dim)
    slope, offset = (np.broadcast_to(v.reshape(len(v), -1), shape) for v in law[:2])
    return Affine(slope, offset, law.g)
