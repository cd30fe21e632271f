"""Scores: s(x,t) = grad log p_t(x), exact or the user's own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastrev.model import check
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution, agree
from fastrev.model.distributions import Empirical
from fastrev.model.kernel import Kernel, linear, named_params
from fastrev.model.mixture import Components
from fastrev.model.neighbours import centred, neighbours
from fastrev.model.unrolled import matrix_drift

if TYPE_CHECKING:
    from fastrev.model.process import Process


@dataclass(frozen=True)
class Score:
    """A score from the user's function `(x, t, p)`.

    kernel   an ordinary Python function; t is the forward time
    params   a NamedTuple of floats and small arrays, or ()
    dim      None: x is one coordinate and a number comes back, the same function for all;
             d: x is a tuple of d numbers and d come back
    tile     True, for large dim: a function `(x, t, p, out)` of arrays x and out (dim, B)

    Raises InputError.
    """

    kernel: Callable[..., Any]
    params: Any = ()
    dim: int | None = None
    tile: bool = False

    def __post_init__(self) -> None:
        arguments = "x, t, p, out" if self.tile else "x, t, p"
        object.__setattr__(self, "kernel", check.function("Score.kernel", self.kernel, arguments))
        check.dimension("Score.dim", self.dim)
        if self.tile and self.dim is None:
            raise InputError("Score.tile needs dim, the number of coordinates")
        named_params("Score.params", self.params)

    def as_kernel(self, dim: int) -> Kernel:
        """The function itself, whatever the dimension."""
        shape: Any = "tile" if self.tile else "coordinate" if self.dim is None else "tuple"
        return Kernel(self.kernel, self.params, shape=shape)


class _Points(NamedTuple):
    """Params of `kernels.scores.empirical`: the data from their groups' centres, laid out twice."""

    rows: Array
    columns: Array
    half_norms: Array
    centres: Array
    group: int


_NOWHERE = 1e38
"""Half a square distance at which no particle is drawn to a point."""


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
        """Slope -1/v and offset m/v, (S, d), where p_t is a Gaussian N(m, v), else None.

        Slope -V^-1 (S, d, d) where the law is N(m, V).
        """
        c = self.p0.components()
        if len(c.weights) > 1:
            return None
        if self._coupled(c):
            means, covs = self.process.pushed(self.p0, times)
            precision = _inverse(covs)[:, 0]
            return -precision, np.einsum("sij,sj->si", precision, means[:, 0])
        scale, shift, variance = (value[:, None] for value in self.process.transition(times))
        with np.errstate(divide="ignore"):
            precision = 1.0 / (scale**2 * c.variances[0] + variance)
        return -precision, precision * (scale * c.means[0] + shift)

    def as_kernel(self, dim: int) -> Kernel:
        """The score of one component by coordinate, of several tile by tile."""
        from fastrev.kernels.scores import mixture

        agree(self.p0.dim, dim)
        components = self.p0.components()
        if len(components.weights) == 1 and self._coupled(components):
            return Kernel(matrix_drift(dim), schedule=self._gaussian_schedule, shape="tuple")
        if self._coupled(components):
            return Kernel(mixture.full_score, schedule=self._full_schedule, shape="tile")
        if len(components.weights) == 1:
            return Kernel(linear, schedule=self._gaussian_schedule)
        if isinstance(self.p0, Empirical):
            return self._empirical(components.means)
        return Kernel(
            mixture.mixture_score,
            schedule=lambda times: self._mixture_schedule(times, dim),
            shape="tile",
        )

    def _empirical(self, points: Array) -> Kernel:
        """The kernel of equally weighted points smoothed by one common variance."""
        from fastrev.kernels.matmul import ROWS, packed
        from fastrev.kernels.scores.empirical import CHUNK, empirical_score

        count, d = points.shape
        chunk = min(CHUNK, -(-count // ROWS) * ROWS)
        away, centres, group = centred(points[neighbours(points, chunk)], chunk)
        padded = np.zeros((-(-count // chunk) * chunk, d))
        padded[:count] = away
        half_norms = np.full(len(padded), _NOWHERE)
        half_norms[:count] = 0.5 * (away**2).sum(axis=1)
        columns = [packed(part.T) for part in padded.reshape(-1, chunk, d)]
        params = _Points(packed(padded), np.concatenate(columns), half_norms, centres, group)
        return Kernel(empirical_score, params, self._empirical_schedule, shape="tile")

    def _coupled(self, components: Components) -> bool:
        """Whether coordinates depend on one another."""
        return hasattr(self.process, "flow") or components.covs is not None

    def _full_schedule(self, times: Array) -> Mapping[str, Array]:
        means, covs = self.process.pushed(self.p0, times)
        with np.errstate(divide="ignore", invalid="ignore"):
            volume = np.linalg.slogdet(covs)[1]
        weights = self.p0.components().weights
        log_weight = np.log(weights) - 0.5 * volume
        return {"log_weight": log_weight, "mean": means, "precision": _inverse(covs)}

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


def _inverse(covs: Array) -> Array:
    """The inverse of each matrix, infinite where there is none."""
    singular = np.linalg.matrix_rank(covs, hermitian=True) < covs.shape[-1]
    inverse = np.linalg.inv(np.where(singular[..., None, None], np.eye(covs.shape[-1]), covs))
    return np.where(singular[..., None, None], np.inf, inverse)
