"""Sums of powers of a tile, with the same bits on every machine.

    y = (x - shift) scale,    sums of y, y^2, y^3, y^4, and of products of two coordinates

LLVM may not reorder a floating-point sum, so a plain loop stays scalar.  Sixteen partial sums,
lane by lane, written as vectors of sixteen: whatever the machine's width, each lane sees the
same operations.  They are of the type of shift and scale over 128 particles, and of float64 from
there on: in float32 a third of the conversions and half of the additions that float64 takes
(measured on Zen 4, four sums of 16 particles: FIGURES).

Rounding in float32 is harmless where it is unbiased: its relative error 2^-24 of a term is then
as random as the terms are, and the mean of n particles, which is itself off by n^-1/2, is off by
less than 2^-24 n^-1/2 more.  So the shift has few digits (model/moments.py): x - shift is exact,
or is rounded down as often as up.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastrev.kernels.jit import loop, scalar
from fastrev.kernels.lanes import Lanes

_LANES = 16
_TOGETHER = 8
"""Vectors whose terms are added in the type of shift and scale."""
_WIDE = ir.VectorType(ir.DoubleType(), _LANES)


def _vectors(context, builder, signature, args, rows, terms, count):
    """Sum `count` terms of the shifted and scaled vectors of some rows over whole vectors.

    args    the rows, as many shifts, as many scales
    terms   (vectors, sums) -> the new sums
    """
    arrays = [context.make_array(signature.args[r])(context, builder, args[r]) for r in range(rows)]
    shifts, scales = ([Lanes(builder, v) for v in args[k * rows : (k + 1) * rows]] for k in (1, 2))
    packed = ir.VectorType(context.get_value_type(signature.args[0].dtype), _LANES)
    inner = ir.VectorType(shifts[0].value.type, _LANES)
    factors = [scale.over(_LANES) for scale in scales]
    offsets = [
        (shift * scale * -1.0).over(_LANES) for shift, scale in zip(shifts, scales, strict=True)
    ]

    def widened(value, vector):
        return value if value.type == vector else builder.fpext(value, vector)

    totals = [cgutils.alloca_once(builder, _WIDE) for _ in range(count)]
    sums = [cgutils.alloca_once(builder, inner) for _ in range(count)]
    for total in totals:
        builder.store(ir.Constant(_WIDE, [0.0] * _LANES), total)
    length = builder.extract_value(arrays[0].shape, 0)
    together = ir.Constant(length.type, _TOGETHER)
    whole = builder.udiv(length, ir.Constant(length.type, _LANES))
    above = builder.add(whole, ir.Constant(length.type, _TOGETHER - 1))
    with cgutils.for_range(builder, builder.udiv(above, together)) as block:
        first = builder.mul(block.index, together)
        left = builder.sub(whole, first)
        short = builder.icmp_unsigned("<", left, together)
        for s in sums:
            builder.store(ir.Constant(inner, [0.0] * _LANES), s)
        with cgutils.for_range(builder, builder.select(short, left, together)) as step:
            at = builder.add(first, step.index)
            at = builder.mul(at, ir.Constant(at.type, _LANES))
            vectors = []
            for array, factor, offset in zip(arrays, factors, offsets, strict=True):
                pointer = builder.gep(array.data, [at])
                load = builder.load(builder.bitcast(pointer, packed.as_pointer()))
                load.align = 4 if packed.element == ir.FloatType() else 8
                vectors.append(Lanes(builder, widened(load, inner)).fma(factor, offset))
            new = terms(vectors, [Lanes(builder, builder.load(s)) for s in sums])
            for s, lanes in zip(sums, new, strict=True):
                builder.store(lanes.value, s)
        for total, s in zip(totals, sums, strict=True):
            part = widened(builder.load(s), _WIDE)
            builder.store(builder.fadd(builder.load(total), part), total)
    return [_folded(builder, builder.load(total)) for total in totals]


def _folded(builder, vector):
    """The sum of the lanes, halves upon halves."""
    lanes = [builder.extract_element(vector, ir.Constant(ir.IntType(32), k)) for k in range(_LANES)]
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [builder.fadd(lanes[k], lanes[k + half]) for k in range(half)]
    return lanes[0]


def _four(vectors, sums):
    (y,) = vectors
    square = y * y
    return [sums[0] + y, sums[1] + square, square.fma(y, sums[2]), square.fma(square, sums[3])]


@intrinsic
def _power_vectors(typingctx, row, shift, scale):
    def codegen(context, builder, signature, args):
        sums = _vectors(context, builder, signature, args, 1, _four, 4)
        return context.make_tuple(builder, signature.return_type, sums)

    return types.UniTuple(types.float64, 4)(row, shift, scale), codegen


@intrinsic
def _product_vectors(typingctx, a, b, shift_a, shift_b, scale_a, scale_b):
    def product(vectors, sums):
        return [vectors[0].fma(vectors[1], sums[0])]

    def codegen(context, builder, signature, args):
        return _vectors(context, builder, signature, args, 2, product, 1)[0]

    return types.float64(a, b, shift_a, shift_b, scale_a, scale_b), codegen


@scalar
def power_sums(row, shift, scale):
    """Sums of y, y^2, y^3, y^4 over a contiguous row, y = (x - shift) scale.

    shift and scale are of one type, float32 or float64, and the scale is a power of two.
    """
    s1, s2, s3, s4 = _power_vectors(row, shift, scale)
    for l in range(len(row) // _LANES * _LANES, len(row)):
        y = (np.float64(row[l]) - shift) * scale
        square = y * y
        s1 += y
        s2 += square
        s3 += square * y
        s4 += square * square
    return s1, s2, s3, s4


@scalar
def product_sum(a, b, shift_a, shift_b, scale_a, scale_b):
    """Sum of the products of two contiguous rows, each shifted and scaled."""
    s = _product_vectors(a, b, shift_a, shift_b, scale_a, scale_b)
    for l in range(len(a) // _LANES * _LANES, len(a)):
        s += (np.float64(a[l]) - shift_a) * scale_a * ((np.float64(b[l]) - shift_b) * scale_b)
    return s


@scalar
def _finite(value):
    return value - value == 0.0


@loop
def add_moments(numbers, x, tau, table, k, work):
    """Add a tile x (d, B) to `numbers`, laid out as model/moments.py says.

    table is the reference point and the scale of each time, (F, d) and (F, d); sums beyond what
    float32 holds are made again in float64
    """
    d = len(x)
    real = x.dtype.type
    point, first, products = numbers[1 : 1 + d], numbers[1 + d :], numbers[1 + 2 * d :]
    third, fourth = products[d * d :], products[d * d + d :]
    numbers[0] += x.shape[1]
    for j in range(d):
        r, e = real(table[0][k, j]), real(table[1][k, j])
        s1, s2, s3, s4 = power_sums(x[j], r, e)
        if not _finite(s4):
            s1, s2, s3, s4 = power_sums(x[j], np.float64(r), np.float64(e))
        u = 1.0 / np.float64(e)
        point[j] = r
        first[j] += s1 * u
        products[j * d + j] += s2 * (u * u)
        third[j] += s3 * (u * u * u)
        fourth[j] += s4 * (u * u) * (u * u)
        for i in range(j):
            q, f = real(table[0][k, i]), real(table[1][k, i])
            s = product_sum(x[j], x[i], r, q, e, f)
            if not _finite(s):
                s = product_sum(
                    x[j], x[i], np.float64(r), np.float64(q), np.float64(e), np.float64(f)
                )
            s *= u / np.float64(f)
            products[j * d + i] += s
            products[i * d + j] += s
