"""An ordinary Python function, made fit for a fast loop of one dtype.

What a user writes with `math.exp` and float literals is compiled with

- elementary functions of `math`, `numpy` and `scipy.special` bound to those of `vmath`,
- float literals, globals and closure values in the kernel's own dtype (Numba
  would take them as float64 and do the whole expression in double precision),
- plain Python helpers, wherever they live, compiled along.

The function itself is not touched.
"""

import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher

from fastrev.kernels.compiler import user_borrower, user_loop, user_scalar
from fastrev.kernels.fingerprint import code_names, is_own, plain_function
from fastrev.kernels.jit import INNER, borrower, loop, scalar, scalar_borrower
from fastrev.kernels.vmath import BY_WIDTH

_SHARED = ["exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt"]
_FAST_NAMES: dict[str, dict[str, str]] = {
    "math": {name: name for name in [*_SHARED, "atan", "pow", "erf", "erfc"]},
    "numpy": {name: name for name in [*_SHARED, "atan", "pow", "logaddexp"]}
    | {"arctan": "atan", "power": "pow"},
    "scipy.special": {name: name for name in ("expm1", "log1p", "erf", "erfc")}
    | {"expit": "sigmoid"},
    "fastrev.kernels.plain": {"decay": "decay", "multiply_add": "fma"},
}
"""What each library calls the functions of `vmath`."""

_shared: dict[Any, Any] = {}
"""Compiled functions of this package that nothing of a user's is part of, for all kernels of a
process (measured: a further kernel compiles in three quarters of the time)."""
_Compile = Callable[..., Any]


class NotAKernelError(ValueError):
    """A function that cannot be a kernel; the message says why."""


