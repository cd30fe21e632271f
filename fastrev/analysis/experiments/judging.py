"""Does a run follow p_t?  Measured against the law that its own scheme should produce.

Where the drift is linear, Euler-Maruyama maps Gaussian mixtures to Gaussian mixtures,

    m <- F m + o,   v <- F^2 v + S^2    for each component and each step x <- F x + o + S z,

so no discretisation error hides in the comparison.  That law must itself be p_t up to
one step's noise g^2 |h|, or a scheme that is wrong throughout would agree with itself.
Elsewhere p_t itself is the measure, and the steps are small enough not to be seen.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastrev.analysis.compare import LIMIT, frame_moments, z_scores
from fastrev.analysis.comparison import MOST
from fastrev.analysis.distance import FLOORS, from_law
from fastrev.analysis.exact import Moments, law, scheme_steps
from fastrev.engine.run import Run
from fastrev.engine.specification import Specification
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution
from fastrev.model.distributions import Point
from fastrev.model.gaussian import Gaussian, GaussianMixture

RARE = 1e-5
"""Of a Kolmogorov-Smirnov p-value."""
_ROUNDING = 1e-6


class Row(NamedTuple):
    """One frame of a run; variances of p_t, of the scheme (NaN if not known), of the particles."""

    t: float
    exact: float
    scheme: float
    measured: float
    z: float
    ks_p: float
    w1: float
    w1_noise: float
    agrees: bool


class Verdict(NamedTuple):
    """Whether a run follows p_t, and a line that says so."""

    follows: bool
    text: str


class Reference:
    """The laws that a one-dimensional run should have, at each forward time.

    spec   a run's own specification, or that of the right one beside a wrong one

    Raises InputError where no exact law is known.
    """

    def __init__(self, spec: Specification) -> None:
        self.spec = spec
        self._scheme = _pushed(spec)
        self._step = 0.0 if self._scheme is None else _step_noise(spec)

    def exact(self, t: float) -> Distribution:
        """p_t."""
        found = law(self.spec, t)
        if found is None:
            raise InputError("no exact law is known for this run: there is no p_t to follow")
        return found

    def scheme(self, t: float) -> Distribution | None:
        """The law after the step that ends at t, None where no recursion is known."""
        if self._scheme is None:
            return None
        weights, means, variances = self._scheme
        i = int(np.argmin(np.abs(self.spec.grid.times - t)))
        return _mixture(weights, means[i], variances[i])

    def sound(self, t: float) -> bool:
        """Whether the scheme's mean and variance are those of p_t, up to one step's noise."""
        scheme = self.scheme(t)
        if scheme is None:
            return True
        (m, v), (m_scheme, v_scheme) = _moments(self.exact(t)), _moments(scheme)
        return abs(v_scheme - v) <= self._step and (m_scheme - m) ** 2 <= self._step


def forward_times(run: Run, reference: Reference) -> Array:
    """The run's times; where it goes forward and its reference back, T less the time gone by."""
    backward = reference.spec.reverse and run.times[0] < run.times[-1]
    return reference.spec.grid.start - run.times if backward else run.times


def rows_of(run: Run, reference: Reference) -> list[Row]:
    """Every frame of the first coordinate against its reference."""
    times = forward_times(run, reference)
    exact = [reference.exact(float(t)) for t in times]
    scheme = [reference.scheme(float(t)) for t in times]
    expected = [s or e for s, e in zip(scheme, exact, strict=True)]
    measured = frame_moments(run.frames, times)
    both = np.array([_moments(one) for one in expected])
    z = z_scores(measured, Moments(both[:, :1], both[:, 1:]))
    rows = []
    for f, t in enumerate(times):
        p, w1, noise, equal = _distance(run, f, expected[f])
        large = max(abs(float(z.mean[f, 0])), abs(float(z.variance[f, 0])))
        agrees = large <= LIMIT and equal and reference.sound(float(t))
        variance = float(measured.variance[f, 0])
        of_scheme = np.nan if scheme[f] is None else float(both[f, 1])
        own = (_moments(exact[f])[1], of_scheme, variance, float(z.variance[f, 0]))
        rows.append(Row(float(t), *own, p, w1, noise, agrees))
    return rows


