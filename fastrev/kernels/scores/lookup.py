"""Values of a table at many places at once.

LLVM leaves such a loop scalar, for the table might be written to meanwhile; so it is written as
vectors: neighbouring values in one load, sixteen particles put together in registers (measured,
linear on a line, one core: Emerald Rapids 1.15 cycles for a particle in all, Zen 4 with pairs of
values 0.85, value by value 2.4), or, where a processor does this well, one gather of pairs for
eight particles (Emerald Rapids 1.05; a run is 7 % faster).
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastrev.kernels.jit import inlined
from fastrev.kernels.processor import gathers_well

LANES = 16


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
        if gathers_pairs(real, width):
            cells = cells_at(builder, where, args[4], width)
            columns = gathered(builder, source, cells, args[2], size)
        else:
            places = places_of(builder, where, args[4], width)
            columns = runs_of(builder, source, places, args[2], size)
        for row, column in zip(cgutils.unpack_tuple(builder, args[3]), columns, strict=True):
            target = context.make_array(signature.args[3].dtype)(context, builder, row)
            pointer = builder.bitcast(
                builder.gep(target.data, [args[4]]), ir.VectorType(real, width).as_pointer()
            )
            builder.store(column, pointer).align = width_of(real)
        return context.get_dummy_value()

    return types.none(table, place, types.int64, room, types.int64, lanes), codegen


def gathers_pairs(real, width):
    """Whether so many values are read by gathers."""
    return real == ir.FloatType() and width == LANES and gathers_well()


def gathered(builder, table, cells, first, size):
    """For i < size, the vector of table[cells + first + i], cells a vector of int32."""
    columns = []
    for i in range(0, size, 2):
        place = builder.add(first, ir.Constant(first.type, i))
        columns += _gathered_pairs(builder, builder.gep(table.data, [place]), cells)
    return columns


def runs_of(builder, table, places, first, size):
    """For i < size, the vector of table[places[n] + first + i], n < width."""
    wide, real, width = ir.IntType(64), table.data.type.pointee, len(places)
    quads = real == ir.FloatType() and width == LANES
    before = (4 - size) // 2 if quads else 0  # a pair is the middle of four
    count, start = size + 2 * before, builder.sub(first, ir.Constant(wide, before))
    runs = []
    for k in places:
        pointer = builder.gep(table.data, [builder.add(k, start)])
        run = builder.load(builder.bitcast(pointer, ir.VectorType(real, count).as_pointer()))
        run.align = width_of(real)
        runs.append(run)
    if quads:
        columns = _columns(builder, [_side_by_side(builder, runs[n::4]) for n in range(4)])
        return columns[before : 4 - before]
    run = _side_by_side(builder, runs)
    return [
        builder.shuffle_vector(run, run, _numbers(range(i, size * width, size)))
        for i in range(size)
    ]


def _gathered_pairs(builder, start, cells):
    """The vectors of start[k] and start[k + 1], k in a vector of sixteen int32 numbers."""
    half, word = LANES // 2, ir.IntType(32)
    pairs, flags = ir.VectorType(ir.IntType(64), half), ir.VectorType(ir.IntType(1), half)
    base = builder.bitcast(start, ir.IntType(8).as_pointer())
    gather = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(pairs, [pairs, base.type, ir.VectorType(word, half), flags, word]),
        "llvm.x86.avx512.mask.gather.dpq.512",
    )
    found = []
    for n in (0, half):
        some = builder.shuffle_vector(cells, cells, _numbers(range(n, n + half)))
        args = [pairs([0] * half), base, some, flags([1] * half), word(width_of(ir.FloatType()))]
        values = builder.call(gather, args)
        found.append(builder.bitcast(values, ir.VectorType(ir.FloatType(), LANES)))
    return [builder.shuffle_vector(*found, _numbers(range(i, 2 * LANES, 2))) for i in (0, 1)]


def cells_at(builder, place, l, width):
    """place[l + n] for n < width, as a vector."""
    kind = ir.VectorType(ir.IntType(32), width)
    cells = builder.load(builder.bitcast(builder.gep(place.data, [l]), kind.as_pointer()))
    cells.align = 4
    return cells


def places_of(builder, place, l, width):
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


def width_of(real):
    """Bytes of a number."""
    return 4 if real == ir.FloatType() else 8


def _numbers(values):
    """Which lanes a shuffle takes."""
    values = list(values)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(values)), values)


@inlined
def gather(table, place, first, room):
    """Rows room[i] = table[place + first + i], i < len(room), for all particles."""
    width = len(place)
    whole = width // LANES * LANES
    for l in range(0, whole, LANES):
        _gather_block(table, place, first, room, l, LANES)
    for l in range(whole, width):
        _gather_block(table, place, first, room, l, 1)
