"""The exact law beside a run: of the process, and of the discrete scheme itself."""

from typing import NamedTuple

import numpy as np

from fastrev.engine.specification import Specification
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution
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


def scheme_moments(spec: Specification) -> Moments:
    """Mean and variance that Euler-Maruyama itself produces, without discretisation error.

        m_{i+1} = (1 + A_i h_i) m_i + B_i h_i
        v_{i+1} = (1 + A_i h_i)^2 v_i + eta^2 g_i^2 |h_i|      for the drift A x + B

    In float64, for a drift linear in x: every built-in process, reversed with the
    score of a Gaussian or a point.  x0 must be a distribution.  Raises InputError.
    """
    slope, offset, g, eta = _linear_drift(spec)
    if not isinstance(spec.x0, Distribution):
        raise InputError("scheme_moments needs x0 as a distribution, got an array")
    mean, variance = (np.broadcast_to(m, (spec.dim,)) for m in spec.x0.moments())
    means, variances = [mean], [variance]
    for i, h in enumerate(spec.grid.h):
        factor = 1.0 + slope[i] * h
        mean = factor * mean + offset[i] * h
        variance = factor**2 * variance + (eta * g[i]) ** 2 * abs(h)
        means.append(mean)
        variances.append(variance)
    kept = list(spec.frame_steps)
    return Moments(np.array(means)[kept], np.array(variances)[kept])


def _linear_drift(spec: Specification) -> tuple[Array, Array, Array, float]:
    """A_i and B_i, shapes (S, d), g_i (S,) and eta.  Raises InputError."""
    times = spec.grid.times[:-1]
    process = spec.process.process if isinstance(spec.process, Reverse) else spec.process
    if not isinstance(process, Process):
        raise InputError(f"the drift of {type(process).__name__} is not known to be linear")
    f = process.affine(times)
    slope, offset = (np.repeat(v[:, None], spec.dim, axis=1) for v in (f.slope, f.offset))
    if not isinstance(spec.process, Reverse):
        return slope, offset, f.g, 1.0
    score = spec.process.score
    if not isinstance(score, ExactScore) or len(score.p0.components().weights) > 1:
        raise InputError("the score is not linear: scheme_moments needs a Gaussian or point p0")
    s = score.as_kernel(spec.dim).scheduled(times)
    weight = spec.process.correction * f.g[:, None] ** 2  # drift f - c g^2 (m - x)/v
    slope = slope + weight * s["precision"]
    offset = offset - weight * s["precision"] * s["mean"]
    return slope, offset, f.g, float(spec.process.noise)
