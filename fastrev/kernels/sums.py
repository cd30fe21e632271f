"""Sums of powers of a tile, with the same bits on every machine.

LLVM may not reorder a floating-point sum, so a plain loop stays scalar.  Sixteen partial sums,
lane by lane, written as vectors of sixteen: whatever the machine's width, each lane sees the same
operations.  Numbers of float32 are added by sixes in float32, and those sums in float64: to
convert a vector takes as long as four terms of a sum (measured, AVX-512, the four sums of 16
particles: 5.6 cycles, all in float64 9.6, a plain loop 45).  The roundings of particles that
differ make 10^-7 of the statistical error of a moment; those of many at one value, 10^-7 of it.
"""

from contextlib import contextmanager

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastrev.kernels.intrinsics import magnitude, stay_apart
from fastrev.kernels.jit import inlined, inner_borrower
from fastrev.kernels.lanes import Lanes

_LANES = 16
_CHAIN = 6
_LEAST = 1e-25
"""Of a sum of fourth powers, or of products: terms that count are then normal numbers."""


def _vectors(context, builder, signature, args, rows, points, terms, count):
    """Sum `count` terms of y = x - point over the whole vectors of some rows, lane by lane.

    terms   (vectors, sums) -> the new sums
    """
    arrays = [context.make_array(signature.args[r])(context, builder, args[r]) for r in rows]
    points = [Lanes(builder, args[p]).over(_LANES) for p in points]
    sums = _Room(builder, _LANES, count)
    with _each(builder, arrays[0], _LANES) as at:
        vectors = [
            _widened(_read(builder, array, at)) - point
            for array, point in zip(arrays, points, strict=True)
        ]
        sums.set(terms(vectors, sums.get()))
    return [_folded(builder, one) for one in sums.get()]


