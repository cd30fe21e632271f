"""Forward processes dx = f(x,t) dt + g(t) dw with Gaussian transitions.

Each is linear in x, f = A(t) x + B(t), so x_t given x_0 is N(a x_0 + b, v) with
scalars a, b, v of t; every marginal of a point, a Gaussian, a mixture or a set
of points is a Gaussian mixture in closed form.  Processes act on each
coordinate alike, at any dimension.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastrev.model import check, portable
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution
from fastrev.model.distributions import Empirical, Point
from fastrev.model.gaussian import Gaussian, GaussianMixture
from fastrev.model.kernel import Affine, Terms, affine_terms
from fastrev.model.score import ExactScore


class Transition(NamedTuple):
    """x_t given x_0 is N(scale x_0 + shift, variance)."""

    scale: Array
    shift: Array
    variance: Array


class Process:
    """What the processes below share: marginals, scores and kernels."""

    dim: int | None = None
    horizon: float = np.inf
    """The last time at which the process is defined."""

    def _set(self, **values: float) -> None:
        """Keep checked values in place of what was given."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def affine(self, times: Array) -> Affine:
        """A(t), B(t) and g(t)."""
        raise NotImplementedError

    def transition(self, t: Any) -> Transition:
        """Scale, shift and variance of x_t given x_0."""
        raise NotImplementedError

    def terms(self, dim: int) -> Terms:
        """Drift and diffusion as kernels."""
        return affine_terms(self.affine, first=min(1.0, self.horizon))

    def pushed(self, p0: Distribution, times: Array) -> tuple[Array, Array]:
        """Means (S, K, d) and covariances (S, K, d, d) of p_t's components, for a p0 with covs."""
        scale, shift, variance = (v[:, None, None] for v in self.transition(times))
        c = p0.components()
        assert c.covs is not None
        eye = np.eye(c.means.shape[1])
        covs = scale[..., None] ** 2 * c.covs + variance[..., None] * eye
        return scale * c.means + shift, covs

    def marginal(self, p0: Distribution, t: float) -> Distribution:
        """The law of x_t where x_0 has law p0, as a distribution.

        p0 is a Point, Gaussian, GaussianMixture or Empirical; t a time within the
        process's range.  Raises InputError.
        """
        if not isinstance(p0, Distribution):
            raise InputError(f"p0 must be a distribution, got {p0!r}")
        t = check.non_negative("t", t)
        if t > self.horizon:
            raise InputError(f"t must be at most T = {self.horizon:g}, got {t:g}")
        scale, shift, variance = (float(v) for v in self.transition(t))
        return _pushed(p0, scale, shift, max(variance, 0.0))

    def score(self, p0: Distribution) -> ExactScore:
        """The exact score of p_t where x_0 has law p0, as a kernel.  Raises InputError."""
        return ExactScore(self, p0)


def _pushed(p0: Distribution, scale: float, shift: float, variance: float) -> Distribution:
    """The law of scale X + shift + N(0, variance) for X ~ p0, in p0's own form of dimension."""
    c = p0.components().affine(scale, shift, variance)
    if c.covs is not None:
        if len(c.weights) == 1:
            return Gaussian(c.means[0], cov=c.covs[0])
        return GaussianMixture(c.weights, c.means, covs=c.covs)
    scalar = p0.dim is None
    means = c.means[:, 0] if scalar else c.means
    stds = np.sqrt(c.variances[:, 0] if scalar else c.variances)
    if np.all(stds == 0.0):
        if isinstance(p0, Point):
            return Point(means[0])
        return Empirical(means)
    if isinstance(p0, Point | Gaussian):
        return Gaussian(means[0], stds[0])
    return GaussianMixture(c.weights, means, stds)


def _fill(value: float, times: Array) -> Array:
    return np.full(np.shape(times), value)


@dataclass(frozen=True)
class Brownian(Process):
    """dx = sqrt(2D) dw;  x_t | x_0 ~ N(x_0, 2Dt).  D: diffusion coefficient, > 0, length^2/time."""

    D: float

    def __post_init__(self) -> None:
        self._set(D=check.positive("Brownian.D", self.D))

    def affine(self, times: Array) -> Affine:
        """A = 0, B = 0, g = sqrt(2D)."""
        zero = _fill(0.0, times)
        return Affine(zero, zero, _fill(np.sqrt(2.0 * self.D), times))

    def transition(self, t: Any) -> Transition:
        """1, 0, 2Dt."""
        return Transition(_fill(1.0, t), _fill(0.0, t), 2.0 * self.D * np.asarray(t))


@dataclass(frozen=True)
class OrnsteinUhlenbeck(Process):
    """dx = theta (mu - x) dt + sigma dw, theta > 0, sigma > 0.

    x_t | x_0 ~ N(mu + (x_0 - mu) e^{-theta t}, sigma^2 (1 - e^{-2 theta t}) / (2 theta)).
    """

    theta: float
    sigma: float
    mu: float = 0.0

    def __post_init__(self) -> None:
        self._set(theta=check.positive("OrnsteinUhlenbeck.theta", self.theta))
        self._set(sigma=check.positive("OrnsteinUhlenbeck.sigma", self.sigma))
        self._set(mu=check.number("OrnsteinUhlenbeck.mu", self.mu))

    def affine(self, times: Array) -> Affine:
        """A = -theta, B = theta mu, g = sigma."""
        return Affine(
            _fill(-self.theta, times), _fill(self.theta * self.mu, times), _fill(self.sigma, times)
        )

    def transition(self, t: Any) -> Transition:
        """e^{-theta t}, mu (1 - e^{-theta t}), sigma^2 (1 - e^{-2 theta t}) / (2 theta)."""
        t = np.asarray(t)
        gone = -portable.expm1(-self.theta * t)
        variance = -portable.expm1(-2.0 * self.theta * t) * (self.sigma**2 / (2.0 * self.theta))
        return Transition(portable.exp(-self.theta * t), self.mu * gone, variance)