class Specialiser:
    """Compiles functions for one dtype; one instance per kernel, so helpers are shared.

    loops  the functions with loops over arrays, as they were made
    tag    a text that no other kernel shares, put into the name of every function: compiled
           functions find one another by name, also across kernels loaded from disk
    inner  whether Python calls none of the functions but an `entry`
    shared whether functions of this package alone may be those that an earlier kernel made, with
           its tag
    """

    def __init__(self, dtype: Any, tag: str, inner: bool = False, shared: bool = False) -> None:
        self.dtype = np.dtype(dtype)
        self.tag = tag
        self._options = INNER if inner else {}
        self._sharing = shared
        self.loops: list[Any] = []
        self._done: dict[int, Any] = {}
        self._fast = BY_WIDTH[self.dtype.name]

    def scalar(self, function: Callable[..., Any]) -> Any:
        """A jitted function of numbers, inlined where it is called."""
        return self._compile(function, user_scalar)

    def loop(self, function: Callable[..., Any]) -> Any:
        """A jitted function with loops over arrays."""
        jit = user_borrower if getattr(function, "borrows", False) else user_loop
        self.loops.append(self._compile(function, jit))
        return self.loops[-1]

    def own_scalar(self, function: Callable[..., Any]) -> Any:
        """`scalar` for a function of this package, as it is."""
        return self._own(function, scalar)

    def own_scalar_borrower(self, function: Callable[..., Any]) -> Any:
        """`scalar_borrower` for a function of this package, as it is."""
        return self._own(function, scalar_borrower)

    def own_loop(self, function: Callable[..., Any]) -> Any:
        """`loop` for a function of this package, as it is."""
        self.loops.append(self._own(function, loop))
        return self.loops[-1]

    def own_borrower(self, function: Callable[..., Any]) -> Any:
        """`borrower` for a function of this package, as it is."""
        self.loops.append(self._own(function, borrower))
        return self.loops[-1]

    def entry(self, function: Callable[..., Any]) -> Any:
        """`own_loop` for a function that Python calls."""
        return loop(self._named(function), no_cfunc_wrapper=True)

    def _named(self, function: Callable[..., Any]) -> Callable[..., Any]:
        function.__qualname__ = f"{function.__qualname__}_{self.tag}"
        return function

    def _own(self, function: Callable[..., Any], jit: _Compile) -> Any:
        def make() -> Any:
            return jit(self._named(function), **self._options)

        return self._once(_content(function), jit, make)

    def _once(self, content: Any, jit: _Compile, make: Callable[[], Any]) -> Any:
        """What `make` gives or, of the same content, gave an earlier kernel."""
        if content is None or not self._sharing:
            return make()
        key = (content, jit, self.dtype.name, bool(self._options))
        if key not in _shared:
            made = make()
            made.fastrev_shared = True
            _shared[key] = made
        return _shared[key]

    def _compile(self, function: Callable[..., Any], jit: _Compile) -> Any:
        plain = plain_function(function)
        if plain is None:
            raise NotAKernelError(f"a kernel must be a Python function (x, t, p), got {function!r}")
        if id(plain) not in self._done:
            content = plain if is_own(plain) else None
            made = self._once(content, jit, lambda: self._specialised(plain, jit))
            self._done[id(plain)] = made
        return self._done[id(plain)]

    def _specialised(self, plain: types.FunctionType, jit: _Compile) -> Any:
        code = plain.__code__
        names, attributes = code_names(code)
        self._done[id(plain)] = plain  # a function that calls itself: left to Numba to refuse
        scope = dict(plain.__globals__)
        if "float" in names and not any(_is_number(c) for c in code.co_consts):
            scope.setdefault("float", float)  # float("inf") is left to Numba
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
        return jit(self._named(copy), **self._options)

    def _literal(self, value: Any) -> Any:
        """Floats, also inside tuples, in the kernel's dtype."""
        if isinstance(value, float):
            with np.errstate(over="ignore", under="ignore"):
                cast = self.dtype.type(value)
            if np.isfinite(value) and (not np.isfinite(cast) or (cast == 0.0) != (value == 0.0)):
                raise NotAKernelError(
                    f"the number {value!r} is out of the range of {self.dtype.name}; "
                    "run with dtype='float64'"
                )
            return cast
        if type(value) is tuple:
            return tuple(self._literal(item) for item in value)
        return value

    def _value(self, value: Any, attributes: set[str]) -> Any:
        """What a global or closure value becomes."""
        if isinstance(value, types.ModuleType):
            return self._module(value, attributes)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return value.astype(self.dtype)
        if str(getattr(value, "__module__", "")).partition(".")[0] == "random":
            raise NotAKernelError(_NO_RANDOM)
        if value is float:
            return self.dtype.type
        for library, names in _FAST_NAMES.items():
            module = sys.modules.get(library)  # a library that nobody imported is not asked
            for theirs, ours in names.items():
                if value is getattr(module, theirs, self):
                    return self._fast[ours]
        if plain_function(value) is not None:
            own = hasattr(value, "py_func") and str(value.__module__).startswith("fastrev.kernels.")
            return value if own else self._compile(value, user_scalar)
        return self._literal(value)

    def _module(self, module: types.ModuleType, attributes: set[str]) -> types.ModuleType:
        """A stand-in for a module, with the attributes that the function names replaced."""
        if module.__name__ in ("random", "numpy.random") or (
            module is np and "random" in attributes
        ):
            raise NotAKernelError(_NO_RANDOM)
        stand_in = types.ModuleType(module.__name__)
        fast = _FAST_NAMES.get(module.__name__, {})
        for name in attributes & set(dir(module)):
            value = getattr(module, name)
            if name in fast:
                value = self._fast[fast[name]]
            elif module.__name__ in ("math", "numpy"):
                value = self._literal(value)
            elif value is not module:
                value = self._value(value, attributes)
            setattr(stand_in, name, value)
        return stand_in


def _content(function: Callable[..., Any]) -> Any:
    """What decides the code of a package function; None where a user's may be part of it."""
    plain: Any = function
    held = (plain.__defaults__, *(cell.cell_contents for cell in plain.__closure__ or ()))
    known = _known(held)
    return known and (plain.__module__, plain.__qualname__, plain.__code__, known)


def _known(value: Any) -> Any:
    """A value that a function refers to, with its type; None for what is not this package's."""
    if isinstance(value, tuple):
        items = [_known(item) for item in value]
        return None if None in items else (tuple, *items)
    plain = value is None or isinstance(value, bool | int | float | str | np.generic)
    kind = isinstance(value, type) and issubclass(value, np.generic)
    return (type(value), value) if plain or kind or _is_shared(value) else None


def _is_shared(value: Any) -> bool:
    """Whether kernels share a compiled function: it says so, or stands at the top of a module."""
    if getattr(value, "fastrev_shared", False):
        return True
    at_top = isinstance(value, Dispatcher) and "<locals>" not in value.py_func.__qualname__
    return at_top and str(value.__module__).startswith("fastrev.kernels.")


_NO_RANDOM = (
    "a kernel must not draw random numbers of its own: the noise is the engine's, "
    "addressed by seed, particle and step"
)


def _is_number(constant: Any) -> bool:
    """Whether this is a text that `float` would read."""
    try:
        return isinstance(constant, str) and bool(repr(float(constant)))
    except ValueError:
        return False