def _chains(context, builder, signature, args, rows, points, inverses, terms, count):
    """Sum `count` terms of (x - point) inverse over whole chains of vectors of float32."""
    arrays = [context.make_array(signature.args[r])(context, builder, args[r]) for r in rows]
    factors = []
    for p, i in zip(points, inverses, strict=True):
        point, inverse = (Lanes(builder, builder.fptrunc(args[k], ir.FloatType())) for k in (p, i))
        factors.append((inverse.over(_LANES), (-(point * inverse)).over(_LANES)))
    sums = _Room(builder, _LANES // 2, count)
    with _each(builder, arrays[0], _LANES * _CHAIN) as first:
        chained = None
        for k in range(_CHAIN):
            at = builder.add(first, ir.Constant(first.type, k * _LANES))
            vectors = [
                _read(builder, array, at).fma(inverse, offset)
                for array, (inverse, offset) in zip(arrays, factors, strict=True)
            ]
            chained = terms(vectors, chained or [vectors[0].constant(0.0)] * count)
        wide = [_widened(_halved(one)) for one in chained]
        sums.set([a + b for a, b in zip(sums.get(), wide, strict=True)])
    return [_folded(builder, one) for one in sums.get()]


class _Room:
    """Vectors of sums in float64, on the stack, for a loop to add to."""

    def __init__(self, builder, lanes, count):
        zero = ir.Constant(ir.VectorType(ir.DoubleType(), lanes), [0.0] * lanes)
        self.builder = builder
        self.places = [cgutils.alloca_once_value(builder, zero) for _ in range(count)]

    def get(self):
        return [Lanes(self.builder, self.builder.load(place)) for place in self.places]

    def set(self, sums):
        for place, one in zip(self.places, sums, strict=True):
            self.builder.store(one.value, place)


@contextmanager
def _each(builder, array, step):
    """A loop over the places 0, step, 2 step .. of an array, as far as there are whole steps."""
    length = builder.extract_value(array.shape, 0)
    with cgutils.for_range(builder, builder.udiv(length, ir.Constant(length.type, step))) as loop:
        yield builder.mul(loop.index, ir.Constant(loop.index.type, step))


def _read(builder, array, at):
    """The vector that begins at a place of an array."""
    pointer = builder.gep(array.data, [at])
    packed = ir.VectorType(pointer.type.pointee, _LANES)
    load = builder.load(builder.bitcast(pointer, packed.as_pointer()))
    load.align = 4 if packed.element == ir.FloatType() else 8
    return Lanes(builder, load)


def _widened(lanes):
    """As float64."""
    kind = lanes.value.type
    if kind.element == ir.DoubleType():
        return lanes
    wide = ir.VectorType(ir.DoubleType(), kind.count)
    return Lanes(lanes.builder, lanes.builder.fpext(lanes.value, wide))


def _halved(lanes):
    """The lower half of the lanes and the upper half, added."""
    half = lanes.value.type.count // 2
    return lanes.of_lanes(range(half)) + lanes.of_lanes(range(half, 2 * half))


def _folded(builder, lanes):
    """The sum of the lanes, halves upon halves."""
    while lanes.value.type.count > 1:
        lanes = _halved(lanes)
    return builder.extract_element(lanes.value, ir.Constant(ir.IntType(32), 0))


def _four(vectors, sums):
    (y,) = vectors
    square = y * y
    return [sums[0] + y, y.fma(y, sums[1]), square.fma(y, sums[2]), square.fma(square, sums[3])]


@intrinsic
def _power_vectors(typingctx, row, point):
    def codegen(context, builder, signature, args):
        sums = _vectors(context, builder, signature, args, (0,), (1,), _four, 4)
        return context.make_tuple(builder, signature.return_type, sums)

    return types.UniTuple(types.float64, 4)(row, types.float64), codegen


@intrinsic
def _power_chains(typingctx, row, point, inverse):
    def codegen(context, builder, signature, args):
        sums = _chains(context, builder, signature, args, (0,), (1,), (2,), _four, 4)
        return context.make_tuple(builder, signature.return_type, sums)

    return types.UniTuple(types.float64, 4)(row, types.float64, types.float64), codegen


def _product(vectors, sums):
    return [vectors[0].fma(vectors[1], sums[0])]


@intrinsic
def _product_vectors(typingctx, a, b, point_a, point_b):
    def codegen(context, builder, signature, args):
        return _vectors(context, builder, signature, args, (0, 1), (2, 3), _product, 1)[0]

    return types.float64(a, b, types.float64, types.float64), codegen


@intrinsic
def _product_chains(typingctx, a, b, point_a, point_b, inverse_a, inverse_b):
    def codegen(context, builder, signature, args):
        rows, points, inverses = (0, 1), (2, 3), (4, 5)
        return _chains(context, builder, signature, args, rows, points, inverses, _product, 1)[0]

    return types.float64(a, b, *[types.float64] * 4), codegen


@inlined
def power_sums(row, point):
    """Sums of y, y^2, y^3, y^4 over a contiguous row, y = x - point."""
    s1, s2, s3, s4 = _power_vectors(row, point)
    for l in range(len(row) // _LANES * _LANES, len(row)):
        y = row[l] - point
        square = y * y
        s1 += y
        s2 += square
        s3 += square * y
        s4 += square * square
    return s1, s2, s3, s4


@inlined
def product_sum(a, b, point_a, point_b):
    """Sum of (a - point_a)(b - point_b) over two contiguous rows."""
    s = _product_vectors(a, b, point_a, point_b)
    for l in range(len(a) // _LANES * _LANES, len(a)):
        s += (a[l] - point_a) * (b[l] - point_b)
    return s


@inner_borrower
def power_sums_f32(row, point, inverse):
    """The same for float32, by chains of y inverse; in float64 where these leave its range."""
    c1, c2, c3, c4 = _power_chains(row, point, inverse)
    if not _LEAST < c4 < np.inf:
        return _power_sums_apart(row, point)
    done, s1, s2, s3, s4 = _in_chains(row), 0.0, 0.0, 0.0, 0.0
    if done < len(row):
        s1, s2, s3, s4 = _power_sums_apart(row[done:], point)
    scale = 1.0 / inverse
    square = scale * scale
    return s1 + c1 * scale, s2 + c2 * square, s3 + c3 * (square * scale), s4 + c4 * square * square


@inner_borrower
def product_sum_f32(a, b, point_a, point_b, inverse_a, inverse_b):
    """The same for float32, by chains; in float64 where these leave its range."""
    chains = _product_chains(a, b, point_a, point_b, inverse_a, inverse_b)
    if not _LEAST < magnitude(chains) < np.inf:
        return _product_sum_apart(a, b, point_a, point_b)
    done, rest = _in_chains(a), 0.0
    if done < len(a):
        rest = _product_sum_apart(a[done:], b[done:], point_a, point_b)
    return rest + chains / (inverse_a * inverse_b)


@inner_borrower
def _power_sums_apart(row, point):
    stay_apart()
    return power_sums(row, point)


@inner_borrower
def _product_sum_apart(a, b, point_a, point_b):
    stay_apart()
    return product_sum(a, b, point_a, point_b)


@inlined
def _in_chains(row):
    return len(row) // (_LANES * _CHAIN) * (_LANES * _CHAIN)
