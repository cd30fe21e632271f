"""erf and erfc.

    |x| <= 1:  erf x = x + x E(x^2)
    x >= 7/8:  erfc x = e^(-x^2) t P(q),  t = 1/(x + c),  q = (x - c) t

The second form holds its relative error to the underflow: t carries its
rounding error along, and the square is exact, x^2 = s + d by a fused multiply-add.

Source of the variable q: Shepherd and Laframboise, Math. Comp. 36 (1981) 249.
"""

import numpy as np

from fastrev.kernels import intrinsics as op
from fastrev.kernels.intrinsics import fma, horner
from fastrev.kernels.jit import scalar
from fastrev.kernels.vmath.exponential import (
    expm1_reduced32,
    expm1_reduced64,
    reduce32,
    reduce64,
    scale32,
    scale64,
)

_f32 = np.float32
_f64 = np.float64

# --- float32 -----------------------------------------------------------------

# erf(x)/x - 1 = E(x^2) on [0, 1], relative to erf(x)/x: error 2^-29.2
_E_32 = (
    _f32(0.12837916612625122),
    _f32(-0.3761262595653534),
    _f32(0.11283578723669052),
    _f32(-0.026853347197175026),
    _f32(0.005187162198126316),
    _f32(-0.0007997856591828167),
    _f32(7.806922076269984e-05),
)
# e^(x^2) erfc(x) (x + 2) = P(q) on [0.5, 10.2], relative error 2^-25.7
_P_32 = (
    _f32(1.0215827226638794),
    _f32(-0.6871606111526489),
    _f32(0.2794704735279083),
    _f32(-0.036443617194890976),
    _f32(-0.021486852318048477),
    _f32(0.006482746917754412),
    _f32(0.0029710186645388603),
    _f32(-0.0008223152835853398),
    _f32(-0.0004309601499699056),
)
_CENTRE_32, _NEAR_32, _END_32 = _f32(2.0), _f32(0.875), _f32(10.2)


@scalar
def _tail32(a):
    """Erfc a for a >= 1/2."""
    a = _END_32 if a > _END_32 else a
    one = _f32(1.0)
    u = a + _CENTRE_32
    t = one / u
    lost = a - (u - _CENTRE_32)
    t_low = t * fma(-t, lost, fma(-t, u, one))
    p = horner((a - _CENTRE_32) * t, _P_32)
    s = a * a
    d = fma(a, a, -s)
    k, r = reduce32(-s)
    y = expm1_reduced32(r - d) + one
    return scale32(y * fma(t, p, t_low * p), k)


@scalar
def erf32(x):
    """Erf x for any float32; at most 1.0 ulp.

    ±1 at ±inf, NaN at NaN, the zero given at either zero.
    """
    x = _f32(x)
    a = op.magnitude(x)
    near = fma(x, horner(x * x, _E_32), x)
    far = op.with_sign(_f32(1.0) - _tail32(a), x)
    return near if a < _f32(1.0) else far


@scalar
def erfc32(x):
    """1 - erf x for any float32; at most 3.4 ulp, 0 above 10.06.

    2 at -inf, 0 at inf, NaN at NaN; subnormal results are rounded twice.
    """
    x = _f32(x)
    a = op.magnitude(x)
    near = (_f32(1.0) - x) - x * horner(x * x, _E_32)
    tail = _tail32(a)
    far = tail if x > _f32(0.0) else _f32(2.0) - tail
    return near if a < _NEAR_32 else far


# --- float64 -----------------------------------------------------------------

# erf(x)/x - 1 = E(x^2) on [0, 1], relative to erf(x)/x: error 2^-56.3
_E_64 = (
    _f64(0.1283791670955126),
    _f64(-0.3761263890318375),
    _f64(0.11283791670954857),
    _f64(-0.02686617064507289),
    _f64(0.005223977624780831),
    _f64(-0.0008548326978740337),
    _f64(0.00012055331036837809),
    _f64(-1.4925593505542952e-05),
    _f64(1.6460972797427155e-06),
    _f64(-1.635002503439027e-07),
    _f64(1.4657878695972582e-08),
    _f64(-1.136566195594621e-09),
    _f64(5.945255630071977e-11),
)
# e^(x^2) erfc(x) (x + 3) = P(q) + P0_LOW on [0.5, 27.4], relative error 2^-56.4
_P_64 = (
    _f64(1.0740069070883398),
    _f64(-0.8833944531698836),
    _f64(0.5902283571041022),
    _f64(-0.31046726190056434),
    _f64(0.11952776128726934),
    _f64(-0.026827234624592466),
    _f64(-0.0012124166266835013),
    _f64(0.0030340620029028916),
    _f64(-0.0005483096988202951),
    _f64(-0.000276777858466627),
    _f64(0.0001075615447911111),
    _f64(3.0398199438980073e-05),
    _f64(-1.747087417784535e-05),
    _f64(-4.749191973452229e-06),
    _f64(2.766447614113179e-06),
    _f64(9.983066045153588e-07),
    _f64(-4.10280052331777e-07),
    _f64(-2.3163635638375788e-07),
    _f64(4.9179602122176376e-08),
    _f64(4.7623626958499495e-08),
    _f64(-3.4079846698554526e-09),
    _f64(-5.971483263047625e-09),
)
_P0_64, _P0_LOW_64, _P_REST_64 = _P_64[0], _f64(-8.940556647212639e-17), _P_64[1:]
_CENTRE_64, _NEAR_64, _END_64 = _f64(3.0), _f64(0.875), _f64(27.4)


@scalar
def _tail64(a):
    """Erfc a for a >= 1/2."""
    a = _END_64 if a > _END_64 else a
    one = _f64(1.0)
    u = a + _CENTRE_64
    t = one / u
    lost = a - (u - _CENTRE_64)
    t_low = t * fma(-t, lost, fma(-t, u, one))
    q = (a - _CENTRE_64) * t
    p = fma(q, horner(q, _P_REST_64), _P0_LOW_64) + _P0_64
    s = a * a
    d = fma(a, a, -s)
    k, r = reduce64(-s)
    y = expm1_reduced64(r - d) + one
    return scale64(y * fma(t, p, t_low * p), k)


@scalar
def erf64(x):
    """Erf x for any float64; at most 1.0 ulp.

    ±1 at ±inf, NaN at NaN, the zero given at either zero.
    """
    x = _f64(x)
    a = op.magnitude(x)
    near = fma(x, horner(x * x, _E_64), x)
    far = op.with_sign(_f64(1.0) - _tail64(a), x)
    return near if a < _f64(1.0) else far


@scalar
def erfc64(x):
    """1 - erf x for any float64; at most 3.6 ulp, 0 above 27.23.

    2 at -inf, 0 at inf, NaN at NaN; subnormal results are rounded twice.
    """
    x = _f64(x)
    a = op.magnitude(x)
    near = (_f64(1.0) - x) - x * horner(x * x, _E_64)
    tail = _tail64(a)
    far = tail if x > _f64(0.0) else _f64(2.0) - tail
    return near if a < _NEAR_64 else far
