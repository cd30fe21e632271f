"""Measured moments against exact ones, in units of their standard error."""

import contextlib
from typing import Any, NamedTuple

import numpy as np

from fastrev.analysis.exact import Moments, law, scheme_moments
from fastrev.engine.run import Run
from fastrev.model.check import Array, InputError
from fastrev.model.moments import MomentsResult

_BLOCK = 1 << 20
"""Particles read at once."""


class Sample(NamedTuple):
    """Mean, variance and fourth central moment of n particles at each time, (F, d)."""

    times: Array
    n: int
    mean: Array
    variance: Array
    fourth: Array


class Row(NamedTuple):
    """One frame of one coordinate; NaN where nothing is known."""

    t: float
    exact: float
    scheme: float
    measured: float
    z: float
    z_mean: float


def sample_of(run: Run) -> Sample:
    """What a run measured: its own Moments where it kept no frames, else those of its frames."""
    if len(run.times):
        return frame_moments(run.frames, run.times)
    for result in run.observables.values():
        if isinstance(result, MomentsResult):
            counted = int(result.n.min())
            return Sample(result.times, counted, result.mean, result.variance, result.fourth)
    raise InputError("this run keeps neither frames nor Moments: there is nothing to compare")


def frame_moments(frames: Any, times: Any = ()) -> Sample:
    """Moments of each frame in float64, read in blocks; the variance is the unbiased one."""
    count, n, d = frames.shape
    sample = Sample(np.asarray(times), n, *(np.zeros((count, d)) for _ in range(3)))
    with np.errstate(invalid="ignore", over="ignore"):
        for f in range(count):
            blocks = range(0, n, _BLOCK)
            for a in blocks:
                sample.mean[f] += np.asarray(frames[f, a : a + _BLOCK], np.float64).sum(axis=0) / n
            for a in blocks:
                squares = (np.asarray(frames[f, a : a + _BLOCK], np.float64) - sample.mean[f]) ** 2
                sample.variance[f] += squares.sum(axis=0) / max(n - 1, 1)
                sample.fourth[f] += np.einsum("nd,nd->d", squares, squares) / n
    return sample


def z_scores(measured: Sample, expected: Moments) -> Moments:
    """(measured - expected) / standard error: sqrt(v/N) and sqrt((m4 - v^2)/N).

    The fourth moment m4 is the sample's, so the law need not be Gaussian.  Where the
    expected variance is zero: 0 where it is met to rounding, else infinite.
    """
    v, n = expected.variance, measured.n
    error = np.sqrt(np.maximum(measured.fourth - measured.variance**2, 0.0) / n)

    def ratio(difference: Array, error: Array) -> Array:
        none = (v == 0.0) | (error == 0.0)
        close = np.abs(difference) <= 1e-6 * (1.0 + np.abs(expected.mean))
        exactly = np.where(close, 0.0, np.where(np.isnan(difference), np.nan, np.inf))
        return np.where(none, exactly, difference / np.where(none, 1.0, error))

    return Moments(
        ratio(measured.mean - expected.mean, np.sqrt(v / n)),
        ratio(measured.variance - v, error),
    )


def variance_table(run: Run, coordinate: int = 0) -> list[Row]:
    """For each frame: t, the process's variance, the scheme's, the measured one, z-scores.

    z compares with the exact recursion of the scheme, so no discretisation error
    hides in it; NaN where the scheme is not linear.
    """
    spec = run.known_specification
    measured = sample_of(run)
    unknown = np.full((len(measured.times), run.dim), np.nan)
    scheme = Moments(unknown, unknown)
    if spec is not None:
        with contextlib.suppress(InputError):
            scheme = scheme_moments(spec, measured.times)
    z = z_scores(measured, scheme)
    rows = []
    for f, t in enumerate(measured.times):
        exact = law(spec, float(t)) if spec is not None else None
        variance = np.nan
        if exact is not None:
            variance = float(np.broadcast_to(exact.moments()[1], (run.dim,))[coordinate])
        values = (scheme.variance, measured.variance, z.variance, z.mean)
        rows.append(Row(float(t), variance, *(float(v[f, coordinate]) for v in values)))
    return rows


def verdict(rows: list[Row], n: int) -> str:
    """One line: do all frames agree with the exact recursion of the scheme?"""
    known = [row for row in rows if not np.isnan(row.scheme)]
    if not known:
        if all(np.isnan(row.exact) for row in rows):
            return "no exact law is known for this process, nor an exact recursion for its scheme"
        return "no exact recursion is known for this scheme; compare with the exact variance"
    if n < _FEW:
        return f"too few particles ({n}) to compare with the exact recursion of the scheme"
    worst = max((max(abs(r.z), abs(r.z_mean)) for r in known), key=lambda z: (np.isnan(z), z))
    word = "agrees with" if worst < LIMIT else "DIFFERS from"
    return (
        f"largest |z| = {worst:.2f} (mean and variance): {word} the exact recursion of the scheme"
    )


_FEW = 100
LIMIT = 4.5
"""Of |z|, of mean and variance."""
