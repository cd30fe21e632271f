"""Powers and the square root.

|x|^y = e^(y ln |x|).  float32 does it in float64; float64 carries ln |x| as a sum of two,
so that the product with y, up to 745, keeps its last bit.
"""

import numpy as np

from fastrev.kernels import intrinsics as op
from fastrev.kernels.intrinsics import fma, horner
from fastrev.kernels.jit import scalar
from fastrev.kernels.vmath.exponential import (
    expm1_reduced64,
    power_of_two64,
    reduce64,
    scale64,
)
from fastrev.kernels.vmath.logarithm import LN2_HI_64, LN2_LO_64, split64

_f32 = np.float32
_f64 = np.float64


@scalar
def sqrt32(x):
    """The square root, correctly rounded; NaN below zero, -0 at -0, inf at inf."""
    return op.square_root(_f32(x))


@scalar
def sqrt64(x):
    """The square root, correctly rounded; NaN below zero, -0 at -0, inf at inf."""
    return op.square_root(_f64(x))


@scalar
def _ends(r, x, y, zero, half, one, inf):
    """Of r = |x|^y for ordinary x and y, the x^y of IEEE 754 for any x and y."""
    a = op.magnitude(x)
    fractional = op.floor_nearest(y) != y
    h = y * half
    odd = (op.floor_nearest(h) != h) & (op.floor_nearest(y) == y)
    at_zero = zero if y > zero else inf
    at_inf = inf if y > zero else zero
    r = at_zero if a == zero else r
    r = at_inf if a == inf else r
    r = -r if odd & (op.with_sign(one, x) < zero) else r
    undefined = (x < zero) & (x > -inf) & fractional
    nan = inf - inf
    r = nan if undefined | np.isnan(x) | np.isnan(y) else r
    trivial = (y == zero) | (x == one) | ((a == one) & (op.magnitude(y) == inf))
    return one if trivial else r


# --- float32 -----------------------------------------------------------------

# log(1+f) = 2s + s^3 L(s^2), s = f/(f+2), relative error 2^-44.9
_L_32 = (
    _f64(0.6666666667577775),
    _f64(0.39999995629328194),
    _f64(0.28572108409320685),
    _f64(0.2217621813819147),
    _f64(0.19583753384250907),
)
# exp(r) = 1 + r + r^2 P(r) on |r| <= ln(2)/2, relative error 2^-39.7
_P_32 = (
    _f64(0.5000000000427199),
    _f64(0.1666666678451966),
    _f64(0.04166666440353302),
    _f64(0.008333281785452675),
    _f64(0.0013889197268277167),
    _f64(0.00019908953704585338),
    _f64(2.4708268454195754e-05),
)
_LN2 = _f64(0.6931471805599453)
_MAX_32, _MIN_32 = _f64(89.0), _f64(-105.0)


@scalar
def pow32(x, y):
    """x^y for any two float32; at most 0.51 ulp, subnormal results rounded once.

    Zeros, infinities, NaN and negative x as IEEE 754 has them.
    """
    x, y = _f32(x), _f32(y)
    e, f = split64(_f64(op.magnitude(x)))
    s = f / (f + _f64(2.0))
    w = s * s
    log = fma(s * w, horner(w, _L_32), s + s)
    z = _f64(y) * fma(op.f64_of_i64(e), _LN2, log)
    z = _MAX_32 if z > _MAX_32 else z
    z = _MIN_32 if z < _MIN_32 else z
    k, r = reduce64(z)
    p = fma(r * r, horner(r, _P_32), r)
    power = _f32((p + _f64(1.0)) * power_of_two64(k))
    return _ends(power, x, y, _f32(0.0), _f32(0.5), _f32(1.0), _f32(np.inf))


# --- float64 -----------------------------------------------------------------

# log(1+f) = 2s + 2/3 s^3 + s^5 L(s^2), s = f/(f+2), relative error 2^-66.3
_L_64 = (
    _f64(0.4000000000000225),
    _f64(0.2857142857010214),
    _f64(0.22222222519492021),
    _f64(0.181817844023579),
    _f64(0.153867558184257),
    _f64(0.13256850535274348),
    _f64(0.13196045679679066),
)
_TWO_THIRDS_HI, _TWO_THIRDS_LO = _f64(0.6666666666666666), _f64(3.700743415417188e-17)
_MAX_64, _MIN_64 = _f64(710.0), _f64(-746.0)
_TINY_64, _2P54 = _f64(2.2250738585072014e-308), _f64(18014398509481984.0)


@scalar
def _log_in_two64(x):
    """ln x for a positive, finite x, as a sum of two with relative error 2^-64."""
    up = x * _2P54
    tiny = x < _TINY_64
    e, f = split64(up if tiny else x)
    shift = _f64(54.0) if tiny else _f64(0.0)
    ef = op.f64_of_i64(e) - shift
    # s + s_low = f / (f + 2)
    u = f + _f64(2.0)
    inverse = _f64(1.0) / u
    s = f * inverse
    s_low = fma(-s, f - (u - _f64(2.0)), fma(-s, u, f)) * inverse
    w = s * s
    w_low = fma(_f64(2.0) * s, s_low, fma(s, s, -w))
    # g + g_low = 2/3 + w L(w), v + v_low = w g, z + z_low = s v
    small = w * horner(w, _L_64)
    g = _TWO_THIRDS_HI + small
    g_low = ((_TWO_THIRDS_HI - g) + small) + _TWO_THIRDS_LO
    v = w * g
    v_low = fma(w, g_low, fma(w_low, g, fma(w, g, -v)))
    z = s * v
    z_low = fma(s, v_low, fma(s_low, v, fma(s, v, -z)))
    head = (s + s) + z
    low = ((s + s) - head) + z + fma(_f64(2.0), s_low, z_low)
    big = ef * LN2_HI_64  # exact
    total = big + head
    return total, fma(ef, LN2_LO_64, ((big - total) + head) + low)


@scalar
def pow64(x, y):
    """x^y for any two float64; at most 1.2 ulp, subnormal results rounded twice.

    Zeros, infinities, NaN and negative x as IEEE 754 has them.
    """
    x, y = _f64(x), _f64(y)
    log, log_low = _log_in_two64(op.magnitude(x))
    z = y * log
    z_low = fma(y, log_low, fma(y, log, -z))
    z_low = z_low if op.magnitude(z) < _f64(800.0) else _f64(0.0)
    z = _MAX_64 if z > _MAX_64 else z
    z = _MIN_64 if z < _MIN_64 else z
    k, r = reduce64(z)
    power = scale64(expm1_reduced64(r + z_low) + _f64(1.0), k)
    return _ends(power, x, y, _f64(0.0), _f64(0.5), _f64(1.0), _f64(np.inf))


@scalar
def inverse32(x):
    """1/x, infinite at 0."""
    return np.float32(1.0) / x


@scalar
def inverse64(x):
    """1/x, infinite at 0."""
    return 1.0 / x
