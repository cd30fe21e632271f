"""Standard normals from random words, by Box and Muller's pairs.

    z0 = r cos(phi),  z1 = r sin(phi),  r = sqrt(-2 ln u),  u = (w + 1/2) 2^-32

With u = 2^e (2 + g), g in (-1, 0], the bits of 1 less those of u are an integer n, which is
-(e + 1 + g) in units of the last bit, and

    -2 ln u = 2 ln 2 n + g P(g),

where both terms vanish at u = 1.  The bits of n turned over are those of 2 + g less one unit.

The angle's two top bits choose the signs of (z0, z1), which is the quadrant;
the other thirty place phi inside it.  With s in [-1, 1) the position within
the quadrant, phi = pi/4 (1 + s) and

    cos phi = C(s^2) - s S(s^2),   sin phi = C(s^2) + s S(s^2),
    C = cos(pi s/4)/sqrt(2),       S = sin(pi s/4)/(s sqrt(2)),

so one pair of short polynomials serves both, with no range reduction.
Tails reach 6.76 sigma in float32 and 8.6 in float64 (53-bit uniforms).

Source: Box and Muller, Ann. Math. Statist. 29 (1958) 610.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic

from fastrev.kernels import intrinsics as op
from fastrev.kernels.intrinsics import fma
from fastrev.kernels.jit import scalar
from fastrev.kernels.lanes import Lanes
from fastrev.kernels.weave import Stages, finished


class _Format(NamedTuple):
    """What the formulas need to know of a float.

    bits       of a word
    fraction   bits of the significand that are stored
    shift      bits of a word that are not in u
    scale      u is so many powers of two less than the integer it is made of
    p, c, s    coefficients of P, C, S: relative error of -2 ln u, of C and of S
    """

    bits: int
    fraction: int
    shift: int
    scale: int
    p: tuple[float, ...]
    c: tuple[float, ...]
    s: tuple[float, ...]

    @property
    def one(self) -> int:
        """The bits of 1."""
        return (2 ** (self.bits - self.fraction - 2) - 1) << self.fraction


_F32 = _Format(
    bits=32,
    fraction=23,
    shift=0,
    scale=32,
    # 2^-25.4, 2^-25, 2^-28
    p=(
        0.38629433512687683,
        0.24999642372131348,
        -0.08342515677213669,
        0.03035063110291958,
        -0.016850825399160385,
        -0.006360678467899561,
        -0.01965121552348137,
        -0.013248619623482227,
        -0.005629352293908596,
    ),
    c=(0.7071067690849304, -0.21808882057666779, 0.011207419447600842, -0.0002253746206406504),
    s=(0.5553603768348694, -0.057095643132925034, 0.0017606966430321336, -2.5420808015041985e-05),
)
_F64 = _Format(
    bits=64,
    fraction=52,
    shift=11,
    scale=53,
    # 2^-51.8, so half of it in r; 2^-54, 2^-58
    p=(
        0.38629436111989035,
        0.24999999999982347,
        -0.08333333335417313,
        0.031249999025856175,
        -0.012500024004155431,
        0.005207973452799389,
        -0.0022357157799704937,
        0.0009517594510910168,
        -0.0005588756338357067,
        -0.0002715680862314159,
        -0.0014060520432637505,
        -0.002786190388532262,
        -0.004638743693718723,
        -0.005705956836719192,
        -0.005272007502649019,
        -0.00351284460730834,
        -0.0016102165950374664,
        -0.00045472658578286825,
        -6.0947088090327877e-05,
    ),
    c=(
        0.7071067811865475,
        -0.2180895062387113,
        0.01121071432601062,
        -0.0002305110735234512,
        2.5391208364216625e-06,
        -1.7401514049994432e-08,
        8.035429216291083e-11,
    ),
    s=(
        0.5553603672697958,
        -0.057095699218714185,
        0.0017609748884106129,
        -2.5863281990507997e-05,
        2.2158012764145785e-07,
        -1.2424921811021538e-09,
        4.862844507946461e-12,
    ),
)
_FORMATS = {32: _F32, 64: _F64}
_AT_ONCE = 3
"""Terms of a polynomial in a stage."""


def _polynomial(x: Lanes, coefficients: tuple[float, ...], out: list[Lanes]) -> Stages:
    """c0 + c1 x + ..., appended to `out`."""
    *lower, last = coefficients
    y = x.constant(last)
    for k, coefficient in enumerate(reversed(lower), 1):
        y = y.fma(x, coefficient)
        if k % _AT_ONCE == 0:
            yield
    out.append(y)


def _radius(word: Lanes, form: _Format, out: list[Lanes]) -> Stages:
    """sqrt(-2 ln u), appended to `out`; the factor 2^-scale goes into the exponent."""
    bits = ((word >> form.shift if form.shift else word).to_float() + 0.5).bits()
    n = bits.constant(form.one + (form.scale << form.fraction)) - bits
    fraction = (n ^ (2**form.bits - 1)) & (2**form.fraction - 1)
    g = (fraction | form.one).float_of_bits() - (2.0 - 2.0**-form.fraction)
    yield
    p: list[Lanes] = []
    yield from _polynomial(g, form.p, p)
    unit = 2.0 * math.log(2.0) * 2.0**-form.fraction
    out.append(n.signed_to_float().fma(unit, g * p[0]).sqrt())


def normal_pair(w_radius: Lanes, w_angle: Lanes, bits: int, out: list[Lanes]) -> Stages:
    """Two independent standard normals from two words of so many bits, appended to `out`."""
    form = _FORMATS[bits]
    found: list[Lanes] = []
    yield from _radius(w_radius, form, found)
    yield
    s = (w_angle << 2).signed_to_float() * 2.0 ** (1 - bits)
    v = s * s
    yield
    yield from _polynomial(v, form.c, found)
    yield
    yield from _polynomial(v, form.s, found)
    yield
    r, c, q = found
    # r c -/+ r s q: an add more than fma would take, on units that fma leaves idle
    rc, rs = r * c, r * (s * q)
    sign = 1 << (bits - 1)
    out.append(((rc - rs).bits() ^ (w_angle & sign)).float_of_bits())
    out.append(((rc + rs).bits() ^ ((w_angle << 1) & sign)).float_of_bits())
    yield


def _scalars(word: Any, real: Any, bits: int) -> tuple[Any, Any]:
    """The radius of one word, and the pair of two, as functions for kernels."""

    @intrinsic
    def radius_of(typingctx, w):
        def codegen(context, builder, signature, args):
            out = []
            finished(_radius(Lanes(builder, args[0]), _FORMATS[bits], out))
            return out[0].value

        return real(word), codegen

    @intrinsic
    def pair_of(typingctx, w_radius, w_angle):
        def codegen(context, builder, signature, args):
            out = []
            finished(normal_pair(*(Lanes(builder, value) for value in args), bits, out))
            return context.make_tuple(builder, signature.return_type, [z.value for z in out])

        return types.UniTuple(real, 2)(word, word), codegen

    @scalar
    def radius(w):
        return radius_of(w)

    @scalar
    def pair(w_radius, w_angle):
        return pair_of(w_radius, w_angle)

    return radius, pair


radius32, normal_pair32 = _scalars(types.uint32, types.float32, 32)
"""sqrt(-2 ln u) of a uint32 word; two float32 normals of two."""
_, normal_pair64 = _scalars(types.uint64, types.float64, 64)
"""Two float64 normals of two uint64 words."""


@scalar
def uniform64(w):
    """(floor(w / 2^11) + 1/2) 2^-53 in (0, 1) from a 64-bit word."""
    whole = op.f64_of_i64(op.i64_of_u64(np.uint64(w >> np.uint64(11))))
    return fma(whole, 2.0**-53, 2.0**-54)
