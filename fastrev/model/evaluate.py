"""A kernel's values at many points in plain NumPy: for grids and training, not for runs."""

import math
import types
from collections import namedtuple
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastrev.model.check import Array
from fastrev.model.kernel import Kernel

_RENAMED = {"pow": "power", "atan": "arctan", "asin": "arcsin", "acos": "arccos", "fabs": "abs"}


def evaluated(kernel: Kernel, x: Array, t: float) -> Array:
    """Values at x (N, d) and time t: (N, d), (N,) of a tuple's kernel that gives one number, or
    (N, d, m) of one that gives a matrix.

    Formulas of arithmetic, NumPy or `math` take all points at once; what else there is, one by
    one.
    """
    scheduled = {k: v[0] for k, v in kernel.scheduled(np.array([t])).items()}
    if kernel.shape == "coordinate":
        columns = []
        for j, column in enumerate(x.T):
            own = {k: v[min(j, len(v) - 1)] if np.ndim(v) else v for k, v in scheduled.items()}
            columns.append(_at_points(kernel.function, (column,), t, _params(kernel, own), False))
        return np.stack(columns, axis=1)
    p = _params(kernel, scheduled)
    if kernel.shape == "tile":
        out = np.empty((x.shape[1], len(x)))
        scratch = (np.empty((5, len(x))),) if kernel.function.__code__.co_argcount == 5 else ()
        kernel.function(np.array(x.T, order="C"), t, p, out, *scratch)
        return out.T
    return np.moveaxis(_at_points(kernel.function, tuple(x.T), t, p, True), -1, 0)


def _params(kernel: Kernel, scheduled: dict[str, Any]) -> Any:
    """The p of a kernel, its numbers as floats."""
    values = kernel.constants() | scheduled
    numbers = {n: float(v) if np.ndim(v) == 0 else v for n, v in values.items()}
    return namedtuple("Params", numbers)(**numbers)  # type: ignore[misc]


_SAMPLE = 5
"""Points at which values of all at once are compared with those of one at a time."""


def _at_points(
    function: Callable[..., Any], x: tuple[Array, ...], t: float, p: Any, together: bool
) -> Array:
    """Values (..., N) at coordinates (N,) each, given as a tuple or, of one, alone.

    A function that is given all points may not tell them apart, as one that adds up; so what it
    gives is looked at.
    """
    count = len(x[0])

    def called(one: Callable[..., Any], places: Any) -> Any:
        own = tuple(column[places] for column in x)  # a copy: the function may change it
        with np.errstate(all="ignore"):
            return one(own if together else own[0], t, p)

    def alone(place: int) -> Array:
        try:
            return np.asarray(called(plain, place), np.float64)
        except Exception:  # of Python's numbers, such as an overflow, where NumPy has infinity
            return np.asarray(called(function, place), np.float64)

    plain = _with_numpy(function)
    sample = np.unique(np.linspace(0, count - 1, _SAMPLE).astype(int))
    for whole in (function, plain):
        try:
            values = _stacked(called(whole, np.arange(count)), count)
            single = np.stack([alone(place) for place in sample], axis=-1)
        except Exception:  # a user's function that expects numbers may raise anything
            continue
        if values[..., sample].shape == single.shape and np.allclose(
            values[..., sample], single, rtol=1e-6, atol=1e-12, equal_nan=True
        ):
            return values
    return np.stack([alone(place) for place in range(count)], axis=-1)


def _stacked(rows: Any, count: int) -> Array:
    """Nested tuples of numbers and (N,) arrays as one array (..., N)."""
    if isinstance(rows, tuple | list):
        return np.stack([_stacked(row, count) for row in rows])
    return np.broadcast_to(np.asarray(rows, np.float64), (count,))


def _with_numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with `math` replaced by NumPy's functions of the same names."""
    scope = dict(function.__globals__)
    for name, value in scope.items():
        if value is math:
            scope[name] = _NUMPY_MATH
        elif isinstance(value, types.BuiltinFunctionType) and value.__module__ == "math":
            scope[name] = getattr(_NUMPY_MATH, value.__name__, value)
    return types.FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, function.__closure__
    )


def _numpy_math() -> Any:
    space = SimpleNamespace(pi=math.pi, e=math.e, tau=math.tau, inf=math.inf)
    for name in dir(math):
        ours = getattr(np, _RENAMED.get(name, name), None)
        if callable(ours):
            setattr(space, name, ours)
    return space


_NUMPY_MATH = _numpy_math()
