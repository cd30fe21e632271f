"""The exponential integrator: a step that is exact in the linear part of the drift.

With the drift A(t) x + B(t) - c g^2 s(x, t), phi(u, r) = exp(int_r^u A), sigma(t)^2 the
variance of x_t given x_0, and sigma s held over a step from t to u = t + h,

    x_u = phi(u, t) x + int phi(u, r) B dr - c K s + eta |int phi(u, r)^2 g^2 dr|^(1/2) z,
    K = sigma(t) int phi(u, r) g^2 / sigma dr = 2 sigma(t) (sigma(u) - phi(u, t) sigma(t)).

The last step follows from (sigma^2)' = 2 A sigma^2 + g^2.  For the probability flow this is
DDIM (Song, Meng, Ermon 2021, arXiv:2010.02502), exact where p_0 is a point; why sigma s is
held and not s: Zhang and Chen 2022, arXiv:2204.13902, section 3.  It is an Euler-Maruyama step
with other coefficients, so no kernel is needed for it.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from fastrev.model import portable
from fastrev.model.check import Array, InputError
from fastrev.model.kernel import Affine, Terms, affine_terms
from fastrev.model.method import Method, Prepared
from fastrev.model.reversal import Reverse
from fastrev.model.timegrid import TimeGrid


@dataclass(frozen=True)
class Exponential(Method):
    """Exact in the drift's linear part and in the noise; in reverse sigma s is held for a step.

    For Brownian, OrnsteinUhlenbeck, VP, SubVP and VE.  Forward it has no discretisation
    error in law; in reverse weak order 1, and with noise=0 it is DDIM.  For noise that does
    not depend on x.
    """

    name: ClassVar[str] = "exponential"
    strong_order: ClassVar[float | None] = None

    def prepared(self, process: Any, dim: int, grid: TimeGrid) -> Prepared:
        """Terms with the coefficients of the integrated step.  Raises InputError."""
        stepped, root = integrated(process, grid)
        return Prepared(stepped.terms(dim), root, np.zeros(grid.steps))


def integrated(process: Any, grid: TimeGrid) -> tuple[Any, Array]:
    """The process whose Euler-Maruyama steps on this grid are the exponential ones; the
    factors of its noise, (S,).  Raises InputError."""
    forward = process.process if isinstance(process, Reverse) else process
    law = forward.affine(grid.times[:1]) if hasattr(forward, "affine") else None
    if law is None or law.slope.ndim != 1:
        raise InputError(
            "method 'exponential' is for a drift linear in each coordinate, that of Brownian, "
            f"OrnsteinUhlenbeck, VP, SubVP or VE, got {type(forward).__name__}"
        )
    coefficients, spread = _integrals(forward, grid)
    steps = _Steps(grid.times[:-1], coefficients, forward.dim, forward.horizon)
    if not isinstance(process, Reverse):  # there is no score for K to multiply
        root = np.sqrt(np.abs(grid.h))
        return replace(steps, coefficients=coefficients._replace(g=spread / root)), root
    eta = process.noise
    g = coefficients.g
    root = eta * np.divide(spread, g, out=np.zeros_like(g), where=g > 0.0)
    return replace(process, process=steps), root


@dataclass(frozen=True)
class _Steps:
    """A forward process of which only its steps on one grid are known."""

    times: Array
    coefficients: Affine
    dim: int | None
    horizon: float

    def affine(self, times: Array) -> Affine:
        """The coefficients of the steps that begin nearest to these times."""
        rows = np.array([np.argmin(np.abs(self.times - t)) for t in times])
        if len(times) == len(self.times) and np.array_equal(times, self.times):
            rows = np.arange(len(times))
        return Affine(*(value[rows] for value in self.coefficients))

    def terms(self, dim: int) -> Terms:
        """Drift and diffusion as kernels."""
        return affine_terms(self.affine, first=float(self.times[0]))


_NODES = np.array(
    [0.18343464249564981, 0.52553240991632899, 0.79666647741362674, 0.96028985649753623]
)
_WEIGHTS = np.array(
    [0.36268378337836198, 0.31370664587788729, 0.22238103445337447, 0.10122853629037626]
)
"""Gauss-Legendre, eight points; Abramowitz and Stegun, table 25.4."""
_X = np.concatenate([-_NODES[::-1], _NODES])
_W = np.concatenate([_WEIGHTS[::-1], _WEIGHTS])


_FOLDS = 2.0
"""By so many powers of e the integrands may change within a panel of eight points: 1e-17 off."""


def _integral(of: Any, a: Array, b: Array, panels: int = 1) -> Array:
    """The integral of `of` from a to b, entry by entry; `of` takes and gives one more axis."""
    width, total = (b - a) / panels, np.zeros_like(a)
    for k in range(panels):
        total = total + _panel(of, a + k * width, b - (panels - 1 - k) * width)
    return np.asarray(total)


def _panel(of: Any, a: Array, b: Array) -> Array:
    half, middle = 0.5 * (b - a), 0.5 * (b + a)
    values = of(middle[..., None] + half[..., None] * _X)
    total = values[..., 0] * _W[0]
    for k in range(1, len(_W)):  # in this order: a sum of NumPy's may differ by machine
        total = total + values[..., k] * _W[k]
    return np.asarray(half * total)


def _integrals(forward: Any, grid: TimeGrid) -> tuple[Affine, Array]:
    """(phi - 1)/h, int phi B/h and (K/h)^(1/2); |int phi^2 g^2|^(1/2); all (S,)."""
    t, u, h = grid.times[:-1], grid.times[1:], grid.h

    def slope(times: Array) -> Array:
        return np.asarray(forward.affine(times).slope)

    def phi(r: Array) -> Array:
        return np.asarray(portable.exp(_integral(slope, r, np.broadcast_to(u[:, None], r.shape))))

    def sigma(times: Array) -> Array:
        return np.asarray(np.sqrt(np.maximum(forward.transition(times).variance, 0.0)))

    whole = _integral(slope, t, u)
    grown = portable.expm1(whole)
    with np.errstate(divide="ignore", invalid="ignore"):
        folds = np.abs(np.log(forward.affine(u).g / forward.affine(t).g))
    folds = 2.0 * np.maximum(np.abs(whole), np.where(np.isfinite(folds), folds, 0.0))
    panels = max(1, int(np.ceil(np.max(folds) / _FOLDS)))
    shift = _integral(lambda r: phi(r) * forward.affine(r).offset, t, u, panels)
    spread = _integral(lambda r: (phi(r) * forward.affine(r).g) ** 2, t, u, panels)
    pull = 2.0 * sigma(t) * (sigma(u) - (1.0 + grown) * sigma(t))
    pull = np.where(sigma(t) > 0.0, pull, h * forward.affine(t).g ** 2)
    return Affine(grown / h, shift / h, np.sqrt(pull / h)), np.sqrt(np.abs(spread))
