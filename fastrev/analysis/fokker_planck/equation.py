"""A process as the equation of its law: velocities and diffusivities between cells.

    dp/dtau = sum_k d/dx_k (D_k dp/dx_k - v_k p),   D_k = eta^2 a_k/2

with v = b - eta^2 (div a)/2 forward, tau = t, eta = 1 and b = f.  A reverse run has dt < 0: there
tau = T - t, b is the drift of `model/reversal.py` and

    v = -b - eta^2 (div a)/2,   b = f - (1 + eta^2)/2 (div a + a s)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastrev.analysis.fokker_planck.values import values
from fastrev.model.check import Array, InputError
from fastrev.model.kernel import Kernel, Terms


@dataclass(frozen=True)
class Equation:
    """The equation on a grid.

    terms      of the process; their a = G G^T must be diagonal
    edges      of the cells along each coordinate, (X + 1,) and (Y + 1,)
    backward   whether t runs down
    """

    terms: Terms
    edges: Sequence[Array]
    backward: bool

    def between(self, k: int, t: float) -> tuple[Array, Array]:
        """v_k and D_k between cells along coordinate k, which is the last axis: (..., X_k - 1).

        Raises InputError where they are not finite, or a is not diagonal.
        """
        middles = [0.5 * (e[1:] + e[:-1]) for e in self.edges]
        middles[k] = self.edges[k][1:-1]
        grid = np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1)
        points = np.moveaxis(grid, k, -2)
        shape = points.shape[:-1]
        x = points.reshape(-1, len(self.edges))
        with np.errstate(all="ignore"):
            v, diffusivity = self._at(x, k, t)
        bad = ~(np.isfinite(v) & np.isfinite(diffusivity))
        if bad.any():
            place = ", ".join(f"{c:.4g}" for c in x[np.argmax(bad)])
            raise InputError(
                f"drift, diffusion and score must be finite on the grid: at x = ({place}), "
                f"t = {t:.4g} they give the velocity {v[np.argmax(bad)]:.4g}"
            )
        return v.reshape(shape), diffusivity.reshape(shape)

    def _at(self, x: Array, k: int, t: float) -> tuple[Array, Array]:
        """v_k and D_k at points (N, d)."""
        terms = self.terms
        square, divergence = self._square(x, k, t), self._divergence(x, k, t)
        drift = values(terms.drift, x, t)[:, k]
        if terms.score is not None and terms.combine is not None:
            pull = divergence + square * values(terms.score, x, t)[:, k]
            drift = terms.combine(drift, pull, terms.correction)
        half = 0.5 * terms.noise**2
        return (-drift if self.backward else drift) - half * divergence, half * square

    def _divergence(self, x: Array, k: int, t: float) -> Array:
        """d a_k/dx_k; between the centres of two cells where it is not given."""
        given = self.terms.divergence
        if given is None:
            return np.zeros(len(x))
        if isinstance(given, Kernel):
            return values(given, x, t)[:, k]
        h = self.edges[k][1] - self.edges[k][0]
        across = np.zeros(x.shape[1])
        across[k] = 0.5 * h
        above, below = self._square(x + across, k, t), self._square(x - across, k, t)
        return np.asarray((above - below) / h)

    def _square(self, x: Array, k: int, t: float) -> Array:
        """a_k.  Raises InputError where a is not diagonal."""
        g = values(self.terms.diffusion, x, t)
        if g.ndim < 3:
            return np.asarray((g if g.ndim == 1 else g[:, k]) ** 2)
        row = g[:, k]
        square = (row * row).sum(axis=1)
        others = [j for j in range(g.shape[1]) if j != k]
        beside = max(
            (float(np.abs((row * g[:, j]).sum(axis=1)).max()) for j in others), default=0.0
        )
        if beside > 1e-12 * square.max():
            raise InputError(
                "noise must act on each coordinate alone: allowed are noise = 'scalar' or "
                "'diagonal', or a matrix with G G^T diagonal; here G G^T has "
                f"{beside:.4g} beside its diagonal"
            )
        return np.asarray(square)
