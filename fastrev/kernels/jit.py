"""The one place where compile flags are chosen.

`error_model="numpy"` so that no arithmetic raises inside a loop (a raise keeps
the loop scalar); no fastmath anywhere, so that results are the same bits on
every machine; scalar functions are inlined by LLVM so that the loop around
them vectorises.
"""

from collections.abc import Callable
from typing import Any

import numba

scalar: Callable[..., Any] = numba.njit(error_model="numpy", forceinline=True)
"""A function of a few floats, inlined into the loop that calls it."""

loop: Callable[..., Any] = numba.njit(error_model="numpy", nogil=True)
"""A function with loops over arrays, free of the interpreter lock."""
