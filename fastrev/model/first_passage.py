"""First passages: how many particles a wall has absorbed by each time, and when."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrev.model.check import Array
from fastrev.model.observable import Observable


@dataclass(frozen=True)
class FirstPassageResult:
    """Absorption by each time.

    times       (F,) forward time
    n           (F,) particles
    absorbed    (F,) those absorbed by then
    mean        (F,) mean time of absorption of these; NaN for none
    variance    (F,) its unbiased variance; NaN for fewer than two
    """

    times: Array
    n: Array
    absorbed: Array
    mean: Array
    variance: Array

    @property
    def survival(self) -> Array:
        """(F,) the fraction not absorbed."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(1.0 - self.absorbed / self.n)

    @property
    def survival_stderr(self) -> Array:
        """(F,) its standard error, sqrt(S (1 - S)/n)."""
        s = self.survival
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.sqrt(s * (1.0 - s) / self.n))

    @property
    def stderr(self) -> Array:
        """(F,) standard error of the mean."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.sqrt(self.variance / self.absorbed))


@dataclass(frozen=True)
class FirstPassage(Observable):
    """Survival and mean first-passage time at absorbing walls, `boundary=Absorb(...)`.

    times   when: a count, a list of times, {"every": k} steps; None for the times of the frames

    Its numbers are n, how many were absorbed, the mean of their times and the sum of squares
    about it; two ranges are joined as Chan, Golub and LeVeque do (Am. Stat. 37 (1983) 242).
    """

    times: Any = None
    name = "first_passage"
    absorbing = True
    layout = "n, how many are absorbed, the mean of their times, sum of squares about it"

    def width(self, dim: int) -> int:
        """Numbers per time."""
        return 4

    def joined(self, a: Array, b: Array) -> Array:
        """The numbers of two ranges together."""
        total, gap = a[:, 1] + b[:, 1], b[:, 2] - a[:, 2]
        share = np.divide(b[:, 1], total, out=np.zeros_like(total), where=total > 0)
        mean, squares = a[:, 2] + gap * share, a[:, 3] + b[:, 3] + gap**2 * a[:, 1] * share
        return np.stack([a[:, 0] + b[:, 0], total, mean, squares], axis=1)

    def result(self, numbers: Array, times: Array) -> FirstPassageResult:
        """What `run.observables["first_passage"]` holds."""
        n, absorbed, mean, squares = numbers.T
        mean = np.where(absorbed > 0, mean, np.nan)
        variance = squares / np.where(absorbed > 1, absorbed - 1.0, np.nan)
        counts = n.astype(np.int64), absorbed.astype(np.int64)
        return FirstPassageResult(np.asarray(times), *counts, mean, variance)
