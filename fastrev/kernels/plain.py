"""Functions for kernels that Python can call too; compiled code has them as `vmath` has."""

import math
from typing import Any


def multiply_add(a: Any, b: Any, c: Any) -> Any:
    """a b + c; in compiled code with one rounding."""
    return a * b + c


def largest(a: Any, b: Any, c: Any) -> Any:
    """The largest of three numbers, c where the others are NaN.

    Of two, the larger put in the place of one of them, LLVM makes a masked store, for which AMD's
    processors without AVX-512 take twenty cycles (measured, Zen 3: two fifths of a run).
    """
    c = a if a > c else c
    return b if b > c else c


def decay(x: Any) -> Any:
    """2^x for x <= 0: a share before it is divided by their sum; `vmath`'s has 0 for the smallest.

    In powers of two, for which logits are made so once: what is left of x less a whole number is
    exact.
    """
    return math.exp(x * math.log(2.0))


LOG2_E = 1.0 / math.log(2.0)
"""What makes a natural logarithm one to the base 2."""