class _LinearBeta(Process):
    """beta(t) rising linearly from beta_min to beta_max over [0, T]."""

    beta_min: float
    beta_max: float
    T: float

    def _check(self, name: str) -> None:
        self._set(beta_min=check.positive(f"{name}.beta_min", self.beta_min))
        self._set(beta_max=check.positive(f"{name}.beta_max", self.beta_max))
        self._set(T=check.positive(f"{name}.T", self.T))
        if self.beta_max < self.beta_min:
            raise InputError(
                f"{name}.beta_max must be at least beta_min = {self.beta_min!r}, "
                f"got {self.beta_max!r}"
            )

    @property
    def horizon(self) -> float:  # type: ignore[override]
        """T."""
        return self.T

    def _beta(self, t: Any) -> Array:
        fraction = np.asarray(t, dtype=np.float64) / self.T
        return np.asarray(self.beta_min + (self.beta_max - self.beta_min) * fraction)

    def _integral(self, t: Any) -> Array:
        """The integral of beta from 0 to t."""
        t = np.asarray(t, dtype=np.float64)
        grown = (self.beta_max - self.beta_min) * (t * t / (2.0 * self.T))
        return np.asarray(self.beta_min * t + grown)


@dataclass(frozen=True)
class VP(_LinearBeta):
    """Variance preserving: dx = -1/2 beta(t) x dt + sqrt(beta(t)) dw, beta linear on [0, T].

    x_t | x_0 ~ N(alpha x_0, 1 - alpha^2), alpha = exp(-1/2 int_0^t beta).
    Song et al. 2021 (arXiv:2011.13456), eq. 11 and appendix B.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    T: float = 1.0

    def __post_init__(self) -> None:
        self._check("VP")

    def affine(self, times: Array) -> Affine:
        """A = -beta/2, B = 0, g = sqrt(beta)."""
        beta = self._beta(times)
        return Affine(-0.5 * beta, _fill(0.0, times), np.sqrt(beta))

    def transition(self, t: Any) -> Transition:
        """alpha, 0, 1 - alpha^2."""
        b = self._integral(t)
        return Transition(portable.exp(-0.5 * b), _fill(0.0, t), -portable.expm1(-b))


@dataclass(frozen=True)
class SubVP(_LinearBeta):
    """Sub-VP: dx = -1/2 beta(t) x dt + sqrt(beta(t) (1 - e^{-2 int beta})) dw, beta linear.

    x_t | x_0 ~ N(alpha x_0, (1 - alpha^2)^2), alpha = exp(-1/2 int_0^t beta).
    Song et al. 2021 (arXiv:2011.13456), eq. 12.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    T: float = 1.0

    def __post_init__(self) -> None:
        self._check("SubVP")

    def affine(self, times: Array) -> Affine:
        """A = -beta/2, B = 0, g = sqrt(beta (1 - e^{-2 int beta}))."""
        beta = self._beta(times)
        g = np.sqrt(beta * -portable.expm1(-2.0 * self._integral(times)))
        return Affine(-0.5 * beta, _fill(0.0, times), g)

    def transition(self, t: Any) -> Transition:
        """alpha, 0, (1 - alpha^2)^2."""
        b = self._integral(t)
        return Transition(portable.exp(-0.5 * b), _fill(0.0, t), portable.expm1(-b) ** 2)


@dataclass(frozen=True)
class VE(Process):
    """Variance exploding: dx = sqrt(d sigma^2/dt) dw.

    sigma(t) = sigma_min (sigma_max/sigma_min)^{t/T}.

    x_t | x_0 ~ N(x_0, sigma(t)^2 - sigma(0)^2), 0 < sigma_min < sigma_max.
    Song et al. 2021 (arXiv:2011.13456), eq. 9 and appendix C.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0
    T: float = 1.0

    def __post_init__(self) -> None:
        self._set(sigma_min=check.positive("VE.sigma_min", self.sigma_min))
        self._set(T=check.positive("VE.T", self.T))
        self._set(sigma_max=check.positive("VE.sigma_max", self.sigma_max))
        if self.sigma_max <= self.sigma_min:
            raise InputError(
                f"VE.sigma_max must exceed sigma_min = {self.sigma_min!r}, got {self.sigma_max!r}"
            )

    @property
    def horizon(self) -> float:  # type: ignore[override]
        """T."""
        return self.T

    def _log_ratio(self) -> float:
        return float(portable.log(self.sigma_max / self.sigma_min))

    def affine(self, times: Array) -> Affine:
        """A = 0, B = 0, g = sigma(t) sqrt(2 ln(sigma_max/sigma_min)/T)."""
        zero = _fill(0.0, times)
        rate = self._log_ratio() / self.T
        sigma = self.sigma_min * portable.exp(rate * np.asarray(times))
        return Affine(zero, zero, sigma * np.sqrt(2.0 * rate))

    def transition(self, t: Any) -> Transition:
        """1, 0, sigma_min^2 ((sigma_max/sigma_min)^{2t/T} - 1)."""
        grown = portable.expm1(2.0 * self._log_ratio() / self.T * np.asarray(t))
        return Transition(_fill(1.0, t), _fill(0.0, t), self.sigma_min**2 * grown)


GAUSSIAN = {c.__name__: c for c in (Brownian, OrnsteinUhlenbeck, VP, SubVP, VE)}
"""The processes with Gaussian transitions a x_0 + b, v by name: a, b and v are scalars."""
