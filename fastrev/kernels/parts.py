"""A recipe's parts, compiled: functions of a particle, or of one coordinate, and their params."""

from typing import Any

import numpy as np

from fastrev.kernels.jit import inlined
from fastrev.kernels.params import make_params
from fastrev.kernels.recipe import Part
from fastrev.kernels.specialise import Specialiser


def make_part(part: Part | None, build: Specialiser) -> tuple[Any, Any]:
    """The jitted function of a part, and `params(table, i, j)`, which assembles its p."""
    if part is None:
        return _nothing, make_params((), (), per_coordinate=True)
    by_coordinate = part.shape == "coordinate"
    params = make_params(part.names, part.scheduled, per_coordinate=by_coordinate)
    if part.shape != "tile":
        return build.scalar(part.function), params
    inner = build.loop(part.function)
    if part.function.__code__.co_argcount == _WITH_WORK:
        return inner, params

    @build.own_scalar
    def without_work(x, t, p, out, work):
        inner(x, t, p, out)

    return without_work, params


_WITH_WORK = 5
"""Arguments of a tile function that asks for scratch; a user's has none."""


@inlined
def _nothing(x, t, p):
    return x


@inlined
def forward_drift(f, pull, c):
    """The drift of a forward run."""
    return f


@inlined
def square(g):
    """a = g^2."""
    return g * g


def make_central(square_of: Any, real: Any, build: Specialiser) -> Any:
    """`central(x, t, p)`: d/dx of square_of(x, t, p) by a central difference.

    The step is eps^(1/3) max(1, |x|): the relative error is about eps^(2/3), which is
    2e-5 in float32 and 4e-11 in float64, of a function that varies on that scale.
    """
    third, one = central_step(real), real(1.0)

    @build.own_scalar
    def central(x, t, p):
        size = abs(x)
        e = third * (size if size > one else one)
        above, below = x + e, x - e
        return (square_of(above, t, p) - square_of(below, t, p)) / (above - below)

    return central


def central_step(real: Any) -> Any:
    """eps^(1/3), the step at which truncation and rounding of a central difference meet."""
    return real(float(np.finfo(real).eps) ** (1.0 / 3.0))
