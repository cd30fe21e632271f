"""Numbers of steps: those of linear processes, and whether a run's dtype holds them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrev.engine.specification import Specification
from fastrev.model.check import InputError
from fastrev.model.kernel import Terms
from fastrev.model.method import Prepared


def is_affine(terms: Terms, prepared: Prepared, spec: Specification) -> bool:
    """Whether a step is one of `kernels.advance_affine`, and nothing else is done in it."""
    plain = spec.method.stages != "heun" and not prepared.repeats and spec.boundary is None
    return terms.affine is not None and plain


def affine_steps(
    terms: Terms, prepared: Prepared, spec: Specification, real: Any
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Slopes and offsets, and spreads, of the steps of `kernels.advance_affine`.

    Raises InputError.
    """
    assert terms.affine is not None
    times, h = spec.grid.times[:-1], spec.grid.h[:, None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        law = terms.affine(times)
        slope, offset = (h * value.reshape(len(h), -1) for value in (law.slope, law.offset))
    for name, own, of_step in (("slope", law.slope, slope), ("offset", law.offset, offset)):
        check_finite(f"drift.{name}", own, times, real)
        check_finite(f"drift.{name}", of_step, times, real)
    check_finite("diffusion.g", law.g, times, real)
    if not offset.any():
        offset = offset[:0]
    return (cast(slope, real), cast(offset, real)), (cast(prepared.root * law.g, real),)


def check_finite(
    name: str, values: NDArray[np.float64], times: NDArray[np.float64], real: Any
) -> None:
    """Refuse numbers of steps (S, ...) that the run's dtype does not hold.  Raises InputError."""
    with np.errstate(over="ignore"):
        finite = np.isfinite(values.astype(real))
    if not finite.all():
        t = float(times[int(np.argmin(finite.reshape(len(values), -1).all(axis=1)))])
        raise InputError(
            f"the process is singular on the time grid: {name} is not finite at "
            f"t = {t:g}; a score is singular where the law is a point"
        )


def cast(value: NDArray[np.float64], real: Any) -> Any:
    """A scalar or a contiguous array of the run's dtype."""
    return real(value) if np.ndim(value) == 0 else np.ascontiguousarray(value, dtype=real)
