"""An ordinary Python function, made fit for a fast loop of one dtype.

What a user writes with `math.exp` and float literals is compiled with

- `math.*` and `np.*` elementary functions bound to those of `vmath`,
- float literals, globals and closure values in the kernel's own dtype (Numba
  would take them as float64 and do the whole expression in double precision),
- plain Python helpers, wherever they live, compiled along.

The function itself is not touched.
"""

import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from fastrev.kernels.fingerprint import code_names, plain_function
from fastrev.kernels.jit import loop, scalar
from fastrev.kernels.vmath import BY_WIDTH


class Specialiser:
    """Compiles functions for one dtype; one instance per kernel, so helpers are shared."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self._done: dict[int, Any] = {}
        self._fast = BY_WIDTH[self.dtype.name]

    def scalar(self, function: Callable[..., Any]) -> Any:
        """A jitted function of numbers, inlined where it is called."""
        return self._compile(function, scalar)

    def loop(self, function: Callable[..., Any]) -> Any:
        """A jitted function with loops over arrays."""
        return self._compile(function, loop)

    def _compile(self, function: Callable[..., Any], jit: Callable[..., Any]) -> Any:
        plain = plain_function(function)
        if plain is None:
            raise TypeError(f"a kernel must be a Python function (x, t, p), got {function!r}")
        if id(plain) in self._done:
            return self._done[id(plain)]
        code = plain.__code__
        names, attributes = code_names(code)
        self._done[id(plain)] = plain  # a function that calls itself: left to Numba to refuse
        scope = dict(plain.__globals__)
        scope.update({n: self._value(scope[n], attributes) for n in names & scope.keys()})
        cells = tuple(
            types.CellType(self._value(cell.cell_contents, attributes))
            for cell in plain.__closure__ or ()
        )
        copy = types.FunctionType(
            code.replace(co_consts=tuple(self._literal(c) for c in code.co_consts)),
            scope,
            plain.__name__,
            self._literal(plain.__defaults__),
            cells or None,
        )
        copy.__module__, copy.__qualname__ = plain.__module__, plain.__qualname__
        self._done[id(plain)] = compiled = jit(copy)
        return compiled

    def _literal(self, value: Any) -> Any:
        """Floats, also inside tuples, in the kernel's dtype."""
        if isinstance(value, float):
            return self.dtype.type(value)
        if type(value) is tuple:
            return tuple(self._literal(item) for item in value)
        return value

    def _value(self, value: Any, attributes: set[str]) -> Any:
        """What a global or closure value becomes."""
        if isinstance(value, types.ModuleType):
            return self._module(value, attributes)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return value.astype(self.dtype)
        for name, fast in self._fast.items():
            if value is getattr(math, name) or value is getattr(np, name):
                return fast
        if isinstance(value, types.FunctionType) or hasattr(value, "py_func"):
            return self._compile(value, scalar)
        return self._literal(value)

    def _module(self, module: types.ModuleType, attributes: set[str]) -> types.ModuleType:
        """A stand-in for a module, with the attributes that the function names replaced."""
        stand_in = types.ModuleType(module.__name__)
        for name in attributes & set(dir(module)):
            value = getattr(module, name)
            replaced = self._fast.get(name) if module in (math, np) else None
            if replaced is None and plain_function(value) and module is not np:
                replaced = self._compile(value, scalar)
            setattr(stand_in, name, self._literal(value) if replaced is None else replaced)
        return stand_in
