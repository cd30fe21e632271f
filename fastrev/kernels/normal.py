"""Standard normals from random words, by Box and Muller's pairs.

    z0 = r cos(phi),  z1 = r sin(phi),  r = sqrt(-2 ln u),  u = max(|w|, 1/4) 2^-31 or 2^-63

for a word w taken as a signed number, whose sign both get: w = 0, half as likely as any other |w|,
stands for the middle of its half as long a part of (0, 1).

float32: with u = 2^e m, m in [1, 2), the bits of 1 less those of u are an integer n, which is
1 - e - m in units of the last bit, and

    -2 ln u = 2 ln 2 n + P(m - 3/2),    P(m - 3/2) = 2 ln 2 (m - 1) - 2 ln m,

whose second term is at most 0.12 in size and, as P has it, a little above 0 at both ends: so the
sum is never negative, and r is not less than 1.7e-4 (1.4e-8 of all are).

float64, where P would have many terms: u = 2^-(e + 1) f with f in (1, 2], of sixteen parts of
this range one holds f, in which 1/R, with L = 2 ln(2 R), is near f or, in the part next to 2, is
2; so L is 0 there, and both terms vanish at u = 1:

    -2 ln u = 2 ln 2 e + L + t Q(t),   t = f R - 1 in [-1/32, 1/32],  Q(t) = -2 ln(1 + t)/t.

R and L of a part are looked up in registers (measured, Emerald Rapids: a tenth faster than a series
in (f - 1)/(f + 1), whose quotients wait for the square roots' divider).

An angle's low bits, 23 and 52, are those of a float in [2, 4), and with s in [-1, 1), three less
than this float, phi = pi s/2:

    cos phi = 1 - q^2,  sin phi = q C(s^2),  q = s S(s^2),
    C = sqrt(2) cos(pi s/4),  S = sqrt(2) sin(pi s/4)/s,

short polynomials with no range reduction (cosine and sine of phi itself by such polynomials take
two instructions more in float64).  These angles lie evenly on the circle, so that all moments that
matter are exact.  Tails reach 6.76 sigma in float32 and 9.49 in float64.

An angle uses 23 or 52 bits, and the first of a word's bits settle all but the last digits of a
radius.  So four pairs take four words (measured, Emerald Rapids: 16 x 8 float32 normals in 131
cycles; in 148 with six words, two angles of each third one): every word is the radius of one pair,
and the angle of another is the exclusive or of a third one's and of one whose last bytes became the
first (`angle`).  Every pair, and every two pairs, have the very law that words of their own would
give them.  So have, all together, the first 16 bits of the four words and of the four angles, 32
and 28 in float64: a dependence is one of three pairs or more, in bits beyond these.

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
    p, c, s    coefficients of P or Q, of C and S: relative error of -2 ln u by these alone, of C,
               error of q
    """

    bits: int
    fraction: int
    p: tuple[float, ...]
    c: tuple[float, ...]
    s: tuple[float, ...]

    @property
    def one(self) -> int:
        """The bits of 1."""
        return self.two - (1 << self.fraction)

    @property
    def two(self) -> int:
        """The bits of 2."""
        return 1 << (self.bits - 2)


