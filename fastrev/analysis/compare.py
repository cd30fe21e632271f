"""Measured moments against exact ones, in units of their standard error."""

from typing import Any, NamedTuple

import numpy as np

from fastrev.analysis.exact import Moments, law, scheme_moments
from fastrev.engine.run import Run
from fastrev.model.check import Array, InputError

_BLOCK = 1 << 20
"""Particles read at once."""


class Row(NamedTuple):
    """One frame of one coordinate; NaN where nothing is known."""

    t: float
    exact: float
    scheme: float
    measured: float
    z: float
    z_mean: float


def frame_moments(frames: Any) -> Moments:
    """Mean and variance of each frame, (F, d), in float64, read in blocks."""
    count, n, d = frames.shape
    means, variances = np.zeros((count, d)), np.zeros((count, d))
    for f in range(count):
        shift = np.asarray(frames[f, :1], dtype=np.float64)[0]
        total, squares = np.zeros(d), np.zeros(d)
        for a in range(0, n, _BLOCK):
            x = np.asarray(frames[f, a : a + _BLOCK], dtype=np.float64) - shift
            total += x.sum(axis=0)
            squares += np.einsum("nd,nd->d", x, x)
        means[f] = shift + total / n
        variances[f] = np.maximum(squares / n - (total / n) ** 2, 0.0) * (n / max(n - 1, 1))
    return Moments(means, variances)


def z_scores(measured: Moments, expected: Moments, n: int) -> Moments:
    """(measured - expected) / standard error: sqrt(v/N) for a mean, v sqrt(2/N) for a variance.

    The second holds for Gaussian laws.  Zero expected variance: 0 where met to
    rounding, else infinite.
    """
    v = expected.variance

    def ratio(difference: Array, error: Array) -> Array:
        none = error == 0.0
        close = np.abs(difference) <= 1e-6 * (1.0 + np.abs(expected.mean))
        exactly = np.where(close, 0.0, np.inf)
        return np.where(none, exactly, difference / np.where(none, 1.0, error))

    return Moments(
        ratio(measured.mean - expected.mean, np.sqrt(v / n)),
        ratio(measured.variance - v, v * np.sqrt(2.0 / n)),
    )


def variance_table(run: Run, coordinate: int = 0) -> list[Row]:
    """For each frame: t, the process's variance, the scheme's, the measured one, z-scores.

    z compares with the exact recursion of the scheme, so no discretisation error
    hides in it; NaN where the scheme is not linear.
    """
    spec = run.specification
    measured = frame_moments(run.frames)
    unknown = np.full((len(run.times), spec.dim), np.nan)
    try:
        scheme = scheme_moments(spec)
    except InputError:
        scheme = Moments(unknown, unknown)
    z = z_scores(measured, scheme, run.n)
    rows = []
    for f, t in enumerate(run.times):
        exact = law(spec, float(t))
        variance = np.nan
        if exact is not None:
            variance = float(np.broadcast_to(exact.moments()[1], (spec.dim,))[coordinate])
        values = (scheme.variance, measured.variance, z.variance, z.mean)
        rows.append(Row(float(t), variance, *(float(v[f, coordinate]) for v in values)))
    return rows
