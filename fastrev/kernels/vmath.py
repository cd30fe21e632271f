"""Elementary functions that vectorise and give the same bits everywhere.

Branch-free polynomials evaluated with explicit fused multiply-adds.  LLVM
turns a loop that calls them into SIMD code at any width, where a call of libm's
`exp` would keep the loop scalar (a factor 5 to 20).  Coefficients are minimax
fits (Remez exchange in 50-digit arithmetic) of the expression in each comment.

Every function takes and returns one width: `exp32` float32, `exp64` float64.
`BY_WIDTH` maps a dtype name to the functions that replace those of `math`.
"""

import numpy as np

from fastrev.kernels import intrinsics as op
from fastrev.kernels.intrinsics import fma
from fastrev.kernels.jit import scalar

_f32 = np.float32
_f64 = np.float64
_INF32, _INF64 = _f32(np.inf), _f64(np.inf)
_NAN32, _NAN64 = _f32(np.nan), _f64(np.nan)

# --- float32 -----------------------------------------------------------------

# log(1+f) = f + f^2 P(f) on [sqrt(1/2)-1, sqrt(2)-1], relative error 2^-27.9
_L0, _L1, _L2 = _f32(-0.4999998807907105), _f32(0.33333325386047363), _f32(-0.25001582503318787)
_L3, _L4, _L5 = _f32(0.2000197470188141), _f32(-0.16609081625938416), _f32(0.14181818068027496)
_L6, _L7, _L8 = _f32(-0.13242985308170319), _f32(0.1290448009967804), _f32(-0.0762183740735054)
_LN2_32 = _f32(0.6931471805599453)
_SQRT_HALF_BITS = np.uint32(0x3F3504F3)
_FRACTION_32 = np.uint32(0x007FFFFF)
_SHIFT_23 = np.int32(23)

# exp(r) = 1 + r + r^2 P(r) on |r| <= ln(2)/2, relative error 2^-28.3
_E0, _E1, _E2 = _f32(0.4999999403953552), _f32(0.1666652113199234), _f32(0.04166838899254799)
_E3, _E4 = _f32(0.008368710055947304), _f32(0.0013814617414027452)
_LOG2E_32 = _f32(1.4426950408889634)
_LN2_HI_32, _LN2_LO_32 = _f32(0.693359375), _f32(-2.12194440e-4)
_ROUND_32 = _f32(12582912.0)  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits
_ROUND_BITS_32 = np.int32(0x4B400000)
_EXP_MAX_32, _EXP_MIN_32 = _f32(88.73), _f32(-104.0)


@scalar
def log_normal32(x):
    """ln x for a positive, normal float32; no special cases."""
    shifted = np.uint32(op.bits_of_f32(x) - _SQRT_HALF_BITS)
    e = op.f32_of_i32(np.int32(op.i32_of_u32(shifted) >> _SHIFT_23))
    f = op.f32_of_bits(np.uint32((shifted & _FRACTION_32) + _SQRT_HALF_BITS)) - _f32(1.0)
    p = fma(_L8, f, _L7)
    p = fma(p, f, _L6)
    p = fma(p, f, _L5)
    p = fma(p, f, _L4)
    p = fma(p, f, _L3)
    p = fma(p, f, _L2)
    p = fma(p, f, _L1)
    p = fma(p, f, _L0)
    return fma(e, _LN2_32, fma(f * f, p, f))


@scalar
def log32(x):
    """ln x for any float32: -inf at 0, NaN below, subnormals as zero's neighbours."""
    x = _f32(x)
    tiny = x < _f32(1.1754944e-38)
    scaled = x * _f32(8388608.0) if tiny else x
    y = log_normal32(scaled)
    y = y - _f32(15.942385) if tiny else y
    y = x if x == _INF32 else y
    y = -_INF32 if x == _f32(0.0) else y
    return y if x >= _f32(0.0) else _NAN32


@scalar
def exp32(x):
    """e^x for any float32; subnormal results are rounded twice."""
    x = _f32(x)
    c = _EXP_MAX_32 if x > _EXP_MAX_32 else x
    c = _EXP_MIN_32 if c < _EXP_MIN_32 else c
    t = fma(c, _LOG2E_32, _ROUND_32)
    k = np.int32(op.i32_of_u32(op.bits_of_f32(t)) - _ROUND_BITS_32)
    kf = t - _ROUND_32
    r = fma(kf, -_LN2_HI_32, c)
    r = fma(kf, -_LN2_LO_32, r)
    p = fma(_E4, r, _E3)
    p = fma(p, r, _E2)
    p = fma(p, r, _E1)
    p = fma(p, r, _E0)
    y = fma(r * r, p, r) + _f32(1.0)
    half = np.int32(k >> np.int32(1))
    y = y * _power_of_two_32(half)
    return y * _power_of_two_32(np.int32(k - half))


@scalar
def _power_of_two_32(k):
    return op.f32_of_bits(np.uint32(np.uint32(k + np.int32(127)) << np.uint32(23)))


