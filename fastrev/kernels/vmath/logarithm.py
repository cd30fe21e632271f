"""log, log1p and logaddexp.

All write u = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)).
"""

import numpy as np

from fastrev.kernels import intrinsics as op
from fastrev.kernels.intrinsics import fma, horner
from fastrev.kernels.jit import scalar
from fastrev.kernels.vmath.exponential import exp32, exp64

_f32 = np.float32
_f64 = np.float64
_INF32, _INF64 = _f32(np.inf), _f64(np.inf)
_NAN32, _NAN64 = _f32(np.nan), _f64(np.nan)

# --- float32 -----------------------------------------------------------------

# log(1+f) = f + f^2 P(f) on [sqrt(1/2)-1, sqrt(2)-1], relative error 2^-27.9
_P_32 = (
    _f32(-0.4999998807907105),
    _f32(0.33333325386047363),
    _f32(-0.25001582503318787),
    _f32(0.2000197470188141),
    _f32(-0.16609081625938416),
    _f32(0.14181818068027496),
    _f32(-0.13242985308170319),
    _f32(0.1290448009967804),
    _f32(-0.0762183740735054),
)
_LN2_32 = _f32(0.6931471805599453)
_SQRT_HALF_BITS_32 = np.uint32(0x3F3504F3)
_FRACTION_32 = np.uint32(0x007FFFFF)
_TINY_32 = _f32(1e-8)  # below it log1p is x to the last bit
_HUGE_32 = _f32(1e10)  # above it the 1 of 1 + x is lost, and 2^-e may underflow


@scalar
def split32(x):
    """e and f of x = 2^e (1 + f), for a positive, normal x."""
    shifted = np.uint32(op.bits_of_f32(x) - _SQRT_HALF_BITS_32)
    e = np.int32(op.i32_of_u32(shifted) >> np.int32(23))
    f = op.f32_of_bits(np.uint32((shifted & _FRACTION_32) + _SQRT_HALF_BITS_32)) - _f32(1.0)
    return e, f


@scalar
def _joined32(e, f):
    """ln(2^e (1 + f))."""
    return fma(op.f32_of_i32(e), _LN2_32, fma(f * f, horner(f, _P_32), f))


@scalar
def log_normal32(x):
    """ln x for a positive, normal float32; no special cases."""
    e, f = split32(x)
    return _joined32(e, f)


@scalar
def log32(x):
    """ln x for any float32, subnormals included; at most 1.0 ulp.

    -inf at either zero, NaN below and at NaN, inf at inf.
    """
    x = _f32(x)
    tiny = x < _f32(1.1754944e-38)
    scaled = x * _f32(8388608.0) if tiny else x
    y = log_normal32(scaled)
    y = y - _f32(15.942385) if tiny else y
    y = x if x == _INF32 else y
    y = -_INF32 if x == _f32(0.0) else y
    return y if x >= _f32(0.0) else _NAN32


@scalar
def log1p32(x):
    """ln(1 + x) for any float32; at most 1.5 ulp.

    -inf at -1, NaN below and at NaN, inf at inf, the zero given at either zero.
    """
    x = _f32(x)
    one = _f32(1.0)
    u = one + x
    v = u - one
    lost = (one - (u - v)) + (x - v)  # 1 + x = u + lost, exactly
    e, f = split32(u)
    down = op.f32_of_bits(np.uint32(np.uint32(np.int32(127) - e) << np.uint32(23)))
    y = _joined32(e, fma(lost, _f32(0.0) if u > _HUGE_32 else down, f))
    y = x if op.magnitude(x) < _TINY_32 else y
    y = x if x == _INF32 else y
    y = -_INF32 if x == -one else y
    return y if x >= -one else _NAN32


@scalar
def logaddexp32(a, b):
    """ln(e^a + e^b) for any float32; at most 1.8 ulp of the largest of |result|, |a|, |b|.

    -inf when both are, inf when either is, NaN when either is NaN.
    """
    a, b = _f32(a), _f32(b)
    d = _f32(0.0) if a == b else -op.magnitude(a - b)
    return (a if a > b else b) + log1p32(exp32(d))


