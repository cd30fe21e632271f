"""A kernel's values at many points in plain NumPy: for grids and training, not for runs."""

import math
import types
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastrev.model.check import Array
from fastrev.model.kernel import Kernel

_RENAMED = {"pow": "power", "atan": "arctan", "asin": "arcsin", "acos": "arccos", "fabs": "abs"}


def evaluated(kernel: Kernel, x: Array, t: float) -> Array:
    """Values at x (N, d) and time t: (N, d), or (N, d, m) of a kernel that gives a matrix.

    Formulas of arithmetic, NumPy or `math` take all points at once; what else there is, one by
    one.
    """
    scheduled = {k: v[0] for k, v in kernel.scheduled(np.array([t])).items()}
    if kernel.shape == "coordinate":
        columns = []
        for j, column in enumerate(x.T):
            own = {k: v[min(j, len(v) - 1)] if np.ndim(v) else v for k, v in scheduled.items()}
            columns.append(_of_column(kernel.function, column, t, _params(kernel, own)))
        return np.stack(columns, axis=1)
    p = _params(kernel, scheduled)
    if kernel.shape == "tile":
        out = np.empty((x.shape[1], len(x)))
        scratch = (np.empty((5, len(x))),) if kernel.function.__code__.co_argcount == 5 else ()
        kernel.function(np.ascontiguousarray(x.T), t, p, out, *scratch)
        return out.T
    for function in (kernel.function, _with_numpy(kernel.function)):
        try:
            rows = function(tuple(x.T), t, p)
            return np.moveaxis(_stacked(rows, len(x)), -1, 0)
        except (TypeError, ValueError, AttributeError):
            continue
    return np.array([np.asarray(kernel.function(tuple(map(float, v)), t, p)) for v in x], float)


def _params(kernel: Kernel, scheduled: dict[str, Any]) -> Any:
    """The p of a kernel, its numbers as floats."""
    values = kernel.constants() | scheduled
    return SimpleNamespace(**{n: float(v) if np.ndim(v) == 0 else v for n, v in values.items()})


def _of_column(function: Callable[..., Any], x: Array, t: float, p: Any) -> Array:
    for whole in (function, _with_numpy(function)):
        try:
            return np.broadcast_to(np.asarray(whole(x, t, p), np.float64), x.shape)
        except (TypeError, ValueError, AttributeError):
            continue
    return np.array([float(function(float(v), t, p)) for v in x])


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
