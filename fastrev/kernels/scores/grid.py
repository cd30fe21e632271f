"""Scores from tables at this time: linear or cubic in x, on a line or on a plane.

Three loops for each row: where each particle is, what the table holds there (`lookup.py`), and
the interpolation.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastrev.kernels.constants import splat
from fastrev.kernels.intrinsics import fma
from fastrev.kernels.jit import borrowing
from fastrev.kernels.lanes import Lanes, exact
from fastrev.kernels.scores.lookup import (
    LANES,
    cells_at,
    gather,
    gathered,
    gathers_pairs,
    places_of,
    runs_of,
    width_of,
)


@intrinsic
def _fetch(typingctx, table):
    """Ask for the whole table at once: a step's is new to the cache, and look-ups would wait
    for it line by line.
    """

    def codegen(context, builder, signature, args):
        source = context.make_array(signature.args[0])(context, builder, args[0])
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        prefetch = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag]),
            "llvm.prefetch.p0",
        )
        start = builder.bitcast(source.data, byte)
        length = builder.mul(builder.extract_value(source.shape, 0), source.itemsize)
        line = ir.Constant(length.type, 64)
        with cgutils.for_range(builder, builder.udiv(length, line)) as n:
            at = builder.gep(start, [builder.mul(n.index, line)])
            builder.call(prefetch, [at, flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.none(table), codegen


def _cells(x, low, inverse, last, place):
    """The cell of each of a row of x, counted from 0; the first or the last for those beyond."""
    first = -low * inverse
    for l in range(len(x)):
        u = fma(x[l], inverse, first)
        inside = u if u > 0.0 else 0.0  # also for NaN
        place[l] = np.int32(inside if inside < last - 0.5 else last - 0.5)


def _share(x, low, inverse, k):
    """Where x is between the cell's ends: 0 to 1, and beyond the grid outside of that."""
    return fma(x, inverse, -low * inverse) - np.float32(k)


def _farthest(share, seen):
    """How far from a cell's middle a particle has been; more than 1/2 is beyond the grid."""
    away = abs(share - 0.5)
    return away if away > seen else seen


@intrinsic
def _in_registers(typingctx, table):
    """Whether `_linear_block` finds the cells itself: loads want them in memory."""

    def codegen(context, builder, signature, args):
        real = context.get_value_type(signature.args[0].dtype)
        return ir.Constant(ir.IntType(1), int(gathers_pairs(real, LANES)))

    return types.boolean(table), codegen


@intrinsic
def _linear_block(typingctx, row, place, x, low, inverse, out, marks, l, lanes):
    """`gather`, `_share`, `_farthest` and the interpolation of a few particles at once, and
    `_cells` where these stay `_in_registers`.

    In one, the values read are not stored in between (measured: 0.4 cycles for a particle; the
    cells with them 2 % of a run).
    """
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    width = lanes.literal_value

    def codegen(context, builder, signature, args):
        source, where, given, target, seen = (
            context.make_array(signature.args[n])(context, builder, args[n])
            for n in (0, 1, 2, 5, 6)
        )
        real, l = context.get_value_type(signature.args[0].dtype), args[7]
        vector, one = ir.VectorType(real, width), ir.Constant(ir.IntType(64), 1)

        def lanes_of(array):
            return builder.bitcast(builder.gep(array.data, [l]), vector.as_pointer())

        def load(array):
            value = builder.load(lanes_of(array))
            value.align = width_of(real)
            return Lanes(builder, value)

        def store(value, array):
            builder.store(value.value, lanes_of(array)).align = width_of(real)

        first = builder.fmul(builder.fneg(args[3]), args[4])
        inverse, first = (Lanes(builder, splat(builder, v, width)) for v in (args[4], first))
        u = load(given).fma(inverse, first)
        if gathers_pairs(real, width):
            cells = _cells_of(builder, u, builder.extract_value(source.shape, 0))
            columns = gathered(builder, source, cells, one, 2)
        else:
            cells = cells_at(builder, where, l, width)
            columns = runs_of(builder, source, places_of(builder, where, l, width), one, 2)
        below, above = (Lanes(builder, column) for column in columns)
        f = u - Lanes(builder, builder.sitofp(cells, vector))
        store(f.fma(above - below, below), target)
        # by their bits, negative numbers are above 1 too
        beyond = builder.icmp_unsigned(">", f.bits().value, f.constant(1.0).bits().value)
        flags = ir.IntType(width)
        some = builder.icmp_unsigned("!=", builder.bitcast(beyond, flags), flags(0))
        # seldom any, and only what is beyond need be kept (measured: 2 % of a run)
        with builder.if_then(some, likely=False):
            before, away = load(seen), exact(builder, "fabs", (f - 0.5).value)
            farther = builder.fcmp_ordered(">", away, before.value)
            store(Lanes(builder, builder.select(farther, away, before.value)), seen)
        return context.get_dummy_value()

    return types.none(row, place, x, low, inverse, out, marks, types.int64, lanes), codegen


