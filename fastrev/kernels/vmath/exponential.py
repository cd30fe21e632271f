"""exp, expm1 and the sigmoid; and decay, which is 2^x.

All write x = k ln 2 + r with |r| <= ln(2)/2, decay x = k + r with |r| <= 1/2, and put 2^k together
from its bits.  The fit of decay is Lawson's (weighted least squares, again and again) in 60 digits.
"""

import numpy as np

from fastrev.kernels import intrinsics as op
from fastrev.kernels.intrinsics import estrin, fma, horner
from fastrev.kernels.jit import scalar

_f32 = np.float32
_f64 = np.float64
_i32 = np.int32
_i64 = np.int64

# --- float32 -----------------------------------------------------------------

# exp(r) = 1 + r + r^2 P(r) on |r| <= ln(2)/2, relative error 2^-28.3
_P_32 = (
    _f32(0.4999999403953552),
    _f32(0.1666652113199234),
    _f32(0.04166838899254799),
    _f32(0.008368710055947304),
    _f32(0.0013814617414027452),
)
# 2^r = 1 + r H(r) on |r| <= 1/2, relative error 2^-28.3
_H_32 = (
    _f32(0.6931471824645996),
    _f32(0.24022647738456726),
    _f32(0.05550359562039375),
    _f32(0.009618500247597694),
    _f32(0.0013390970416367054),
    _f32(0.00015328872541431338),
)
_LOG2E_32 = _f32(1.4426950408889634)
_LN2_HI_32, _LN2_LO_32 = _f32(0.693359375), _f32(-2.12194440e-4)
_ROUND_32 = _f32(12582912.0)  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits
_ROUND_BITS_32 = np.int32(0x4B400000)
_EXP_MAX_32 = _f32(88.73)
_EXP_MIN_32 = _f32(-176.1)  # k = -254 there, whose halves' power of two comes out as 0
_DECAY_MIN_32 = _f32(-86.0)
_EXPM1_MIN_32 = _f32(-20.0)
_TINY_32 = _f32(1e-8)  # below it expm1 is x to the last bit


@scalar
def exp32(x):
    """e^x for any float32; at most 1.0 ulp, subnormal results are rounded twice.

    0 at -inf, inf at inf and above 88.73, NaN at NaN.
    """
    x = _f32(x)
    c = _EXP_MAX_32 if x > _EXP_MAX_32 else x
    c = _EXP_MIN_32 if c < _EXP_MIN_32 else c
    k, r = reduce32(c)
    return scale32(expm1_reduced32(r) + _f32(1.0), k)


@scalar
def reduce32(x):
    """k and r of x = k ln 2 + r, for |x| < 2^15."""
    t = fma(x, _LOG2E_32, _ROUND_32)
    k = _i32(op.i32_of_u32(op.bits_of_f32(t)) - _ROUND_BITS_32)
    kf = t - _ROUND_32
    r = fma(kf, -_LN2_HI_32, x)
    return k, fma(kf, -_LN2_LO_32, r)


@scalar
def expm1_reduced32(r):
    """e^r - 1 on |r| <= ln(2)/2."""
    return fma(r * r, horner(r, _P_32), r)


@scalar
def power_of_two32(k):
    """2^k for an int32 k in [-126, 127]."""
    return op.f32_of_bits(np.uint32(np.uint32(k + _i32(127)) << np.uint32(23)))


@scalar
def scale32(y, k):
    """y 2^k for k in [-254, 254]; two steps, so that k may leave the exponent's range."""
    half = _i32(k >> _i32(1))
    y = y * power_of_two32(half)
    return y * power_of_two32(_i32(k - half))


@scalar
def decay32(x):
    """2^x for x <= 0, and 0 below 2^-86; NaN at NaN; at most 1.0 ulp.

    A term of a sum whose largest is 1.  Nothing near the subnormal numbers comes of it: one in a
    vector costs an Intel processor some 150 cycles.
    """
    x = _f32(x)
    t = x + _ROUND_32
    r = x - (t - _ROUND_32)
    power = power_of_two32(_i32(op.i32_of_u32(op.bits_of_f32(t)) - _ROUND_BITS_32))
    y = fma(r * power, estrin(r, _H_32), power)
    return _f32(0.0) if x < _DECAY_MIN_32 else y


@scalar
def expm1_32(x):
    """e^x - 1 for any float32; at most 1.4 ulp.

    -1 at -inf, inf at inf, NaN at NaN, the zero given at either zero.
    """
    x = _f32(x)
    y = expm1_below_max32(_EXP_MAX_32 if x > _EXP_MAX_32 else x)
    return x if op.magnitude(x) < _TINY_32 else y


@scalar
def expm1_below_max32(x):
    """e^x - 1 for x up to the overflow; a zero loses its sign."""
    k, r = reduce32(_EXPM1_MIN_32 if x < _EXPM1_MIN_32 else x)
    s = power_of_two32(_i32(k - _i32(1)))
    y = fma(s, expm1_reduced32(r), s - _f32(0.5))
    return y + y


@scalar
def sigmoid32(x):
    """1 / (1 + e^-x) for any float32; at most 2.4 ulp, subnormal results rounded twice.

    0 at -inf, 1 at inf, NaN at NaN.
    """
    x = _f32(x)
    e = exp32(-op.magnitude(x))
    one = _f32(1.0)
    return (e if x < _f32(0.0) else one) / (one + e)


