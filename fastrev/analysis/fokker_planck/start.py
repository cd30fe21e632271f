"""The masses that a distribution has in the cells of a grid."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrev.analysis.fokker_planck.densities import Law
from fastrev.model import mixture
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution, agree
from fastrev.model.distributions import Empirical, Uniform

_NODES = np.array([-1.0, 0.0, 1.0]) * np.sqrt(0.15)
_WEIGHTS = np.array([5.0, 8.0, 5.0]) / 18.0
"""Gauss's rule of three points in a cell of width 1."""


def masses(p0: Any, edges: Sequence[Array]) -> Array:
    """Masses (X,) or (X, Y) of sum 1.  Raises InputError where the grid does not hold p0.

    Exact from distribution functions; three by three points a cell where coordinates depend on
    each other.
    """
    if not isinstance(p0, Distribution | Law):
        raise InputError(f"p0 must be a distribution, or a law of a solution, got {p0!r}")
    agree(p0.dim, len(edges))
    found = _masses(p0, edges)
    total = float(found.sum())
    if abs(total - 1.0) > 1e-3:
        names = "x" if len(edges) == 1 else "x and y"
        raise InputError(
            f"{names} must cover p0: {total:.3g} of its mass lies in the cells, which must be no "
            "wider than it is"
        )
    return found / total


def _masses(p0: Any, edges: Sequence[Array]) -> Array:
    if isinstance(p0, Law):
        return p0.masses(edges)
    if len(edges) == 1:
        return np.diff([float(np.squeeze(p0.cdf(e))) for e in edges[0]])
    if isinstance(p0, Uniform):
        ends = [np.broadcast_to(v, (len(edges),)) for v in (p0.low, p0.high)]
        one, other = (
            np.diff(Uniform(low, high).cdf(e)) for low, high, e in zip(*ends, edges, strict=True)
        )
        return np.outer(one, other)
    if isinstance(p0, Empirical):
        counts, _ = np.histogramdd(p0.points, edges)
        return np.asarray(counts / len(p0.points))
    c = p0.components()
    if c.covs is not None:
        return _integrated(p0, edges)
    parts = []
    for k, e in enumerate(edges):
        line = mixture.marginal(c, k)
        alone = [
            mixture.Components(np.ones(1), m[None], v[None])
            for m, v in zip(line.means, line.variances, strict=True)
        ]
        parts.append(np.array([np.diff(mixture.cdf(component, e)) for component in alone]))
    return np.asarray(np.einsum("k,kx,ky->xy", c.weights, *parts))


def _integrated(p0: Distribution, edges: Sequence[Array]) -> Array:
    """The density by Gauss's rule in each cell."""
    widths = [e[1] - e[0] for e in edges]
    x, y = (
        ((0.5 * (e[1:] + e[:-1]))[:, None] + _NODES * h).ravel()
        for e, h in zip(edges, widths, strict=True)
    )
    points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    density = p0.pdf(points).reshape(len(x) // 3, 3, len(y) // 3, 3)
    return np.asarray(
        widths[0] * widths[1] * np.einsum("xiyj,i,j->xy", density, _WEIGHTS, _WEIGHTS)
    )
