"""float16 from float32, rounded to nearest even, by integer arithmetic.

Numba has no float16 on CPUs, and HDF5's own conversion rounds wrongly and slowly.
"""

import numpy as np

from fastrev.kernels import intrinsics as op
from fastrev.kernels.jit import inlined

_u32 = np.uint32
_SIGN, _REST = _u32(0x80000000), _u32(0x7FFFFFFF)
_INFINITY_32 = _u32(0x7F800000)
_TOO_LARGE = _u32((127 + 16) << 23)
_SMALLEST_NORMAL = _u32((127 - 14) << 23)
_REBIAS = _u32((127 - 15) << 23)
_HALF_UNIT = np.float32(0.5)  # adding it leaves a subnormal half in the low bits, rounded
_HALF_UNIT_BITS = _u32(0x3F000000)


LEAST_INFINITE = 65520.0
"""From here on float16 is infinite."""


@inlined
def half_bits(x):
    """The 16 bits of the float16 nearest to a float32, as uint16; beyond 65504 infinity."""
    return _half_of(op.bits_of_f32(x))


@inlined
def half_bits_of_double(x):
    """The same of a float64, rounded once: to the float32 of odd last bit beside it first."""
    near = np.float32(x)
    bits, back = op.bits_of_f32(near), np.float64(near)
    bits = _u32(bits - _u32(1)) if op.magnitude(back) > op.magnitude(x) else bits
    bits = _u32(bits | _u32(1)) if back != x else bits
    return _half_of(bits)


@inlined
def _half_of(bits):
    rest = _u32(bits & _REST)
    odd = _u32((rest >> _u32(13)) & _u32(1))
    normal = _u32(_u32(rest - _REBIAS) + _u32(0x0FFF) + odd) >> _u32(13)
    tiny = _u32(op.bits_of_f32(op.f32_of_bits(rest) + _HALF_UNIT) - _HALF_UNIT_BITS)
    half = _u32(normal) if rest >= _SMALLEST_NORMAL else tiny
    half = _u32(0x7C00) if rest >= _TOO_LARGE else half
    half = _u32(0x7E00) if rest > _INFINITY_32 else half
    return np.uint16(half | _u32((bits & _SIGN) >> _u32(16)))
