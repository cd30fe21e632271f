"""Scores: s(x,t) = grad log p_t(x), exact or the user's own."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastrev.model import check
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution, Empirical, agree
from fastrev.model.kernel import Kernel, named_params

if TYPE_CHECKING:
    from fastrev.model.process import Process


@dataclass(frozen=True)
class Score:
    """A score from the user's function `(x, t, p)`.

    kernel   an ordinary Python function; t is the forward time
    params   a NamedTuple of floats and small arrays, or ()
    dim      None: x is one coordinate and a number comes back, the same function for all;
             d: x is a tuple of d numbers and d come back

    Raises InputError.
    """

    kernel: Callable[..., Any]
    params: Any = ()
    dim: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel", check.function("Score.kernel", self.kernel))
        check.dimension("Score.dim", self.dim)
        named_params("Score.params", self.params)

    def as_kernel(self, dim: int) -> Kernel:
        """The function itself, whatever the dimension."""
        return Kernel(self.kernel, self.params, shape="coordinate" if self.dim is None else "tuple")


class Points(NamedTuple):
    """Params of `empirical_score`: the data, shape (M, d)."""

    points: Array


@dataclass(frozen=True)
class ExactScore:
    """grad log p_t of a process with Gaussian transitions started at law p0."""

    process: "Process"
    p0: Distribution

    def __post_init__(self) -> None:
        if not isinstance(self.p0, Distribution):
            raise InputError(f"p0 must be a distribution, got {self.p0!r}")
        self.p0.components()

    @property
    def dim(self) -> int | None:
        """Coordinates of p0."""
        return self.p0.dim

    def affine(self, times: Array) -> tuple[Array, Array] | None:
        """Slope -1/v and offset m/v, (S, d), where p_t is a Gaussian N(m, v), else None."""
        c = self.p0.components()
        if len(c.weights) > 1:
            return None
        scale, shift, variance = (value[:, None] for value in self.process.transition(times))
        with np.errstate(divide="ignore"):
            precision = 1.0 / (scale**2 * c.variances[0] + variance)
        return -precision, precision * (scale * c.means[0] + shift)

    def as_kernel(self, dim: int) -> Kernel:
        """The score of one component by coordinate, of several tile by tile."""
        agree(self.p0.dim, dim)
        components = self.p0.components()
        if len(components.weights) == 1:
            return Kernel(gaussian_score, schedule=self._gaussian_schedule)
        if isinstance(self.p0, Empirical):
            return Kernel(
                empirical_score,
                params=Points(components.means),
                schedule=self._empirical_schedule,
                shape="tile",
            )
        return Kernel(
            mixture_score,
            schedule=lambda times: self._mixture_schedule(times, dim),
            shape="tile",
        )

    def _gaussian_schedule(self, times: Array) -> Mapping[str, Array]:
        law = self.affine(times)
        assert law is not None
        return {"slope": law[0], "offset": law[1]}

    def _mixture_schedule(self, times: Array, dim: int) -> Mapping[str, Array]:
        scale, shift, variance = (v[:, None, None] for v in self.process.transition(times))
        c = self.p0.components()
        shape = (len(times), len(c.weights), dim)
        spread = np.broadcast_to(scale**2 * c.variances + variance, shape)
        return {
            "log_weight": np.log(c.weights) - 0.5 * np.log(spread).sum(axis=2),
            "mean": np.array(np.broadcast_to(scale * c.means + shift, shape)),
            "precision": 1.0 / spread,
        }

    def _empirical_schedule(self, times: Array) -> Mapping[str, Array]:
        scale, shift, variance = self.process.transition(times)
        return {"scale": scale, "shift": shift, "precision": 1.0 / variance}


def gaussian_score(x, t, p):  # type: ignore[no-untyped-def]
    """(m - x)/v."""
    return p.slope * x + p.offset


def _softmax_score(count, logit, pull):  # type: ignore[no-untyped-def]
    """A tile kernel: sum_k share_k pull_k, the shares a softmax of the components' logits.

    count(p)             number of components
    logit(x, p, k, out)  log w_k N(x; m_k, v_k) up to a constant, for each lane
    pull(x, p, k, j)     (m_k - x)/v_k for coordinate j
    """

    def score(x, t, p, out, work):  # type: ignore[no-untyped-def]
        d, width = x.shape
        peak, total, share = work[0], work[1], work[2]
        for l in range(width):
            peak[l] = -math.inf
            total[l] = 0.0
        for k in range(count(p)):
            logit(x, p, k, share)
            for l in range(width):
                peak[l] = share[l] if share[l] > peak[l] else peak[l]
        for j in range(d):
            for l in range(width):
                out[j, l] = 0.0
        for k in range(count(p)):
            logit(x, p, k, share)
            for l in range(width):
                share[l] = math.exp(share[l] - peak[l])
                total[l] += share[l]
            for j in range(d):
                for l in range(width):
                    out[j, l] += share[l] * pull(x[j, l], p, k, j)
        for j in range(d):
            for l in range(width):
                out[j, l] = out[j, l] / total[l]

    return score


def _component_count(p):  # type: ignore[no-untyped-def]
    return len(p.log_weight)


def _component_logit(x, p, k, out):  # type: ignore[no-untyped-def]
    weight = p.log_weight[k]
    for l in range(len(out)):
        out[l] = weight
    for j in range(len(x)):
        mean, half = p.mean[k, j], 0.5 * p.precision[k, j]
        for l in range(len(out)):
            away = x[j, l] - mean
            out[l] -= half * (away * away)


def _component_pull(x, p, k, j):  # type: ignore[no-untyped-def]
    return (p.mean[k, j] - x) * p.precision[k, j]


def _point_count(p):  # type: ignore[no-untyped-def]
    return len(p.points)


def _point_logit(x, p, k, out):  # type: ignore[no-untyped-def]
    half = 0.5 * p.precision
    for l in range(len(out)):
        out[l] = 0.0
    for j in range(len(x)):
        mean = p.scale * p.points[k, j] + p.shift
        for l in range(len(out)):
            away = x[j, l] - mean
            out[l] -= half * (away * away)


def _point_pull(x, p, k, j):  # type: ignore[no-untyped-def]
    return (p.scale * p.points[k, j] + p.shift - x) * p.precision


mixture_score = _softmax_score(_component_count, _component_logit, _component_pull)  # type: ignore[no-untyped-call]
"""The score of a Gaussian mixture, its means, precisions and log weights by step."""

empirical_score = _softmax_score(_point_count, _point_logit, _point_pull)  # type: ignore[no-untyped-call]
"""The score of equally weighted points smoothed by one common variance."""
