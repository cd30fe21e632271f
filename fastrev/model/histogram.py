"""Histograms: exact counts in even bins of one coordinate, or of two."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrev.model import check
from fastrev.model.check import Array, InputError
from fastrev.model.observable import Additive


@dataclass(frozen=True)
class HistogramResult:
    """Counts in bins [e_i, e_{i+1}), the last one closed, as those of np.histogram.

    times    (F,) forward time
    n        (F,) particles
    counts   (F, bins); of two coordinates (F, bins, bins)
    edges    (bins + 1,); of two coordinates a pair of such
    below, above, lost    (F,) particles outside of the bins, and those that are NaN;
                          of two coordinates all of them are in `lost`
    """

    times: Array
    counts: NDArray[np.int64]
    edges: Any
    below: NDArray[np.int64]
    above: NDArray[np.int64]
    lost: NDArray[np.int64]

    @property
    def n(self) -> NDArray[np.int64]:
        """(F,) particles, inside or not."""
        inside = self.counts.reshape(len(self.times), -1).sum(axis=1)
        return np.asarray(inside + self.outside)

    @property
    def outside(self) -> NDArray[np.int64]:
        """(F,) particles that no bin holds."""
        return self.below + self.above + self.lost

    @property
    def density(self) -> Array:
        """Counts over n and the size of a bin: an estimate of p_t, of the shape of counts."""
        return self._of_shape(self.counts)

    @property
    def stderr(self) -> Array:
        """Standard error of the density, sqrt(q (1 - q)/n) over the size of a bin, q = counts/n."""
        q = self.counts / self._each(self.n)
        return self._of_shape(np.sqrt(self._each(self.n) * q * (1.0 - q)))

    def _of_shape(self, counts: Any) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(counts / (self._each(self.n) * self._size))

    def _each(self, values: Any) -> Any:
        return values.reshape(-1, *(1,) * (self.counts.ndim - 1))

    @property
    def _size(self) -> Any:
        if isinstance(self.edges, tuple):
            return np.multiply.outer(*map(np.diff, self.edges))
        return np.diff(self.edges)


@dataclass(frozen=True)
class Histogram(Additive):
    """Counts of particles in bins, at some times; whole numbers, so equal in any order.

    low, high    ends of the bins; a pair each for the bins of two coordinates
    bins         how many; a pair for two coordinates, or one number for both
    coordinate   which: 0; of two coordinates (0, 1)
    times        when: a count, a list of times, {"every": k} steps; None for those of the frames

    Raises InputError.
    """

    low: Any
    high: Any
    bins: Any = 100
    coordinate: Any = None
    times: Any = None
    name = "histogram"
    dtype = "int64"

    def __post_init__(self) -> None:
        low = check.finite_array("Histogram.low", self.low, ndim=(0, 1))
        plane = low.ndim == 1
        high = check.finite_array("Histogram.high", self.high, ndim=(low.ndim,))
        bins = np.asarray(self.bins)
        if bins.dtype.kind not in "iu" or bins.shape not in ((), low.shape) or bins.min() < 1:
            raise InputError(f"Histogram.bins must be 1 or more, got {self.bins!r}")
        if plane and (low.shape, high.shape) != ((2,), (2,)):
            raise InputError(
                f"Histogram.low and high must be numbers, or pairs of them, got {self.low!r} and "
                f"{self.high!r}"
            )
        if np.any(low >= high):
            raise InputError(
                f"Histogram.low must be below high, got {low.tolist()} and {high.tolist()}"
            )
        given = (0, 1)[: low.size] if self.coordinate is None else self.coordinate
        places = np.asarray(given)
        if places.dtype.kind not in "iu" or places.size != low.size or places.min() < 0:
            raise InputError(
                f"Histogram.coordinate must be {'a pair' if plane else 'one'} of them, from 0 on, "
                f"got {self.coordinate!r}"
            )
        object.__setattr__(self, "low", low.tolist())
        object.__setattr__(self, "high", high.tolist())
        object.__setattr__(self, "bins", np.broadcast_to(bins, low.shape).tolist())
        object.__setattr__(self, "coordinate", places.reshape(low.shape).tolist())

    @property
    def plane(self) -> bool:
        """Whether it is of two coordinates."""
        return isinstance(self.low, list)

    @property
    def edges(self) -> Any:
        """(bins + 1,), or a pair of such."""
        if self.plane:
            each = zip(self.low, self.high, self.bins, strict=True)
            return tuple(np.linspace(a, b, count + 1) for a, b, count in each)
        return np.linspace(self.low, self.high, self.bins + 1)

    def check(self, dim: int) -> None:
        """Refuse coordinates that particles do not have.  Raises InputError."""
        if np.max(self.coordinate) >= dim:
            raise InputError(f"Histogram.coordinate must be below {dim}, got {self.coordinate}")

    @property
    def layout(self) -> str:  # type: ignore[override]
        """What its numbers are."""
        if self.plane:
            return f"counts of {self.bins[0]} x {self.bins[1]} bins by rows, outside of them"
        return (
            f"below {self.low:g}, counts of {self.bins} even bins up to {self.high:g}, above, NaN"
        )

    def width(self, dim: int) -> int:
        """Numbers per time: below, counts, above, NaN; or counts, outside."""
        return int(np.prod(self.bins)) + (1 if self.plane else 3)

    def result(self, numbers: Array, times: Array) -> HistogramResult:
        """What `run.observables["histogram"]` holds."""
        times, counts = np.asarray(times), np.asarray(numbers).astype(np.int64)
        if self.plane:
            inside = counts[:, :-1].reshape(len(counts), *self.bins)
            none = np.zeros(len(counts), np.int64)
            return HistogramResult(times, inside, self.edges, none, none, counts[:, -1])
        inside, outside = counts[:, 1:-2], (counts[:, 0], counts[:, -2], counts[:, -1])
        return HistogramResult(times, inside, self.edges, *outside)

    def note(self, result: HistogramResult) -> str | None:
        """What a reader should know: that the bins miss most of the particles."""
        share = result.outside / np.maximum(result.n, 1)
        worst = int(np.argmax(share))
        if share[worst] <= _MISSED:
            return None
        return (
            f"the bins from {self.low} to {self.high} miss {share[worst]:.0%} of the particles at "
            f"t = {result.times[worst]:g}"
        )


_MISSED = 0.5
"""The share of particles outside of the bins that is worth a warning."""