def verdict(rows: Sequence[Row], reverse: bool) -> Verdict:
    """One line: the run follows p_t, or where it is farthest off.

    reverse   whether the run goes back to p_0
    """
    if all(row.agrees for row in rows):
        z = max(abs(row.z) for row in rows)
        p = np.nanmin([row.ks_p for row in rows])
        last = rows[-1]
        done = "returns to p_0" if reverse else "follows p_t"
        if reverse and last.exact == 0.0 < last.scheme:
            done += f" up to the scheme's own variance {last.scheme:.3g}"
        return Verdict(True, f"{done}: largest |z| = {z:.2f}, smallest KS p = {p:.2g}")
    wrong = [row for row in rows if not row.agrees]
    far = max(wrong, key=lambda row: np.nan_to_num(abs(row.measured - row.exact), nan=np.inf))
    if reverse and far is rows[-1]:
        return Verdict(False, f"does NOT return to p_0: {_off(far)}")
    return Verdict(False, f"does NOT follow p_t: at t = {far.t:.3g} {_off(far)}")


def _off(row: Row) -> str:
    """How a row differs from p_t: by its shape where its variance is right, else by that."""
    if abs(row.z) <= LIMIT and (row.ks_p <= RARE or row.w1 > FLOORS * row.w1_noise):
        return (
            f"W1 = {row.w1:.3g} where noise alone gives {row.w1_noise:.3g}, KS p = {row.ks_p:.2g}"
        )
    return f"variance {row.measured:.3g} where {row.exact:.3g} is exact"


def _distance(run: Run, f: int, expected: Distribution) -> tuple[float, float, float, bool]:
    """KS p, W1, its noise floor, and whether noise alone may have made it; of a point, W1."""
    x = np.asarray(run.frames[f, :MOST, 0], dtype=np.float64)
    mean, variance = _moments(expected)
    if variance == 0.0 or not np.isfinite(x).all():
        w1 = float(np.abs(x - mean).mean())
        return np.nan, w1, 0.0, w1 <= _ROUNDING * (1.0 + abs(mean))
    found = from_law(x, expected.cdf)
    return found.ks_p, found.w1, found.w1_floor, found.equal_at(RARE)


def _pushed(spec: Specification) -> tuple[Array, Array, Array] | None:
    """Weights (K,), means and variances (S+1, K) of the scheme's law, None where not known."""
    try:
        steps = scheme_steps(spec)
        if not isinstance(spec.x0, Distribution):
            return None
        c = spec.x0.components()
    except InputError:
        return None
    mean, variance = c.means[:, 0], c.variances[:, 0]
    made = [(mean, variance)]
    for factor, offset, std in zip(*steps[:3], strict=True):
        mean, variance = factor * mean + offset, factor**2 * variance + std**2
        made.append((mean, variance))
    at_grid = np.array(made)[steps.ends]
    return c.weights, at_grid[:, 0], at_grid[:, 1]


def _step_noise(spec: Specification) -> float:
    """The largest variance that a step adds, and a little for rounding."""
    return 1.001 * max(float(np.max(std)) ** 2 for std in scheme_steps(spec).std)


def _mixture(weights: Array, means: Array, variances: Array) -> Distribution:
    """A law of one coordinate from its components; a point where all of it is one."""
    if len(weights) > 1:
        return GaussianMixture(weights, means, np.sqrt(variances))
    if variances[0] == 0.0:
        return Point(means[0])
    return Gaussian(means[0], np.sqrt(variances[0]))


def _moments(one: Distribution) -> tuple[float, float]:
    mean, variance = one.moments()
    return float(mean[0]), float(variance[0])