_F32 = _Format(
    bits=32,
    fraction=23,
    # 2^-21, absolute; 2^-24.7, 2^-27.8
    p=(
        -0.11778347194194794,
        0.05296310782432556,
        0.4444974362850189,
        -0.1976175308227539,
        0.09777143597602844,
        -0.051665984094142914,
        0.03509950265288353,
        -0.021094489842653275,
    ),
    c=(1.4142135381698608, -0.4361778199672699, 0.022415202111005783, -0.0004509556747507304),
    s=(1.1107207536697388, -0.11419142782688141, 0.003521638922393322, -5.096875611343421e-05),
)
_F64 = _Format(
    bits=64,
    fraction=52,
    # 2^-51; 2^-52.7, 2^-57.0
    p=(
        -2.0,
        0.9999999999995969,
        -0.6666666667055335,
        0.5000000030606486,
        -0.39999974305254216,
        0.3333278051603601,
        -0.2861641422800746,
        0.2527198239690427,
    ),
    c=(
        1.414213562373095,
        -0.43617901247741875,
        0.02242142865197122,
        -0.000461022146813774,
        5.0782411889956684e-06,
        -3.4802570530809766e-08,
        1.6054777329720584e-10,
    ),
    s=(
        1.1107207345395915,
        -0.11419139843742775,
        0.0035219497768162983,
        -5.1726563964249784e-05,
        4.4316022750751793e-07,
        -2.484962251568305e-09,
        9.71891377084462e-12,
    ),
)
_FORMATS = {32: _F32, 64: _F64}
PAIRS = 4
"""Pairs whose radii and angles come from as many words."""
_LAST_FIRST = {32: [1, 2, 0, 0], 64: [6, 5, 3, 4, 2, 1, 0, 0]}
"""Which bytes of a word an angle takes, lowest first: its top 9 or 12 bits are not used.  Last
bytes lead, and those of the middle go where the other word's are needed."""
_PART_BITS = 4
_PARTS = 2**_PART_BITS
"""Parts of (1, 2], the first next to 2."""


def _part(k: int) -> tuple[float, float]:
    """R and L of a part: t is less than f R - 1 by (2 R - 1) 2^-53, which L makes up for."""
    r = 0.5 if k == 0 else 1.0 / (2.0 - (k + 0.5) / _PARTS)
    return r, 2.0 * (math.log(2.0 * r) - (2.0 * r - 1.0) * 2.0**-53)


_R, _L = zip(*(_part(k) for k in range(_PARTS)), strict=True)


def _polynomial(x: Lanes, coefficients: tuple[float, ...], out: list[Lanes]) -> Stages:
    """c0 + c1 x + ..., appended to `out`."""
    *lower, last = coefficients
    y = x.constant(last)
    for coefficient in reversed(lower):
        y = y.fma(x, coefficient)
        yield y
    out.append(y)


def squared_radius(word: Lanes, bits: int, out: list[Lanes]) -> Stages:
    """-2 ln u of a word of so many bits, u = max(|w|, 1/4) 2^(1 - bits), appended to `out`."""
    form = _FORMATS[bits]
    known = word.word_to_float().magnitude(0.25).bits()
    n = known.constant(form.one + ((bits - 1) << form.fraction)) - known  # u's scale as well
    yield from (_by_product if bits == 32 else _by_parts)(n, known, form, out)
    yield out[-1]


def _by_product(n: Lanes, known: Lanes, form: _Format, out: list[Lanes]) -> Stages:
    """2 ln 2 n + P(m - 3/2), appended to `out`."""
    m = known & (2**form.fraction - 1) | form.one
    h = m.float_of_bits() - 1.5
    yield h
    p: list[Lanes] = []
    yield from _polynomial(h, form.p, p)
    unit = 2.0 * math.log(2.0) * 2.0**-form.fraction
    out.append(n.signed_to_float().fma(unit, p[0]))


def _by_parts(n: Lanes, known: Lanes, form: _Format, out: list[Lanes]) -> Stages:
    """2 ln 2 e + L + t Q(t), appended to `out`."""
    lower = 2**form.fraction - 1
    # the f of above, less one unit; LLVM would make an addition of a complement of n
    f = (n & lower ^ (lower | form.one)).float_of_bits()
    yield f
    inverse, logarithm = (n >> (form.fraction - _PART_BITS)).of_tables(_R, _L)
    t = f.fma(inverse, 2.0**-53 - 1.0)
    yield t
    q: list[Lanes] = []
    yield from _polynomial(t, form.p, q)
    e = (n >> form.fraction).signed_to_float()
    out.append(t.fma(q[0], e.fma(2.0 * math.log(2.0), logarithm)))


