"""The linear process with a full matrix: dx = (A x + b) dt + G dw."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrev.model import check
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution
from fastrev.model.gaussian import Gaussian, GaussianMixture
from fastrev.model.kernel import Affine
from fastrev.model.process import Process


@dataclass(frozen=True, eq=False)
class Linear(Process):
    """dx = (A x + b) dt + G dw;  A (d, d), b (d,) or a number, G (d, m) or a number.

    x_t | x_0 ~ N(F x_0 + c, Q) with F = e^{At}, c = int_0^t e^{As} b ds and
    Q = int_0^t e^{As} G G^T e^{A^T s} ds, which solves the Lyapunov equation
    dQ/dt = A Q + Q A^T + G G^T, Q(0) = 0.  F, c and Q are those of van Loan's block
    exponential (IEEE Trans. Autom. Control 23 (1978) 395) for a short time, doubled.
    Raises InputError.
    """

    A: Any
    b: Any
    G: Any

    def __post_init__(self) -> None:
        a = check.finite_array("Linear.A", self.A, ndim=(2,))
        d = len(a)
        b = check.finite_array("Linear.b", self.b, ndim=(0, 1))
        if b.ndim and len(b) != d:
            raise InputError(f"Linear.b must have {d} entries, as A has rows, got {len(b)}")
        b = np.broadcast_to(b, (d,))
        g = check.finite_array("Linear.G", self.G, ndim=(0, 2))
        g = g * np.eye(d) if g.ndim == 0 else g
        if a.shape != (d, d):
            raise InputError(f"Linear.A must be square, got shape {a.shape}")
        if len(g) != d:
            raise InputError(f"Linear.G must have {d} rows, as A has, got shape {g.shape}")
        for name, value in (("A", a), ("b", np.array(b)), ("G", np.array(g))):
            object.__setattr__(self, name, value)

    @property
    def dim(self) -> int:  # type: ignore[override]
        """d."""
        return len(self.A)

    def affine(self, times: Array) -> Affine:
        """A (S, d, d), b (S, d), and G (d, m)."""
        count = len(times)
        return Affine(
            np.repeat(self.A[None], count, axis=0), np.repeat(self.b[None], count, axis=0), self.G
        )

    def transition(self, t: Any) -> Any:
        """It has no scalar scale; see `flow`.  Raises InputError."""
        raise InputError("Linear has a matrix transition: use Linear.flow(times)")

    def flow(self, times: Array) -> tuple[Array, Array, Array]:
        """F (S, d, d), c (S, d) and Q (S, d, d) at these times."""
        from scipy.linalg import expm

        d = self.dim
        grown = np.zeros((d + 1, d + 1))  # of (x, 1), so that b is a column of A
        grown[:d, :d], grown[:d, d] = self.A, self.b
        noise = np.zeros_like(grown)
        noise[:d, :d] = self.G @ self.G.T
        times = np.asarray(times, dtype=np.float64)
        size = np.abs(grown).sum(axis=1).max() * times.max(initial=0.0)
        doublings = max(0, int(np.ceil(np.log2(size)))) if size > 0.0 else 0
        short = (times / 2.0**doublings)[:, None, None]
        block = np.block([[-grown, noise], [np.zeros_like(grown), grown.T]])
        powers = expm(block * short)
        f = powers[:, d + 1 :, d + 1 :].swapaxes(1, 2)
        q = f @ powers[:, : d + 1, d + 1 :]
        for _ in range(doublings):
            q = q + f @ q @ f.swapaxes(1, 2)
            f = f @ f
        q = 0.5 * (q + q.swapaxes(1, 2))
        return f[:, :d, :d], f[:, :d, d], q[:, :d, :d]

    def pushed(self, p0: Distribution, times: Array) -> tuple[Array, Array]:
        """Means (S, K, d) and covariances (S, K, d, d) of p_t's components."""
        f, shift, q = self.flow(times)
        c = p0.components().full(self.dim)
        means = np.einsum("sij,kj->ski", f, c.means) + shift[:, None]
        assert c.covs is not None
        covs = f[:, None] @ c.covs @ f.swapaxes(1, 2)[:, None] + q[:, None]
        return means, covs

    def marginal(self, p0: Distribution, t: float) -> Distribution:
        """The law of x_t where x_0 has law p0.  Raises InputError."""
        if not isinstance(p0, Distribution):
            raise InputError(f"p0 must be a distribution, got {p0!r}")
        t = check.non_negative("t", t)
        if t == 0.0:
            return p0
        means, covs = (value[0] for value in self.pushed(p0, np.array([t])))
        weights = p0.components().weights
        if len(weights) == 1:
            return Gaussian(means[0], cov=covs[0])
        return GaussianMixture(weights, means, covs=covs)
