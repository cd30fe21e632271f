"""Quantiles of each coordinate, from counts in bins that are laid by a pilot.

The first particles of a run, or of given states some from all over, run beforehand: their median
c and spread s at each time lay the bins, even in log2(1 + |x - c|/s) on each side of c, 64 to the
octave.  So a bin is 1.6 % of the spread in the middle, bins reach 2^14 spreads out, and counts are
whole numbers, equal in any order.  Between the bins' edges the distribution function is
interpolated by monotone cubics.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrev.model import check
from fastrev.model.check import Array, InputError
from fastrev.model.observable import Additive

PER_OCTAVE, OCTAVES = 64, 14
SIDE = PER_OCTAVE * OCTAVES
"""Bins on each side of the centre."""
_OWN = 3 + 2 * SIDE
"""Numbers of one coordinate: centre, spread, how many were NaN, and the counts."""


class Bins(NamedTuple):
    """Centre and spread at each time, (F, d)."""

    centre: Array
    spread: Array


@dataclass(frozen=True)
class QuantilesResult:
    """Quantiles of each coordinate at each time.

    times    (F,) forward time
    q        (Q,) the probabilities
    n        (F,) particles
    values   (F, Q, d)
    stderr   (F, Q, d) sqrt(q (1 - q)/n) over the density around, and what the bins add
    """

    times: Array
    q: Array
    n: NDArray[np.int64]
    values: Array
    stderr: Array


@dataclass(frozen=True)
class Quantiles(Additive):
    """Quantiles of each coordinate, at some times.

    q       probabilities between 0 and 1
    times   when: a count, a list of times, {"every": k} steps; None for those of the frames

    Counted in bins whose width, in the middle, is 1/64 of a spread of all particles.  So they
    differ from the sample's own quantiles by little beside their standard error where the density
    is smooth at that scale; where it is not, as with atoms or narrow modes far apart, by up to
    the width of a bin, which the standard error then includes.  NaN where a particle is NaN.
    Raises InputError.
    """

    q: Any = (0.025, 0.25, 0.5, 0.75, 0.975)
    times: Any = None
    name = "quantiles"
    layout = (
        "of each coordinate: centre c, spread s, how many are NaN, and counts of 1792 bins between "
        "edges c + s e, e = -E(896) .. -E(1), 0, E(1) .. E(896), "
        "E(b) = 2^(b // 64) (1 + (b % 64)/64) - 1"
    )
    pilot = 1024
    """Particles that lay the bins."""

    def __post_init__(self) -> None:
        q = np.atleast_1d(check.finite_array("Quantiles.q", self.q, ndim=(0, 1)))
        bad = q[(q <= 0.0) | (q >= 1.0)]
        if bad.size:
            raise InputError(f"Quantiles.q must lie between 0 and 1, got {bad[0]:g}")
        object.__setattr__(self, "q", q.tolist())

    def width(self, dim: int) -> int:
        """Numbers per time."""
        return dim * _OWN

    def bins(self, frames: Array) -> Bins:
        """Laid for a pilot's frames (F, m, d)."""
        x = np.where(np.isfinite(frames), frames, np.nan).astype(np.float64)
        x = np.where(np.isnan(x).all(axis=1, keepdims=True), 0.0, x)
        low, centre, high = np.nanquantile(x, [0.25, 0.5, 0.75], axis=1)
        spread = np.maximum((high - low) / 1.35, 0.1 * np.nanstd(x, axis=1))
        least = 1e-6 * np.abs(centre)
        return Bins(centre, np.where(spread > least, spread, np.where(least > 0.0, least, 1.0)))

    def laid(self, numbers: Array) -> Array:
        """Centre and spread of each coordinate."""
        return numbers.reshape(len(numbers), -1, _OWN)[..., :2]

    def result(self, numbers: Array, times: Array) -> QuantilesResult:
        """What `run.observables["quantiles"]` holds."""
        own = np.asarray(numbers).reshape(len(numbers), -1, _OWN)
        shape = (len(own), len(self.q), own.shape[1])
        values, stderr = np.full(shape, np.nan), np.full(shape, np.nan)
        for f, j in np.ndindex(own.shape[:2]):
            centre, spread, lost = own[f, j, :3]
            counts = own[f, j, 3:]
            if lost == 0.0 and counts.sum() > 0.0:
                values[f, :, j], stderr[f, :, j] = _inverted(
                    counts, centre + spread * EDGES, np.array(self.q)
                )
        n = (own[:, 0, 2] + own[:, 0, 3:].sum(axis=1)).astype(np.int64)
        return QuantilesResult(np.asarray(times), np.array(self.q), n, values, stderr)


def _edges() -> Array:
    """Edges of the bins in units of the spread, (2 SIDE + 1,): b bins out, at 2^(b/64) - 1 but
    straight within an octave, as a float32's bits are."""
    b = np.arange(SIDE + 1)
    out = 2.0 ** (b // PER_OCTAVE) * (1.0 + (b % PER_OCTAVE) / PER_OCTAVE) - 1.0
    return np.concatenate([-out[:0:-1], out])


EDGES = _edges()


def _inverted(counts: Array, edges: Array, q: Array) -> tuple[Array, Array]:
    """Where the distribution function is q, and the standard error of that, each (Q,).

    The density in it is that between the quantiles two standard errors of q around.  Where bins
    are too wide for the law, the error that they make is added: about what it changes to leave
    out every other edge, and half a bin where one bin has much of the mass.
    """
    n = counts.sum()
    filled = np.flatnonzero(counts)
    own = slice(filled[0], filled[-1] + 2)
    x, below = edges[own], np.concatenate([[0.0], np.cumsum(counts[own.start : own.stop - 1])]) / n
    error = np.sqrt(q * (1.0 - q) / n)
    away = np.minimum(2.0 * error, 0.5 * np.minimum(q, 1.0 - q))
    before, values, after = _where(x, below, np.stack([q - away, q, q + away]))
    found = error * (after - before) / (2.0 * away)
    if len(filled) == 1:
        return values, found
    some = np.unique(np.append(np.arange(0, len(x), 2), len(x) - 1))
    binned = np.abs(_where(x[some], below[some], q) - values)
    k = np.clip(np.searchsorted(x, values, side="left"), 1, len(x) - 1)
    coarse = below[k] - below[k - 1] > _MUCH
    binned = np.where(coarse, np.maximum(binned, 0.5 * (x[k] - x[k - 1])), binned)
    return values, np.hypot(found, binned)


_MUCH = 0.05
"""The share of all particles with which a bin hides how they lie in it: a normal law's largest has
0.006."""


def _where(x: Array, below: Array, wanted: Array) -> Array:
    """Where the monotone cubic through (x, below) has these values."""
    from scipy.interpolate import PchipInterpolator

    f = PchipInterpolator(x, below)
    k = np.clip(np.searchsorted(below, wanted, side="left"), 1, len(x) - 1)
    low, high = x[k - 1], x[k]
    for _ in range(60):
        middle = 0.5 * (low + high)
        over = f(middle) >= wanted
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return np.asarray(0.5 * (low + high))
