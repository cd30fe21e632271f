"""exp, expm1 and log of float64 arrays with the same bits on every machine.

NumPy and libm choose their algorithm by processor, and their last bit differs.
The per-step scalars of a kernel come from here instead: only IEEE additions,
multiplications and divisions, which agree everywhere.  Errors are below 2 ulp;
arrays have one entry per time step, so speed does not matter.
"""

import math
from typing import Any

import numpy as np

from fastrev.model.check import Array

_LN2_HI = 0.6931471803691238  # the top 32 bits of ln 2, so k * _LN2_HI is exact
_LN2_LO = 1.9082149292705877e-10
_INVERSE_FACTORIALS = [1.0 / math.factorial(n) for n in range(18, 0, -1)]


def _reduce(x: Any) -> tuple[Array, Array]:
    """k and e^r - 1 with x = k ln 2 + r, |r| <= ln(2)/2, by Taylor's series."""
    x = np.clip(np.asarray(x, dtype=np.float64), -800.0, 709.0)
    k = np.rint(x * 1.4426950408889634)
    r = (x - k * _LN2_HI) - k * _LN2_LO
    series = np.zeros_like(r)
    for coefficient in _INVERSE_FACTORIALS:
        series = (series + coefficient) * r
    return k, series


def exp(x: Any) -> Array:
    """e^x, for x <= 709 (zero below -745)."""
    k, series = _reduce(x)
    return np.ldexp(1.0 + series, k.astype(np.int64))


def expm1(x: Any) -> Array:
    """e^x - 1 without cancellation at small x, for x <= 709."""
    k, series = _reduce(x)
    scale = np.ldexp(1.0, k.astype(np.int64))
    return scale * series + (scale - 1.0)


def log(x: Any) -> Array:
    """ln x for x > 0, by the series of 2 atanh((m-1)/(m+1)) of its mantissa."""
    m, e = np.frexp(np.asarray(x, dtype=np.float64))
    low = m < 0.7071067811865476
    m, e = np.where(low, 2.0 * m, m), e - low
    s = (m - 1.0) / (m + 1.0)
    series = np.zeros_like(s)
    for n in range(41, 0, -2):
        series = series * (s * s) + 1.0 / n
    return e * _LN2_HI + (2.0 * s * series + e * _LN2_LO)
