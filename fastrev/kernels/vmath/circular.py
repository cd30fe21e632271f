"""sin, cos, tan and atan.

The circular functions take x = n pi/2 + r off in float64, with pi/2 in three parts and
every product exact (two parts for float32): full accuracy for |x| up to 2^47 = 1.4e14,
where n still has its last bit.  Beyond that a finite x counts as zero: results stay in
[-1, 1], and mean nothing.
"""

import numpy as np

from fastrev.kernels import intrinsics as op
from fastrev.kernels.intrinsics import fma, horner
from fastrev.kernels.jit import scalar

_f32 = np.float32
_f64 = np.float64

_TWO_OVER_PI = _f64(0.6366197723675814)
_PI_2_HI, _PI_2_MID, _PI_2_LO = (
    _f64(1.5707963267948966),
    _f64(6.123233995736766e-17),
    _f64(-1.4973849048591698e-33),
)
_ROUND = _f64(6755399441055744.0)  # 1.5 * 2^52
_END = _f64(140737488355328.0)  # 2^47
_ONE_U64, _TWO_U64, _SHIFT_U64 = np.uint64(1), np.uint64(2), np.uint64(62)

# --- float32 -----------------------------------------------------------------

# sin r = r + r^3 S(r^2), cos r = 1 - r^2/2 + r^4 C(r^2) on |r| <= 0.8, errors 2^-27.7, 2^-32.6
_S_32 = (_f32(-0.16666653752326965), _f32(0.008332095108926296), _f32(-0.00019505539967212826))
_C_32 = (_f32(0.04166664183139801), _f32(-0.0013887130189687014), _f32(2.4412085622316226e-05))
# atan z = z + z^3 A(z^2) on |z| <= 0.45, relative error 2^-29.1
_A_32 = (
    _f32(-0.33333295583724976),
    _f32(0.19997268915176392),
    _f32(-0.14221200346946716),
    _f32(0.10433126986026764),
    _f32(-0.05684448406100273),
)
_PI_4_HI_32, _PI_4_LO_32 = _f32(0.7853981852531433), _f32(-2.1855694143368964e-08)
_PI_2_HI_32, _PI_2_LO_32 = _f32(1.5707963705062866), _f32(-4.371138828673793e-08)
_ATAN_NEAR_32, _ATAN_FAR_32 = _f32(0.45), _f32(1.0 / 0.45)
_TINY_32 = _f32(1e-5)  # below it sin, tan and atan are x to the last bit


@scalar
def _sin_cos32(x):
    """The quadrant n (its low two bits), sin r and cos r of a float32 x = n pi/2 + r."""
    x = _f64(x)
    nothing = x * _f64(0.0)
    x = x if op.magnitude(x) <= _END else nothing
    t = fma(x, _TWO_OVER_PI, _ROUND)
    n = t - _ROUND
    r = _f32(fma(n, -_PI_2_MID, fma(n, -_PI_2_HI, x)))
    w = r * r
    c = fma(w * w, horner(w, _C_32), fma(_f32(-0.5), w, _f32(1.0)))
    return op.bits_of_f64(t), fma(r * w, horner(w, _S_32), r), c


@scalar
def _turned32(quadrant, s, c):
    """The sine of quadrant * pi/2 + r."""
    y = s if (quadrant & _ONE_U64) == np.uint64(0) else c
    return y if (quadrant & _TWO_U64) == np.uint64(0) else -y


@scalar
def sin32(x):
    """Sin x; at most 1.6 ulp for |x| < 2^47, 0 beyond.  NaN at ±inf and NaN, -0 at -0."""
    x = _f32(x)
    quadrant, s, c = _sin_cos32(x)
    return x if op.magnitude(x) < _TINY_32 else _turned32(quadrant, s, c)


@scalar
def cos32(x):
    """Cos x; at most 1.6 ulp for |x| < 2^47, 1 beyond.  NaN at ±inf and NaN."""
    quadrant, s, c = _sin_cos32(_f32(x))
    return _turned32(np.uint64(quadrant + _ONE_U64), s, c)


@scalar
def tan32(x):
    """Tan x; at most 3.4 ulp for |x| < 2^47, 0 beyond.  NaN at ±inf and NaN, -0 at -0."""
    x = _f32(x)
    quadrant, s, c = _sin_cos32(x)
    even = (quadrant & _ONE_U64) == np.uint64(0)
    y = (s if even else -c) / (c if even else s)
    return x if op.magnitude(x) < _TINY_32 else y


@scalar
def atan32(x):
    """Atan x for any float32; at most 1.9 ulp.

    ±pi/2 at ±inf, NaN at NaN, the zero given at either zero.
    """
    x = _f32(x)
    a = op.magnitude(x)
    one, zero = _f32(1.0), _f32(0.0)
    near, far = a < _ATAN_NEAR_32, a > _ATAN_FAR_32
    below = a if near else a - one
    above = one if near else a + one
    z = (-one if far else below) / (a if far else above)
    w = z * z
    hi = zero if near else _PI_4_HI_32
    lo = zero if near else _PI_4_LO_32
    hi = _PI_2_HI_32 if far else hi
    lo = _PI_2_LO_32 if far else lo
    y = hi + (z + fma(z * w, horner(w, _A_32), lo))
    return op.with_sign(y, x)