# --- float64 -----------------------------------------------------------------

# log(1+f) = 2 atanh(s) = 2s + s^3 P(s^2), s = f/(f+2), relative error 2^-65
_P_64 = (
    _f64(0.6666666666666666),
    _f64(0.4000000000000624),
    _f64(0.2857142856908737),
    _f64(0.22222222646569637),
    _f64(0.1818177568388486),
    _f64(0.1538708994611414),
    _f64(0.13250136595051382),
    _f64(0.13251159821938038),
)
LN2_HI_64, LN2_LO_64 = _f64(0.6931471803691238), _f64(1.9082149292705877e-10)
_SQRT_HALF_BITS_64 = np.uint64(0x3FE6A09E667F3BCD)
_FRACTION_64 = np.uint64(0x000FFFFFFFFFFFFF)
_TINY_64 = _f64(1e-17)
_HUGE_64 = _f64(1e20)


@scalar
def split64(x):
    """e and f of x = 2^e (1 + f), for a positive, normal x."""
    shifted = np.uint64(op.bits_of_f64(x) - _SQRT_HALF_BITS_64)
    e = np.int64(op.i64_of_u64(shifted) >> np.int64(52))
    f = op.f64_of_bits(np.uint64((shifted & _FRACTION_64) + _SQRT_HALF_BITS_64)) - _f64(1.0)
    return e, f


@scalar
def _joined64(e, f):
    """ln(2^e (1 + f))."""
    ef = op.f64_of_i64(e)
    s = f / (f + _f64(2.0))
    w = s * s
    # 2s = f - s f exactly enough that the leading term keeps its full precision
    tail = fma(s, fma(w, horner(w, _P_64), -f), ef * LN2_LO_64)
    return fma(ef, LN2_HI_64, tail + f)


@scalar
def log_normal64(x):
    """ln x for a positive, normal float64; no special cases."""
    e, f = split64(x)
    return _joined64(e, f)


@scalar
def log64(x):
    """ln x for any float64, subnormals included; at most 0.9 ulp.

    -inf at either zero, NaN below and at NaN, inf at inf.
    """
    x = _f64(x)
    tiny = x < _f64(2.2250738585072014e-308)
    scaled = x * _f64(18014398509481984.0) if tiny else x
    y = log_normal64(scaled)
    y = y - _f64(37.42994775023705) if tiny else y
    y = x if x == _INF64 else y
    y = -_INF64 if x == _f64(0.0) else y
    return y if x >= _f64(0.0) else _NAN64


@scalar
def log1p64(x):
    """ln(1 + x) for any float64; at most 1.4 ulp.

    -inf at -1, NaN below and at NaN, inf at inf, the zero given at either zero.
    """
    x = _f64(x)
    one = _f64(1.0)
    u = one + x
    v = u - one
    lost = (one - (u - v)) + (x - v)  # 1 + x = u + lost, exactly
    e, f = split64(u)
    down = op.f64_of_bits(np.uint64(np.uint64(np.int64(1023) - e) << np.uint64(52)))
    y = _joined64(e, fma(lost, _f64(0.0) if u > _HUGE_64 else down, f))
    y = x if op.magnitude(x) < _TINY_64 else y
    y = x if x == _INF64 else y
    y = -_INF64 if x == -one else y
    return y if x >= -one else _NAN64


@scalar
def logaddexp64(a, b):
    """ln(e^a + e^b) for any float64; at most 1.9 ulp of the largest of |result|, |a|, |b|.

    -inf when both are, inf when either is, NaN when either is NaN.
    """
    a, b = _f64(a), _f64(b)
    d = _f64(0.0) if a == b else -op.magnitude(a - b)
    return (a if a > b else b) + log1p64(exp64(d))