def _cells_of(builder, u, length):
    """What `_cells` finds, from its u and the length of the row of values."""
    count, kind = u.value.type.count, u.value.type.element
    last = builder.sitofp(builder.sub(length, ir.Constant(length.type, 3)), kind)
    last = splat(builder, builder.fsub(last, ir.Constant(kind, 0.5)), count)
    zero = u.constant(0.0).value
    inside = builder.select(builder.fcmp_ordered(">", u.value, zero), u.value, zero)
    inside = builder.select(builder.fcmp_ordered("<", inside, last), inside, last)
    return builder.fptosi(inside, ir.VectorType(ir.IntType(32), count))


@borrowing
def linear_on_line(x, t, p, out, work):
    """row[k] and row[k + 1], by their distances; row has one value more at each end."""
    width, row, marks = x.shape[1], p.row, work[4]
    _fetch(row)
    whole, place = width // LANES * LANES, work[0].view(np.int32)[:width]
    found = whole if _in_registers(row) else 0
    for j in range(len(x)):
        _cells(x[j, found:], p.low, p.inverse, len(row) - 3, place[found:])
        for l in range(0, whole, LANES):
            _linear_block(row, place, x[j], p.low, p.inverse, out[j], marks, l, LANES)
        for l in range(whole, width):
            _linear_block(row, place, x[j], p.low, p.inverse, out[j], marks, l, 1)


def _convolved(m, a, b, c, f):
    """Cubic convolution between a and b, m before and c after them; on linearly beyond."""
    g = f if f > 0.0 else 0.0
    g = g if g < 1.0 else 1.0
    curve = 2.0 * m - 5.0 * a + 4.0 * b - c + g * (3.0 * (a - b) + c - m)
    return a + 0.5 * g * (b - m + g * curve) + (f - g) * (b - a)


def cubic_on_line(x, t, p, out, work):
    """The same from four values."""
    width, row, marks = x.shape[1], p.row, work[4]
    place, room = work[2].view(np.int32)[:width], np.empty((4, width), x.dtype)
    for j in range(len(x)):
        _cells(x[j], p.low, p.inverse, len(row) - 3, place)
        gather(row, place, 0, (room[0], room[1], room[2], room[3]))
        for l in range(width):
            f = _share(x[j, l], p.low, p.inverse, place[l])
            out[j, l] = _convolved(room[0, l], room[1, l], room[2, l], room[3, l], f)
            marks[l] = _farthest(f, marks[l])


def _places(x, p, place, shares, marks):
    """The number of each particle's cell in the table, and its shares along both axes."""
    ny, width = int(p.ny), x.shape[1]
    across = np.empty(width, np.int32)
    _cells(x[0], p.low, p.inverse, len(p.row) // ny - 3, place)
    _cells(x[1], p.low_y, p.inverse_y, ny - 3, across)
    for l in range(width):
        f = _share(x[0, l], p.low, p.inverse, place[l])
        g = _share(x[1, l], p.low_y, p.inverse_y, across[l])
        shares[0, l], shares[1, l] = f, g
        marks[l] = _farthest(g, _farthest(f, marks[l]))
        place[l] = np.int32(place[l] * ny + across[l])


def linear_on_plane(x, t, p, out, work):
    """Bilinear, for both coordinates of the score."""
    width, ny = x.shape[1], int(p.ny)
    place, room = work[2].view(np.int32)[:width], np.empty((4, width), x.dtype)
    _places(x, p, place, work, work[4])
    f, g = work[0], work[1]
    for j in range(2):
        row = p.row if j == 0 else p.other
        gather(row, place, ny + 1, (room[0], room[1]))
        gather(row, place, 2 * ny + 1, (room[2], room[3]))
        for l in range(width):
            a = room[0, l] + g[l] * (room[1, l] - room[0, l])
            b = room[2, l] + g[l] * (room[3, l] - room[2, l])
            out[j, l] = a + f[l] * (b - a)


def cubic_on_plane(x, t, p, out, work):
    """Bicubic, for both coordinates of the score."""
    width, ny = x.shape[1], int(p.ny)
    place, room = work[2].view(np.int32)[:width], np.empty((8, width), x.dtype)
    _places(x, p, place, work, work[4])
    f, g, lines = work[0], work[1], room[4:]
    for j in range(2):
        row = p.row if j == 0 else p.other
        for i in range(4):
            gather(row, place, i * ny, (room[0], room[1], room[2], room[3]))
            for l in range(width):
                lines[i, l] = _convolved(room[0, l], room[1, l], room[2, l], room[3, l], g[l])
        for l in range(width):
            out[j, l] = _convolved(lines[0, l], lines[1, l], lines[2, l], lines[3, l], f[l])