# --- float64 -----------------------------------------------------------------

# sin r = r + r^3 S(r^2), cos r = 1 - r^2/2 + r^4 C(r^2) on |r| <= 0.8, errors 2^-63.2, 2^-63.5
_S_64 = (
    _f64(-0.16666666666666666),
    _f64(0.00833333333333305),
    _f64(-0.00019841269840980294),
    _f64(2.755731908662399e-06),
    _f64(-2.505207495314847e-08),
    _f64(1.6054904255553743e-10),
    _f64(-7.422184003263561e-13),
)
_C_64 = (
    _f64(0.041666666666666574),
    _f64(-0.0013888888888869768),
    _f64(2.4801587286779854e-05),
    _f64(-2.7557313576482995e-07),
    _f64(2.087561844234032e-09),
    _f64(-1.1354251805158754e-11),
)
# atan z = z + z^3 A(z^2) on |z| <= 0.45, relative error 2^-61
_A_64 = (
    _f64(-0.333333333333333),
    _f64(0.1999999999998803),
    _f64(-0.14285714284287077),
    _f64(0.1111111102566914),
    _f64(-0.09090906088653383),
    _f64(0.07692240340750763),
    _f64(-0.0666565439629077),
    _f64(0.05871891884209469),
    _f64(-0.051881228970732905),
    _f64(0.04390408880758379),
    _f64(-0.03104899663382082),
    _f64(0.012921895890818925),
)
_PI_4_HI_64, _PI_4_LO_64 = _f64(0.7853981633974483), _f64(3.061616997868383e-17)
_ATAN_NEAR_64, _ATAN_FAR_64 = _f64(0.45), _f64(1.0 / 0.45)
_TINY_64 = _f64(1e-9)  # below it sin and tan are x to the last bit


@scalar
def _reduce64(x):
    """The bits of n + 1.5 * 2^52, and r as a sum of two, of x = n pi/2 + r."""
    nothing = x * _f64(0.0)
    x = x if op.magnitude(x) <= _END else nothing
    t = fma(x, _TWO_OVER_PI, _ROUND)
    n = t - _ROUND
    head = fma(n, -_PI_2_HI, x)  # exact
    mid = n * _PI_2_MID
    mid_low = fma(n, _PI_2_MID, -mid)
    r = head - mid
    shift = r - head
    lost = (head - (r - shift)) - (mid + shift)  # head - mid = r + lost, exactly
    return op.bits_of_f64(t), r, fma(n, -_PI_2_LO, lost - mid_low)


@scalar
def _sin_cos64(x):
    """The quadrant n (its low two bits), sin r and cos r of x = n pi/2 + r."""
    quadrant, r, low = _reduce64(x)
    w = r * r
    h = _f64(0.5) * w
    s = r + fma(r * w, horner(w, _S_64), fma(-h, low, low))
    one = _f64(1.0)
    top = one - h
    c = top + (((one - top) - h) + fma(w * w, horner(w, _C_64), -(r * low)))
    return quadrant, s, c


@scalar
def _turned64(quadrant, s, c):
    """The sine of quadrant * pi/2 + r."""
    y = s if (quadrant & _ONE_U64) == np.uint64(0) else c
    return y if (quadrant & _TWO_U64) == np.uint64(0) else -y


@scalar
def sin64(x):
    """Sin x; at most 0.8 ulp for |x| < 2^47, 0 beyond.  NaN at ±inf and NaN, -0 at -0."""
    x = _f64(x)
    quadrant, s, c = _sin_cos64(x)
    return x if op.magnitude(x) < _TINY_64 else _turned64(quadrant, s, c)


@scalar
def cos64(x):
    """Cos x; at most 0.8 ulp for |x| < 2^47, 1 beyond.  NaN at ±inf and NaN."""
    quadrant, s, c = _sin_cos64(_f64(x))
    return _turned64(np.uint64(quadrant + _ONE_U64), s, c)


@scalar
def tan64(x):
    """Tan x; at most 2.2 ulp for |x| < 2^47, 0 beyond.  NaN at ±inf and NaN, -0 at -0."""
    x = _f64(x)
    quadrant, s, c = _sin_cos64(x)
    even = (quadrant & _ONE_U64) == np.uint64(0)
    y = (s if even else -c) / (c if even else s)
    return x if op.magnitude(x) < _TINY_64 else y


@scalar
def atan64(x):
    """Atan x for any float64; at most 1.9 ulp.

    ±pi/2 at ±inf, NaN at NaN, the zero given at either zero.
    """
    x = _f64(x)
    a = op.magnitude(x)
    one, zero = _f64(1.0), _f64(0.0)
    near, far = a < _ATAN_NEAR_64, a > _ATAN_FAR_64
    below = a if near else a - one
    above = one if near else a + one
    z = (-one if far else below) / (a if far else above)
    w = z * z
    hi = zero if near else _PI_4_HI_64
    lo = zero if near else _PI_4_LO_64
    hi = _PI_2_HI if far else hi
    lo = _PI_2_MID if far else lo
    y = hi + (z + fma(z * w, horner(w, _A_64), lo))
    return op.with_sign(y, x)