# --- float64 -----------------------------------------------------------------

# log(m) = 2 atanh(s) = 2s + s^3 Q(s^2), s = (m-1)/(m+1), relative error 2^-65
_Q0, _Q1, _Q2 = _f64(0.6666666666666666), _f64(0.4000000000000624), _f64(0.2857142856908737)
_Q3, _Q4, _Q5 = _f64(0.22222222646569637), _f64(0.1818177568388486), _f64(0.1538708994611414)
_Q6, _Q7 = _f64(0.13250136595051382), _f64(0.13251159821938038)
_LN2_HI_64, _LN2_LO_64 = _f64(0.6931471803691238), _f64(1.9082149292705877e-10)
_SQRT_HALF_BITS_64 = np.uint64(0x3FE6A09E667F3BCD)
_FRACTION_64 = np.uint64(0x000FFFFFFFFFFFFF)

# exp(r) = 1 + r + r^2 P(r) on |r| <= ln(2)/2, relative error 2^-64
_X0, _X1, _X2 = _f64(0.5), _f64(0.16666666666666682), _f64(0.041666666666666095)
_X3, _X4, _X5 = (
    _f64(0.008333333333317046),
    _f64(0.0013888888889115488),
    _f64(0.00019841269896352407),
)
_X6, _X7, _X8 = (
    _f64(2.480158692678401e-05),
    _f64(2.7557234894158226e-06),
    _f64(2.755758180164937e-07),
)
_X9, _X10 = _f64(2.511202533329804e-08), _f64(2.0826620320420187e-09)
_LOG2E_64 = _f64(1.4426950408889634)
_ROUND_64 = _f64(6755399441055744.0)  # 1.5 * 2^52
_ROUND_BITS_64 = np.int64(0x4338000000000000)
_EXP_MAX_64, _EXP_MIN_64 = _f64(709.79), _f64(-745.2)


@scalar
def log_normal64(x):
    """ln x for a positive, normal float64; no special cases."""
    shifted = np.uint64(op.bits_of_f64(x) - _SQRT_HALF_BITS_64)
    # the exponent fits in the low word after the shift, so a 32-bit conversion serves
    e = op.f64_of_i64(np.int64(op.i64_of_u64(shifted) >> np.int64(52)))
    f = op.f64_of_bits(np.uint64((shifted & _FRACTION_64) + _SQRT_HALF_BITS_64)) - _f64(1.0)
    s = f / (f + _f64(2.0))
    w = s * s
    q = fma(_Q7, w, _Q6)
    q = fma(q, w, _Q5)
    q = fma(q, w, _Q4)
    q = fma(q, w, _Q3)
    q = fma(q, w, _Q2)
    q = fma(q, w, _Q1)
    q = fma(q, w, _Q0)
    # 2s = f - s f exactly enough that the leading term keeps its full precision
    tail = fma(s, fma(w, q, -f), e * _LN2_LO_64)
    return fma(e, _LN2_HI_64, tail + f)


@scalar
def log64(x):
    """ln x for any float64: -inf at 0, NaN below, subnormals scaled first."""
    x = _f64(x)
    tiny = x < _f64(2.2250738585072014e-308)
    scaled = x * _f64(18014398509481984.0) if tiny else x
    y = log_normal64(scaled)
    y = y - _f64(37.42994775023705) if tiny else y
    y = x if x == _INF64 else y
    y = -_INF64 if x == _f64(0.0) else y
    return y if x >= _f64(0.0) else _NAN64


@scalar
def exp64(x):
    """e^x for any float64; subnormal results are rounded twice."""
    x = _f64(x)
    c = _EXP_MAX_64 if x > _EXP_MAX_64 else x
    c = _EXP_MIN_64 if c < _EXP_MIN_64 else c
    t = fma(c, _LOG2E_64, _ROUND_64)
    k = np.int64(op.i64_of_u64(op.bits_of_f64(t)) - _ROUND_BITS_64)
    kf = t - _ROUND_64
    r = fma(kf, -_LN2_HI_64, c)
    r = fma(kf, -_LN2_LO_64, r)
    p = fma(_X10, r, _X9)
    p = fma(p, r, _X8)
    p = fma(p, r, _X7)
    p = fma(p, r, _X6)
    p = fma(p, r, _X5)
    p = fma(p, r, _X4)
    p = fma(p, r, _X3)
    p = fma(p, r, _X2)
    p = fma(p, r, _X1)
    p = fma(p, r, _X0)
    y = fma(r * r, p, r) + _f64(1.0)
    half = np.int64(k >> np.int64(1))
    y = y * _power_of_two_64(half)
    return y * _power_of_two_64(np.int64(k - half))


@scalar
def _power_of_two_64(k):
    return op.f64_of_bits(np.uint64(np.uint64(k + np.int64(1023)) << np.uint64(52)))


BY_WIDTH = {
    "float32": {"exp": exp32, "log": log32},
    "float64": {"exp": exp64, "log": log64},
}
