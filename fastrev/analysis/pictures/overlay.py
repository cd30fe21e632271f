"""The exact law as a picture needs it: moments along t, densities of one or two coordinates."""

from collections.abc import Sequence

import numpy as np

from fastrev.analysis.exact import Moments, law
from fastrev.engine.run import Run
from fastrev.model import mixture
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution

_TIMES = 200


def exact_law(run: Run, t: float) -> Distribution | None:
    """The law of x_t of the process that a run follows, None where it is not known."""
    spec = run.known_specification
    return None if spec is None else law(spec, t)


def moments_at(exact: Distribution, coordinate: int) -> tuple[float, float]:
    """Mean and variance of one coordinate."""
    mean, variance = (m[min(coordinate, len(m) - 1)] for m in exact.moments())
    return float(mean), float(variance)


def exact_moments(run: Run, span: Array, coordinate: int) -> tuple[Array, Moments] | None:
    """200 times over those of `span`, mean and variance (200,) at each; None if not known."""
    times = np.linspace(span.min(), span.max(), _TIMES)
    laws = [exact_law(run, float(t)) for t in times]
    known = [exact for exact in laws if exact is not None]
    if len(known) < len(laws):
        return None
    values = np.array([moments_at(exact, coordinate) for exact in known])
    return times, Moments(values[:, 0], values[:, 1])


def line_density(exact: Distribution, x: Array, coordinate: int) -> Array | None:
    """The density of one coordinate at points (M,), None where there is none."""
    found = _components(exact, [coordinate])
    if found is not None:
        return mixture.pdf(found, x)
    one = len(exact.moments()[0]) == 1 and moments_at(exact, 0)[1] > 0.0
    try:
        return np.asarray(exact.pdf(x)) if one else None
    except InputError:
        return None


def plane_density(exact: Distribution, axes: Sequence[Array], pair: Sequence[int]) -> Array | None:
    """The density of two coordinates on a grid, (len(axes[1]), len(axes[0])), None as above."""
    found = _components(exact, pair)
    if found is None:
        return None
    x, y = np.meshgrid(*axes)
    return mixture.pdf(found, np.stack([x.ravel(), y.ravel()], axis=1)).reshape(x.shape)


def regions(values: Array, shares: Sequence[float] = (0.95, 0.5)) -> list[float]:
    """Levels of a density on an even grid above which these shares of its mass lie."""
    ordered = np.sort(values, axis=None)[::-1]
    mass = np.cumsum(ordered) / ordered.sum()
    return [float(ordered[np.searchsorted(mass, share)]) for share in shares]


def _components(exact: Distribution, columns: Sequence[int]) -> mixture.Components | None:
    """The law of some coordinates as a mixture, None where it is none or has no density."""
    try:
        c = exact.components()
    except InputError:
        return None
    chosen = [
        min(j, c.means.shape[1] - 1) for j in columns
    ]  # one column may serve every coordinate
    covs = None if c.covs is None else c.covs[:, chosen][:, :, chosen]
    variances = c.variances[:, chosen]
    if not (variances > 0.0).all() or (covs is not None and (np.linalg.det(covs) <= 0.0).any()):
        return None
    return mixture.Components(c.weights, c.means[:, chosen], variances, covs)
