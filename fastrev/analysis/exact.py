"""The exact law beside a run: of the process, and of the discrete scheme itself."""

from typing import Any, NamedTuple

import numpy as np

from fastrev.engine.specification import Specification
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution
from fastrev.model.exponential import Exponential, integrated
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
    if spec.boundary is not None:  # the closed forms are those of free space
        return None
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


class Steps(NamedTuple):
    """The steps x <- factor x + offset + std z of a linear scheme, in order.

    factor (d,) or (d, d), offset (d,), std (d, m) or a number; ends[i] is how many steps lead
    to the grid's time i.
    """

    factor: list[Array]
    offset: list[Array]
    std: list[Array]
    ends: list[int]


def scheme_moments(spec: Specification, times: Array | None = None) -> Moments:
    """Mean and variance that the method itself produces, without discretisation error.

        m <- F m + o,    V <- F V F^T + S S^T    for a step x <- F x + o + S z

    with F = 1 + A_i h_i, o = B_i h_i and S = eta g_i sqrt|h_i| for Euler-Maruyama and the drift
    A x + B.  At some of the grid's times, those of the frames unless given.  In float64, for a
    drift linear in x: every built-in process, reversed with the score of a Gaussian or a
    point.  x0 must be a distribution.  Raises InputError.
    """
    kept = list(spec.frame_steps)
    if times is not None:
        kept = [int(np.argmin(np.abs(spec.grid.times - t))) for t in times]
    steps = scheme_steps(spec)
    if not isinstance(spec.x0, Distribution):
        raise InputError("scheme_moments needs x0 as a distribution, got an array")
    if steps.factor[0].ndim == 2:
        means, covs = scheme_covariances(spec)
        return Moments(means[kept], np.einsum("fjj->fj", covs)[kept].copy())
    mean, variance = (np.broadcast_to(m, (spec.dim,)) for m in spec.x0.moments())
    moments = [(mean, variance)]
    for factor, offset, std in zip(*steps[:3], strict=True):
        mean, variance = factor * mean + offset, factor**2 * variance + std**2
        moments.append((mean, variance))
    chosen = np.array(moments)[[steps.ends[i] for i in kept]]
    return Moments(chosen[:, 0], chosen[:, 1])


def scheme_covariances(spec: Specification) -> tuple[Array, Array]:
    """Mean (S+1, d) and covariance (S+1, d, d) at each time of the grid, as `scheme_moments`."""
    if not isinstance(spec.x0, Distribution):
        raise InputError("scheme_covariances needs x0 as a distribution, got an array")
    c = spec.x0.components().full(spec.dim)
    mean = c.weights @ c.means
    assert c.covs is not None
    away = c.means - mean
    cov = np.einsum("k,kij->ij", c.weights, c.covs + away[:, :, None] * away[:, None, :])
    means, covs, eye = [mean], [cov], np.eye(spec.dim)
    steps = scheme_steps(spec)
    for factor, offset, std in zip(*steps[:3], strict=True):
        f = factor if factor.ndim == 2 else factor * eye
        noise = std @ std.T if std.ndim == 2 else std**2 * eye
        mean, cov = f @ mean + offset, f @ cov @ f.T + noise
        means.append(mean)
        covs.append(cov)
    return np.array(means)[steps.ends], np.array(covs)[steps.ends]


def scheme_steps(spec: Specification) -> Steps:
    """The steps of a run whose drift is linear in x.  Raises InputError."""
    if spec.boundary is not None:
        raise InputError("the exact recursion is that of free space, and this run has walls")
    if spec.method.stages != "euler-maruyama":
        raise InputError(
            f"the exact recursion is of one stage a step, and this run's method is "
            f"{spec.method.name!r}"
        )
    process, grid = spec.process, spec.grid
    eta = process.noise if isinstance(process, Reverse) else 1.0
    root = eta * np.sqrt(np.abs(grid.h))
    if isinstance(spec.method, Exponential):
        process, root = integrated(process, grid)
    law = _linear_drift(process, spec)
    corrector = _corrections(spec)
    one = np.eye(spec.dim) if law.slope.ndim == 3 else np.ones(spec.dim)
    steps = Steps([], [], [], [0])
    for i, h in enumerate(grid.h):
        g = law.g if law.g.ndim == 2 else law.g[i]
        every = [(one + law.slope[i] * h, law.offset[i] * h, np.asarray(g * root[i]))]
        every += corrector(i, one)
        for factor, offset, std in every:
            steps.factor.append(factor)
            steps.offset.append(offset)
            steps.std.append(std)
        steps.ends.append(len(steps.factor))
    return steps


def _corrections(spec: Specification) -> Any:
    """`corrector(i, one)`: the Langevin steps after step i, each factor, offset and std."""
    prepared = spec.method.prepared(spec.process, spec.dim, spec.grid)
    if not prepared.repeats:
        return lambda i, one: []
    score = spec.process.score.affine(spec.grid.times[1:])

    def corrector(i: int, one: Array) -> list[tuple[Array, Array, Array]]:
        e = prepared.corrector[i] if spec.grid.times[i + 1] > 0.0 else 0.0
        if e == 0.0:
            return []
        step = one + e * score[0][i], e * score[1][i], np.asarray(np.sqrt(2.0 * e))
        return [step] * prepared.repeats

    return corrector


def _linear_drift(process: Any, spec: Specification) -> Affine:
    """Slope and offset of the drift, (S, d), and g (S,).  Raises InputError."""
    affine = getattr(process, "affine", None)
    law = affine(spec.grid.times[:-1]) if affine else None
    if law is None:
        raise InputError("the drift is not linear in x: there is no exact recursion")
    if law.slope.ndim == 3:
        return law  # type: ignore[no-any-return]
    shape = (spec.grid.steps, spec.dim)
    slope, offset = (np.broadcast_to(v.reshape(len(v), -1), shape) for v in law[:2])
    return Affine(slope, offset, law.g)
