"""Observables as the kernel takes them: what is compiled in, and its parameters."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastrev.model.first_passage import FirstPassage
from fastrev.model.histogram import Histogram
from fastrev.model.mean import Mean
from fastrev.model.moments import Moments
from fastrev.model.quantiles import Quantiles

if TYPE_CHECKING:
    from fastrev.engine.specification import Observed, Specification
    from fastrev.kernels.recipe import Observer

OBSERVABLES: dict[str, Any] = {
    c.__name__: c for c in (Moments, Histogram, Quantiles, Mean, FirstPassage)
}


class Prepared(NamedTuple):
    """What an observable compiles to, and the table of its parameters."""

    observer: "Observer"
    table: tuple[Any, ...] = ()


def observer_of(one: "Observed", spec: "Specification") -> Prepared:
    """The observer of an observable.  Raises InputError."""
    from fastrev.kernels import boundary, moments, quantiles
    from fastrev.kernels.recipe import Observer

    observable, real = one.observable, np.dtype(spec.dtype).type
    if isinstance(observable, Histogram):
        return _histogram(observable, real)
    if isinstance(observable, Mean):
        return _mean(observable, spec.grid.times[list(one.steps)].astype(real), real)
    blank = np.ones((len(one.steps), spec.dim))  # until a pilot has run
    if isinstance(observable, Quantiles):
        return Prepared(Observer(quantiles.add_quantiles), (blank, blank))
    if isinstance(observable, FirstPassage):
        return Prepared(Observer(boundary.add_passages))
    single = real is np.float32
    return Prepared(
        Observer(moments.add_moments_f32 if single else moments.add_moments), (blank, blank)
    )


def _histogram(observable: Histogram, real: Any) -> Prepared:
    """In float32 first, where particles are."""
    from fastrev.kernels import histogram
    from fastrev.kernels.recipe import Observer

    table = _bins(observable)
    if observable.plane:
        return Prepared(Observer(histogram.add_plane), table)
    if real is np.float32:
        return Prepared(Observer(histogram.add_histogram_f32), (*table, _narrow(observable)))
    return Prepared(Observer(histogram.add_histogram), table)


def _bins(histogram: Histogram) -> tuple[Any, ...]:
    """Coordinate, low, high, step, 1/step and bins; pairs of them for a plane."""
    low, high, bins = (np.atleast_1d(v) for v in (histogram.low, histogram.high, histogram.bins))
    step = (high - low) / bins
    table = (low, high, step, 1.0 / step, bins.astype(np.float64))
    if histogram.plane:
        return tuple(histogram.coordinate), *(tuple(map(float, v)) for v in table)
    return histogram.coordinate, *(float(v[0]) for v in table)


def _narrow(histogram: Histogram) -> tuple[np.float32, ...]:
    """low, 1/step, bins in float32, and how far (x - low)/step may then be off inside the bins.

    Rounding of low, of the difference, of 1/step and of the product, each half of 2^-23.
    """
    low, high, bins = histogram.low, histogram.high, histogram.bins
    inverse = bins / (high - low)
    doubt = 2.0**-23 * (2.0 * inverse * max(abs(low), abs(high)) + 2.0 * bins)
    return tuple(np.float32(v) for v in (low, inverse, bins, doubt))


def _mean(mean: Mean, times: Any, real: Any) -> Prepared:
    """A user's function, its times and params in the run's dtype."""
    from fastrev.kernels.mean import make_mean
    from fastrev.kernels.recipe import Observer, Part

    kernel = mean.as_kernel()
    constants = kernel.constants()
    part = Part(kernel.function, tuple(constants), (False,) * len(constants), kernel.shape)
    params = (real(v) if v.ndim == 0 else v.astype(real) for v in constants.values())
    return Prepared(Observer(make=make_mean, part=part), (times, *params))