def angle(words: list[Lanes], pair: int, bits: int) -> Lanes:
    """The angle's word of a pair, by the words of the radii of four."""
    first, second = (words[(pair + ahead) % PAIRS] for ahead in (1, 2))
    return first.of_bytes(_LAST_FIRST[bits]) ^ second


def normal_pair(
    squared: Lanes, w_radius: Lanes, w_angle: Lanes, bits: int, out: list[Lanes]
) -> Stages:
    """Two independent standard normals of a squared radius, its word and an angle's, of so many
    bits, appended to `out`."""
    form = _FORMATS[bits]
    r = squared.sqrt()
    yield r
    s = _of_angle(w_angle, form)
    v = s * s
    yield v
    found: list[Lanes] = []
    yield from _polynomial(v, form.c, found)
    yield found[0]
    yield from _polynomial(v, form.s, found)
    yield found[1]
    c, sine = found
    r = _signed(r, w_radius, bits)
    yield from _turned(r, s * sine, c, out)


def half_sine(w_angle: Lanes, bits: int, out: list[Lanes]) -> Stages:
    """q and s^2 of an angle's word, of so many bits, appended to `out`."""
    form = _FORMATS[bits]
    s = _of_angle(w_angle, form)
    v = s * s
    yield v
    found: list[Lanes] = []
    yield from _polynomial(v, form.s, found)
    q = s * found[0]
    yield q
    out += [q, v]


def pair_by_half_sine(
    r: Lanes, w_radius: Lanes, half: list[Lanes], bits: int, out: list[Lanes]
) -> Stages:
    """The pair of a radius, its word, of so many bits, and what `half_sine` made of an angle's,
    appended to `out`: what `normal_pair` does in another order, in two parts, between which less is
    kept."""
    q, v = half
    found: list[Lanes] = []
    yield from _polynomial(v, _FORMATS[bits].c, found)
    yield found[0]
    yield from _turned(_signed(r, w_radius, bits), q, found[0], out)


def _of_angle(w_angle: Lanes, form: _Format) -> Lanes:
    """s of an angle's word."""
    return (w_angle & (2**form.fraction - 1) | form.two).float_of_bits() - 3.0


def _signed(r: Lanes, w_radius: Lanes, bits: int) -> Lanes:
    """A radius with the sign of its word, of so many bits."""
    return (r.bits() ^ (w_radius & (1 << (bits - 1)))).float_of_bits()


def _turned(r: Lanes, q: Lanes, c: Lanes, out: list[Lanes]) -> Stages:
    """r cos phi and r sin phi of q and C, appended to `out`."""
    rq = r * q
    yield rq
    out.append((-rq).fma(q, r))
    out.append(rq * c)
    yield out[-1]


def _pair_of(word: Any, real: Any, bits: int) -> Any:
    """The pair of two words, as a function for kernels."""

    @intrinsic
    def pair_of(typingctx, w_radius, w_angle):
        def codegen(context, builder, signature, args):
            w_radius, w_angle = (Lanes(builder, value) for value in args)
            squared, out = [], []
            finished(squared_radius(w_radius, bits, squared))
            finished(normal_pair(squared[0], w_radius, w_angle, bits, out))
            return context.make_tuple(builder, signature.return_type, [z.value for z in out])

        return types.UniTuple(real, 2)(word, word), codegen

    @scalar
    def pair(w_radius, w_angle):
        return pair_of(w_radius, w_angle)

    return pair


normal_pair32 = _pair_of(types.uint32, types.float32, 32)
"""Two float32 normals of two uint32 words."""
normal_pair64 = _pair_of(types.uint64, types.float64, 64)
"""Two float64 normals of two uint64 words."""


@scalar
def uniform64(w):
    """(floor(w / 2^11) + 1/2) 2^-53 in (0, 1) from a 64-bit word."""
    whole = op.f64_of_i64(op.i64_of_u64(np.uint64(w >> np.uint64(11))))
    return fma(whole, 2.0**-53, 2.0**-54)
