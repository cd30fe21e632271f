"""Means of a function of the state: E phi(x_t, t), with their standard errors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrev.model import check
from fastrev.model.check import Array
from fastrev.model.kernel import Kernel, named_params
from fastrev.model.observable import Observable


@dataclass(frozen=True)
class MeanResult:
    """Estimates of E phi at each time.

    times      (F,) forward time
    n          (F,) particles
    mean       (F, d); (F, 1) of a function of whole particles
    variance   of phi, unbiased, of the same shape
    """

    times: Array
    n: NDArray[np.int64]
    mean: Array
    variance: Array

    @property
    def stderr(self) -> Array:
        """Standard error of the mean, sqrt(v/n): particles are independent."""
        return np.sqrt(self.variance / self.n[:, None])


@dataclass(frozen=True)
class Mean(Observable):
    """The mean of your own function phi(x, t, p), computed inside the kernel.

    kernel   an ordinary Python function, as that of `Score`; t is the forward time
    params   a NamedTuple of floats and small arrays, or ()
    dim      None: x is one coordinate, and every coordinate has a mean of its own; d: x is a
             tuple of d numbers, and one number comes back
    times    when: a count, a list of times, {"every": k} steps; None for those of the frames

    phi is computed in the run's dtype and summed in float64 about its first value.  Its numbers
    are n, a reference point, and the sums of y and y^2 about it.  Raises InputError.
    """

    kernel: Callable[..., Any]
    params: Any = ()
    dim: int | None = None
    times: Any = None
    name = "mean"
    layout = "n, reference point r (k), sum y (k), sum y^2 (k), with y = phi - r"

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel", check.function("Mean.kernel", self.kernel))
        check.dimension("Mean.dim", self.dim)
        named_params("Mean.params", self.params)

    def check(self, dim: int) -> None:
        """Refuse a function of another number of coordinates.  Raises InputError."""
        if self.dim not in (None, dim):
            raise check.InputError(f"Mean.dim must be {dim}, as the run has, got {self.dim}")

    def as_kernel(self) -> Kernel:
        """The function, with its params."""
        return Kernel(self.kernel, self.params, shape="coordinate" if self.dim is None else "tuple")

    def width(self, dim: int) -> int:
        """Numbers per time: 1 + 3k, k means."""
        return 1 + 3 * (dim if self.dim is None else 1)

    def joined(self, a: Array, b: Array) -> Array:
        """The numbers of two ranges together, about their common mean."""
        n = a[:, :1] + b[:, :1]
        parts = [np.split(v[:, 1:], 3, axis=1) for v in (a, b)]
        (p, s, _), (q, r, _) = parts
        gap = s + r + b[:, :1] * (q - p)
        with np.errstate(invalid="ignore", divide="ignore"):
            point = p + np.where(n > 0, gap / n, 0.0)
            first, second = np.zeros_like(p), np.zeros_like(p)
            for m, (own, one, two) in zip((a[:, :1], b[:, :1]), parts, strict=True):
                e = point - own
                first += one - m * e
                second += two + e * (m * e - 2.0 * one)
        return np.concatenate([n, point, first, second], axis=1)

    def result(self, numbers: Array, times: Array) -> MeanResult:
        """What `run.observables["mean"]` holds; NaN where there are no particles."""
        n = numbers[:, :1]
        point, first, second = np.split(numbers[:, 1:], 3, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = point + first / n
            variance = (second - first**2 / n) / np.where(n > 1, n - 1.0, np.nan)
        counts = n[:, 0].astype(np.int64)
        return MeanResult(np.asarray(times), counts, mean, np.maximum(variance, 0.0))
