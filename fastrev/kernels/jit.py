"""The one place where compile flags are chosen.

`error_model="numpy"` so that no arithmetic raises inside a loop (a raise keeps
the loop scalar); no fastmath anywhere, so that results are the same bits on
every machine; scalar functions are inlined by LLVM so that the loop around
them vectorises.
"""

import functools
from collections.abc import Callable
from typing import Any

import numba

from fastrev.kernels.lowering import WideCompiler


def _jit(function: Callable[..., Any], pipeline_class: Any = WideCompiler, **options: Any) -> Any:
    # said of each: Numba would hand `_nrt` of a function on to those that it calls
    options = {"error_model": "numpy", "pipeline_class": pipeline_class, "_nrt": True} | options
    return numba.njit(**options)(function)


INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of a function that only compiled code calls, and so is made machine code only where it is
linked (`lowering`).  Python that calls one gets a TypeError.
"""


def scalar(function: Callable[..., Any], **options: Any) -> Any:
    """A function of a few floats, inlined into the loop that calls it."""
    return _jit(function, forceinline=True, **options)


def inlined(function: Callable[..., Any]) -> Any:
    """`scalar` for a function that only compiled code calls."""
    return scalar(function, **INNER)


def loop(function: Callable[..., Any], **options: Any) -> Any:
    """A function with loops over arrays, free of the interpreter lock."""
    return _jit(function, nogil=True, **options)


def borrower(function: Callable[..., Any], **options: Any) -> Any:
    """`loop` for a function that makes no array and returns none, nor calls one that returns one.

    It counts no references to the arrays that it is lent: some twenty atomic additions are 0.1 us,
    a tenth of what a step of a tile takes.
    """
    return loop(function, _nrt=False, **options)


def scalar_borrower(function: Callable[..., Any], **options: Any) -> Any:
    """`borrower` for a function that is inlined into the loop that calls it."""
    return scalar(function, _nrt=False, **options)


def borrowing(function: Any) -> Any:
    """The function itself, marked as one that `borrower` is for when a kernel compiles it."""
    function.borrows = True
    return function


def inner_loop(function: Callable[..., Any]) -> Any:
    """`loop` for a function that only compiled code calls."""
    return loop(function, **INNER)


def inner_borrower(function: Callable[..., Any]) -> Any:
    """`borrower` for a function that only compiled code calls."""
    return borrower(function, **INNER)


@functools.cache
def from_python(inner: Any) -> Any:
    """A function that Python can call, of one that only compiled code calls."""

    @loop
    def outer(*args):  # type: ignore[no-untyped-def]
        return inner(*args)

    return outer
