"""Standard normals from random words, by Box and Muller's pairs.

    z0 = r cos(phi),  z1 = r sin(phi),  r = sqrt(-2 ln u),  u = (w + 1/2) 2^-32

The angle's two top bits choose the signs of (z0, z1), which is the quadrant;
the other thirty place phi inside it.  With s in [-1, 1) the position within
the quadrant, phi = pi/4 (1 + s) and

    cos phi = C(s^2) - s S(s^2),   sin phi = C(s^2) + s S(s^2),
    C = cos(pi s/4)/sqrt(2),       S = sin(pi s/4)/(s sqrt(2)),

so one pair of short polynomials serves both, with no range reduction.
Tails reach 6.76 sigma in float32 and 8.6 in float64 (53-bit uniforms).

Source: Box and Muller, Ann. Math. Statist. 29 (1958) 610.
"""

import numpy as np

from fastrev.kernels import intrinsics as op
from fastrev.kernels.intrinsics import fma
from fastrev.kernels.jit import scalar
from fastrev.kernels.vmath import log_normal64

_f32 = np.float32
_f64 = np.float64

_SIGN_32 = np.uint32(0x80000000)
_ONE_32, _TWO_32 = np.uint32(1), np.uint32(2)
_2M31 = _f32(2.0**-31)
# -2 ln(1+f) = f (-2 + f P(f)) on [sqrt(1/2)-1, sqrt(2)-1], relative error 2^-25
_P0, _P1, _P2 = _f32(0.9999998211860657), _f32(-0.6666790246963501), _f32(0.5000351071357727)
_P3, _P4, _P5 = _f32(-0.3992414474487305), _f32(0.3314101696014404), _f32(-0.2983595430850983)
_P6, _P7 = _f32(0.2861505150794983), _f32(-0.17469687759876251)
_MINUS_2LN2 = _f32(-1.3862943611198906)
_SQRT_HALF_BITS = np.uint32(0x3F3504F3)
_SQRT_HALF_BITS_2P32 = np.uint32(0x3F3504F3 + (32 << 23))
_FRACTION_32 = np.uint32(0x007FFFFF)
_SHIFT_23 = np.int32(23)
# C: relative error 2^-25, S: 2^-28
_C0, _C1 = _f32(0.7071067690849304), _f32(-0.21808882057666779)
_C2, _C3 = _f32(0.011207419447600842), _f32(-0.0002253746206406504)
_S0, _S1 = _f32(0.5553603768348694), _f32(-0.057095643132925034)
_S2, _S3 = _f32(0.0017606966430321336), _f32(-2.5420808015041985e-05)

_SIGN_64 = np.uint64(0x8000000000000000)
_2M63, _2M53, _2M54 = _f64(2.0**-63), _f64(2.0**-53), _f64(2.0**-54)
# C: relative error 2^-64, S: 2^-58
_D0, _D1, _D2 = _f64(0.7071067811865476), _f64(-0.21808950623871498), _f64(0.011210714326067782)
_D3, _D4, _D5 = (
    _f64(-0.00023051107385765898),
    _f64(2.5391217715803915e-06),
    _f64(-1.740286225584823e-08),
)
_D6, _D7 = _f64(8.132079431113872e-11), _f64(-2.727849652062249e-13)
_T0, _T1, _T2 = _f64(0.5553603672697958), _f64(-0.057095699218714185), _f64(0.0017609748884106129)
_T3, _T4, _T5 = (
    _f64(-2.5863281990507997e-05),
    _f64(2.2158012764145785e-07),
    _f64(-1.2424921811021538e-09),
)
_T6 = _f64(4.862844507946461e-12)


@scalar
def radius32(w):
    """sqrt(-2 ln u), u = (w + 1/2) 2^-32: the factor 2^-32 goes into the exponent."""
    x = op.f32_of_u32(w) + _f32(0.5)
    shifted = np.uint32(op.bits_of_f32(x) - _SQRT_HALF_BITS_2P32)
    e = op.f32_of_i32(np.int32(op.i32_of_u32(shifted) >> _SHIFT_23))
    f = op.f32_of_bits(np.uint32((shifted & _FRACTION_32) + _SQRT_HALF_BITS)) - _f32(1.0)
    p = fma(_P7, f, _P6)
    p = fma(p, f, _P5)
    p = fma(p, f, _P4)
    p = fma(p, f, _P3)
    p = fma(p, f, _P2)
    p = fma(p, f, _P1)
    p = fma(p, f, _P0)
    p = fma(p, f, _f32(-2.0))
    return np.sqrt(fma(p, f, e * _MINUS_2LN2))


@scalar
def normal_pair32(w_radius, w_angle):
    """Two independent standard normals (float32) from two uint32 words."""
    r = radius32(w_radius)
    s = op.f32_of_i32(op.i32_of_u32(np.uint32(w_angle << _TWO_32))) * _2M31
    v = s * s
    c = fma(_C3, v, _C2)
    c = fma(c, v, _C1)
    c = fma(c, v, _C0)
    q = fma(_S3, v, _S2)
    q = fma(q, v, _S1)
    q = fma(q, v, _S0)
    # r c -/+ r s q: an add more than fma would take, on ports that fma leaves idle
    rc, rs = r * c, r * (s * q)
    z0 = op.bits_of_f32(rc - rs) ^ (w_angle & _SIGN_32)
    z1 = op.bits_of_f32(rc + rs) ^ (np.uint32(w_angle << _ONE_32) & _SIGN_32)
    return op.f32_of_bits(np.uint32(z0)), op.f32_of_bits(np.uint32(z1))


@scalar
def uniform64(w):
    """(floor(w / 2^11) + 1/2) 2^-53 in (0, 1) from a 64-bit word."""
    return fma(op.f64_of_i64(op.i64_of_u64(np.uint64(w >> np.uint64(11)))), _2M53, _2M54)


@scalar
def normal_pair64(w_radius, w_angle):
    """Two independent standard normals (float64) from two uint64 words."""
    r = np.sqrt(_f64(-2.0) * log_normal64(uniform64(w_radius)))
    s = op.f64_of_i64(op.i64_of_u64(np.uint64(w_angle << np.uint64(2)))) * _2M63
    v = s * s
    c = fma(_D7, v, _D6)
    c = fma(c, v, _D5)
    c = fma(c, v, _D4)
    c = fma(c, v, _D3)
    c = fma(c, v, _D2)
    c = fma(c, v, _D1)
    c = fma(c, v, _D0)
    q = fma(_T6, v, _T5)
    q = fma(q, v, _T4)
    q = fma(q, v, _T3)
    q = fma(q, v, _T2)
    q = fma(q, v, _T1)
    q = fma(q, v, _T0)
    z0 = op.bits_of_f64(r * fma(-s, q, c)) ^ (w_angle & _SIGN_64)
    z1 = op.bits_of_f64(r * fma(s, q, c)) ^ (np.uint64(w_angle << np.uint64(1)) & _SIGN_64)
    return op.f64_of_bits(np.uint64(z0)), op.f64_of_bits(np.uint64(z1))