# --- float64 -----------------------------------------------------------------

# exp(r) = 1 + r + r^2 P(r) on |r| <= ln(2)/2, relative error 2^-64
_P_64 = (
    _f64(0.5),
    _f64(0.16666666666666682),
    _f64(0.041666666666666095),
    _f64(0.008333333333317046),
    _f64(0.0013888888889115488),
    _f64(0.00019841269896352407),
    _f64(2.480158692678401e-05),
    _f64(2.7557234894158226e-06),
    _f64(2.755758180164937e-07),
    _f64(2.511202533329804e-08),
    _f64(2.0826620320420187e-09),
)
# 2^r = 1 + r H(r) on |r| <= 1/2, relative error 2^-57.7
_H_64 = (
    _f64(0.6931471805599453),
    _f64(0.2402265069591011),
    _f64(0.05550410866482176),
    _f64(0.009618129107600654),
    _f64(0.0013333558146534571),
    _f64(0.00015403530450089868),
    _f64(1.5252733646937837e-05),
    _f64(1.321543836503368e-06),
    _f64(1.0178154265918903e-07),
    _f64(7.073306672726031e-09),
    _f64(4.4397647685989313e-10),
)
_H0_64, _H_REST_64 = _H_64[0], _H_64[1:]
_LOG2E_64 = _f64(1.4426950408889634)
_LN2_HI_64, _LN2_LO_64 = _f64(0.6931471803691238), _f64(1.9082149292705877e-10)
_ROUND_64 = _f64(6755399441055744.0)  # 1.5 * 2^52
_ROUND_BITS_64 = np.int64(0x4338000000000000)
_EXP_MAX_64 = _f64(709.79)
_EXP_MIN_64 = _f64(-1418.2)  # k = -2046
_DECAY_MIN_64 = _f64(-432.0)
_EXPM1_MIN_64 = _f64(-40.0)
_TINY_64 = _f64(1e-17)


@scalar
def exp64(x):
    """e^x for any float64; at most 1.0 ulp, subnormal results are rounded twice.

    0 at -inf, inf at inf and above 709.79, NaN at NaN.
    """
    x = _f64(x)
    c = _EXP_MAX_64 if x > _EXP_MAX_64 else x
    c = _EXP_MIN_64 if c < _EXP_MIN_64 else c
    k, r = reduce64(c)
    return scale64(expm1_reduced64(r) + _f64(1.0), k)


@scalar
def reduce64(x):
    """k and r of x = k ln 2 + r, for |x| < 2^20."""
    t = fma(x, _LOG2E_64, _ROUND_64)
    k = _i64(op.i64_of_u64(op.bits_of_f64(t)) - _ROUND_BITS_64)
    kf = t - _ROUND_64
    r = fma(kf, -_LN2_HI_64, x)
    return k, fma(kf, -_LN2_LO_64, r)


@scalar
def expm1_reduced64(r):
    """e^r - 1 on |r| <= ln(2)/2."""
    return fma(r * r, estrin(r, _P_64), r)


@scalar
def power_of_two64(k):
    """2^k for an int64 k in [-1022, 1023]."""
    return op.f64_of_bits(np.uint64(np.uint64(k + _i64(1023)) << np.uint64(52)))


@scalar
def scale64(y, k):
    """y 2^k for k in [-2046, 2046]; two steps, so that k may leave the exponent's range."""
    half = _i64(k >> _i64(1))
    y = y * power_of_two64(half)
    return y * power_of_two64(_i64(k - half))


@scalar
def decay64(x):
    """2^x for x <= 0, and 0 below 2^-432; NaN at NaN; at most 1.0 ulp."""
    x = _f64(x)
    t = x + _ROUND_64
    r = x - (t - _ROUND_64)
    power = power_of_two64(_i64(op.i64_of_u64(op.bits_of_f64(t)) - _ROUND_BITS_64))
    y = fma(r * power, fma(r, estrin(r, _H_REST_64), _H0_64), power)
    return _f64(0.0) if x < _DECAY_MIN_64 else y


@scalar
def expm1_64(x):
    """e^x - 1 for any float64; at most 1.9 ulp.

    -1 at -inf, inf at inf, NaN at NaN, the zero given at either zero.
    """
    x = _f64(x)
    y = expm1_below_max64(_EXP_MAX_64 if x > _EXP_MAX_64 else x)
    return x if op.magnitude(x) < _TINY_64 else y


@scalar
def expm1_below_max64(x):
    """e^x - 1 for x up to the overflow; a zero loses its sign."""
    k, r = reduce64(_EXPM1_MIN_64 if x < _EXPM1_MIN_64 else x)
    s = power_of_two64(_i64(k - _i64(1)))
    y = fma(s, expm1_reduced64(r), s - _f64(0.5))
    return y + y


@scalar
def sigmoid64(x):
    """1 / (1 + e^-x) for any float64; at most 2.3 ulp, subnormal results rounded twice.

    0 at -inf, 1 at inf, NaN at NaN.
    """
    x = _f64(x)
    e = exp64(-op.magnitude(x))
    one = _f64(1.0)
    return (e if x < _f64(0.0) else one) / (one + e)
