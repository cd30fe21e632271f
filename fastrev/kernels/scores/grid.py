"""Scores from tables at this time: linear or cubic in x, on a line or on a plane.

Three loops for each row: where each particle is, what the table holds there, and the
interpolation.  LLVM leaves the middle one scalar, for the table might be written to meanwhile; so
it is written as vectors: neighbouring values in one load, sixteen particles put together in
registers (measured, linear on a line, one core: Emerald Rapids 1.15 cycles for a particle in all,
Zen 4 with pairs of values 0.85, value by value 2.4), or, where a processor does this well, one
gather of pairs for eight particles (Emerald Rapids 1.05; a run is 7 % faster).
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastrev.kernels.intrinsics import fma
from fastrev.kernels.jit import scalar
from fastrev.kernels.lanes import exact, gathers_well, splat

_LANES = 16


@intrinsic
def _gather_block(typingctx, table, place, first, room, l, lanes):
    """room[i, l + n] = table[place[l + n] + first + i] for n < lanes and i < len(room)."""
    if not isinstance(lanes, types.IntegerLiteral) or not isinstance(room, types.UniTuple):
        return None
    size, width = room.count, lanes.literal_value

    def codegen(context, builder, signature, args):
        source, where = (
            context.make_array(signature.args[n])(context, builder, args[n]) for n in (0, 1)
        )
        real = context.get_value_type(signature.args[0].dtype)
        columns = _runs(builder, source, where, args[4], width, args[2], size)
        for row, column in zip(cgutils.unpack_tuple(builder, args[3]), columns, strict=True):
            target = context.make_array(signature.args[3].dtype)(context, builder, row)
            pointer = builder.bitcast(
                builder.gep(target.data, [args[4]]), ir.VectorType(real, width).as_pointer()
            )
            builder.store(column, pointer).align = _width(real)
        return context.get_dummy_value()

    return types.none(table, place, types.int64, room, types.int64, lanes), codegen


def _runs(builder, table, place, l, width, first, size):
    """For i < size, the vector of table[place[l + n] + first + i], n < width."""
    wide, real = ir.IntType(64), table.data.type.pointee
    if real == ir.FloatType() and width == _LANES and gathers_well():
        at, columns = builder.gep(place.data, [l]), []
        for i in range(0, size, 2):
            start = builder.gep(table.data, [builder.add(first, ir.Constant(wide, i))])
            columns += _gathered_pairs(builder, start, at)
        return columns
    quads = real == ir.FloatType() and width == _LANES
    before = (4 - size) // 2 if quads else 0  # a pair is the middle of four
    count, start = size + 2 * before, builder.sub(first, ir.Constant(wide, before))
    runs = []
    for k in _places_of(builder, place, l, width):
        pointer = builder.gep(table.data, [builder.add(k, start)])
        run = builder.load(builder.bitcast(pointer, ir.VectorType(real, count).as_pointer()))
        run.align = _width(real)
        runs.append(run)
    if quads:
        columns = _columns(builder, [_side_by_side(builder, runs[n::4]) for n in range(4)])
        return columns[before : 4 - before]
    run = _side_by_side(builder, runs)
    return [
        builder.shuffle_vector(run, run, _numbers(range(i, size * width, size)))
        for i in range(size)
    ]


def _gathered_pairs(builder, start, at):
    """The vectors of start[k] and start[k + 1], k the sixteen int32 numbers from `at` on."""
    half, word = _LANES // 2, ir.IntType(32)
    pairs, flags = ir.VectorType(ir.IntType(64), half), ir.VectorType(ir.IntType(1), half)
    base = builder.bitcast(start, ir.IntType(8).as_pointer())
    gather = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(pairs, [pairs, base.type, ir.VectorType(word, half), flags, word]),
        "llvm.x86.avx512.mask.gather.dpq.512",
    )
    places = builder.load(builder.bitcast(at, ir.VectorType(word, _LANES).as_pointer()))
    places.align = 4
    found = []
    for n in (0, half):
        some = builder.shuffle_vector(places, places, _numbers(range(n, n + half)))
        args = [pairs([0] * half), base, some, flags([1] * half), word(_width(ir.FloatType()))]
        values = builder.call(gather, args)
        found.append(builder.bitcast(values, ir.VectorType(ir.FloatType(), _LANES)))
    return [builder.shuffle_vector(*found, _numbers(range(i, 2 * _LANES, 2))) for i in (0, 1)]


def _places_of(builder, place, l, width):
    """place[l + n] for n < width, two of them in one load: loads are what there is most of."""
    wide = ir.IntType(64)
    if width == 1:
        return [builder.zext(builder.load(builder.gep(place.data, [l])), wide)]
    half, places = ir.Constant(wide, 32), []
    for n in range(0, width, 2):
        at = builder.gep(place.data, [builder.add(l, ir.Constant(wide, n))])
        two = builder.load(builder.bitcast(at, wide.as_pointer()))
        two.align = 4
        places += [builder.lshr(builder.shl(two, half), half), builder.lshr(two, half)]
    return places


def _side_by_side(builder, runs):
    """One vector of all."""
    while len(runs) > 1:
        together = _numbers(range(2 * runs[0].type.count))
        runs = [
            builder.shuffle_vector(a, b, together)
            for a, b in zip(runs[::2], runs[1::2], strict=True)
        ]
    return runs[0]


def _columns(builder, quads):
    """The first, second, third and fourth numbers of vectors of fours, a four of each in turns."""
    count = quads[0].type.count

    def mixed(a, b, lanes):
        picked = [f + lane % 4 + lane // 4 * count for f in range(0, count, 4) for lane in lanes]
        return builder.shuffle_vector(a, b, _numbers(picked))

    a, b, c, d = quads
    found = {}
    for i, k in ((1, 2), (0, 3)):
        pairs = [mixed(one, other, (i, k, 4 + i, 4 + k)) for one, other in ((a, b), (c, d))]
        found[i], found[k] = mixed(*pairs, (0, 2, 4, 6)), mixed(*pairs, (1, 3, 5, 7))
    return [found[i] for i in range(4)]


def _width(real):
    """Bytes of a number."""
    return 4 if real == ir.FloatType() else 8


def _numbers(values):
    """Which lanes a shuffle takes."""
    values = list(values)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(values)), values)


@scalar
def _gather(table, place, first, room):
    """Rows room[i] = table[place + first + i], i < len(room), for all particles."""
    width = len(place)
    whole = width // _LANES * _LANES
    for l in range(0, whole, _LANES):
        _gather_block(table, place, first, room, l, _LANES)
    for l in range(whole, width):
        _gather_block(table, place, first, room, l, 1)


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
def _linear_block(typingctx, row, place, x, low, inverse, out, marks, l, lanes):
    """`_gather`, `_share`, `_farthest` and the interpolation of a few particles at once.

    In one, the values read are not stored in between (measured: 0.4 cycles for a particle).
    """
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    width = lanes.literal_value

    def codegen(context, builder, signature, args):
        source, where, given, target, seen = (
            context.make_array(signature.args[n])(context, builder, args[n])
            for n in (0, 1, 2, 5, 6)
        )
        real = context.get_value_type(signature.args[0].dtype)
        vector, whole = ir.VectorType(real, width), ir.VectorType(ir.IntType(32), width)

        def lanes_of(array, kind):
            return builder.bitcast(builder.gep(array.data, [args[7]]), kind.as_pointer())

        def load(array, kind=vector):
            value = builder.load(lanes_of(array, kind))
            value.align = 4
            return value

        def store(value, array):
            builder.store(value, lanes_of(array, vector)).align = _width(real)

        one = ir.Constant(ir.IntType(64), 1)
        below, above = _runs(builder, source, where, args[7], width, one, 2)
        inverse, first = (
            splat(builder, number, width)
            for number in (args[4], builder.fmul(builder.fneg(args[3]), args[4]))
        )
        u = exact(builder, "fma", load(given), inverse, first)
        f = builder.fsub(u, builder.sitofp(load(where, whole), vector))
        store(exact(builder, "fma", f, builder.fsub(above, below), below), target)
        fabs = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(vector, [vector]),
            f"llvm.fabs.v{width}f{8 * _width(real)}",
        )
        half = ir.Constant(vector, [0.5] * width)
        away = builder.call(fabs, [builder.fsub(f, half)])
        bits = ir.IntType(width)
        beyond = builder.bitcast(builder.fcmp_ordered(">", away, half), bits)
        # seldom any, and only what is beyond need be kept (measured: 2 % of a run)
        with builder.if_then(builder.icmp_unsigned("!=", beyond, bits(0)), likely=False):
            before = load(seen)
            farther = builder.fcmp_ordered(">", away, before)
            store(builder.select(farther, away, before), seen)
        return context.get_dummy_value()

    return types.none(row, place, x, low, inverse, out, marks, types.int64, lanes), codegen


def linear_on_line(x, t, p, out, work):
    """row[k] and row[k + 1], by their distances; row has one value more at each end."""
    width, row, marks = x.shape[1], p.row, work[4]
    _fetch(row)
    whole, place = width // _LANES * _LANES, work[0].view(np.int32)[:width]
    for j in range(len(x)):
        _cells(x[j], p.low, p.inverse, len(row) - 3, place)
        for l in range(0, whole, _LANES):
            _linear_block(row, place, x[j], p.low, p.inverse, out[j], marks, l, _LANES)
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
        _gather(row, place, 0, (room[0], room[1], room[2], room[3]))
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
        _gather(row, place, ny + 1, (room[0], room[1]))
        _gather(row, place, 2 * ny + 1, (room[2], room[3]))
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
            _gather(row, place, i * ny, (room[0], room[1], room[2], room[3]))
            for l in range(width):
                lines[i, l] = _convolved(room[0, l], room[1, l], room[2, l], room[3, l], g[l])
        for l in range(width):
            out[j, l] = _convolved(lines[0, l], lines[1, l], lines[2, l], lines[3, l], f[l])
