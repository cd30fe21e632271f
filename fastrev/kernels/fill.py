"""Standard normals for one coordinate of consecutive particles.

Row s of the buffer serves step 8 b + s.  The eight normals of a particle take four words, of the
counters of block b of one of the generators: each gives the radius of a pair, and two others its
angle (`normal.angle`).  The words of a vector of counters lie where the vector of normals needs
them, with no shuffles.

While the normals of some particles are made of squared radii and angles, the squared radii of the
next are made of their words, and the words of those after them: so few instructions wait for the
one before them, and those for different units of the processor are among one another (measured,
Emerald Rapids: 16 x 8 float32 normals take 131 cycles, 99 by ARS; with six words they took 146 and
105, and 163 and 124 with one thing after the other).  So this loop is written as vectors, in the
order in which its instructions are to run: a compiler that vectorises a loop over particles keeps
the order it is given.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastrev.kernels.constants import FromMemory
from fastrev.kernels.lanes import Lanes
from fastrev.kernels.normal import PAIRS, angle, normal_pair, squared_radius
from fastrev.kernels.pipeline import pipelined
from fastrev.kernels.processor import wide_registers
from fastrev.kernels.streams import Address, Words
from fastrev.kernels.weave import Stages, finished, side_by_side, staggered

BLOCK_STEPS = 8
"""Steps whose noise is made at once."""
_ONE_BY_ONE = 32
"""Vectors of which a phase is done before the next: their rows take 8 kB."""
_BYTES = {"float": 4, "double": 8, "i32": 4, "i64": 8}
_WORD = ir.IntType(64)


def _lanes(bits: int) -> int:
    """Floats in a vector."""
    return (512 if wide_registers() else 256) // bits


class _Fill:
    """Emits the loop of `fill_normals`, of vectors of particles.

    bits   of a float
    pairs  of normals of a particle
    lanes  floats in a vector; width: 64-bit integers
    """

    def __init__(self, generator: type[Words], at: Address, bits: int, pairs: int) -> None:
        self.builder, self.bits, self.pairs = at.high.builder, bits, pairs
        self.lanes, self.width = _lanes(bits), _lanes(64)
        self.order = staggered if wide_registers() else side_by_side
        self.generator = generator(at, PAIRS, self.width)

    def kept(self, words: list[Any], index: Any) -> list[Lanes]:
        """What is kept of a vector of counters at these addresses."""
        return [_load(self.builder, row, index, ir.VectorType(_WORD, self.width)) for row in words]

    def words(self, kept: list[Lanes], out: list[Lanes]) -> Stages:
        """The words of a vector of particles, appended to `out`."""
        return self.generator.words(kept, self.bits, out)

    def squares(self, words: list[Lanes], out: list[Lanes]) -> Stages:
        """Their squared radii, and the words again."""
        found: list[list[Lanes]] = [[] for _ in range(self.pairs)]
        each = (squared_radius(words[k], self.bits, found[k]) for k in range(self.pairs))
        yield from self.order(*each)
        out += [*(square for (square,) in found), *words]

    def normals(self, squares: list[Lanes], out: list[Lanes]) -> Stages:
        """The normals of these."""
        squares, words = squares[: self.pairs], squares[self.pairs :]
        found: list[list[Lanes]] = [[] for _ in range(self.pairs)]

        def pair(k: int) -> Stages:
            return normal_pair(
                squares[k], words[k], angle(words, k, self.bits), self.bits, found[k]
            )

        yield from self.order(*(pair(k) for k in range(self.pairs)))
        out += [z for pair in found for z in pair]

    def emit(self, rows: list[Any], count: Any, kept: Callable[[Any], list[Lanes]]) -> None:
        """The first of eight rows of `count` vectors from the addresses on, of what is kept of
        vectors of counters.  The other rows are scratch."""

        def store(normals: list[Lanes], index: Any) -> None:
            for row, z in zip(rows, normals, strict=False):
                _store(z, row, index)

        if wide_registers():
            phases = [self.words, self.squares, self.normals]
            pipelined(self.builder, count, kept, phases, store, self.generator.PACE[self.bits])
        else:
            self.one_by_one(rows, count, kept)

    def one_by_one(self, rows: list[Any], count: Any, kept: Any) -> None:
        """Rows, each phase of some vectors before the next, from row to row.

        Where registers are few, what two phases keep does not fit (measured, Zen 3: 8 x 8 float32
        normals in 36 ns instead of 41, by ARS in 28 instead of 32), nor all constants of one.
        """
        builder, number = self.builder, {32: ir.FloatType(), 64: ir.DoubleType()}[self.bits]
        of_words, of_squares = rows[PAIRS:], rows[: self.pairs]
        words = ir.VectorType(ir.IntType(self.bits), self.lanes)
        squares = ir.VectorType(number, self.lanes)
        some = ir.Constant(count.type, _ONE_BY_ONE)

        def each(first: Any, last: Any, phase: Any, source: Any, into: list[Any]) -> None:
            with cgutils.for_range(builder, last, first) as loop:
                made: list[Lanes] = []
                finished(phase(source(loop.index), made))
                for row, one in zip(into, made, strict=False):
                    _store(one, row, loop.index)

        def stored(index: Any) -> list[Lanes]:
            return from_memory([_load(builder, row, index, words) for row in of_words])

        def begun(index: Any) -> list[Lanes]:
            found = [_load(builder, row, index, squares) for row in of_squares]
            return from_memory(found + [_load(builder, row, index, words) for row in of_words])

        def from_memory(vectors: list[Lanes]) -> list[Lanes]:
            numbers = FromMemory(builder, self.bits)
            return [Lanes(numbers, vector.value) for vector in vectors]

        zero = ir.Constant(count.type, 0)
        with cgutils.for_range_slice(builder, zero, count, some) as (first, _):
            end = builder.add(first, some)
            last = builder.select(builder.icmp_signed("<", end, count), end, count)
            each(first, last, self.words, kept, of_words)
            each(first, last, self.squares, stored, of_squares)
            each(first, last, self.normals, begun, rows)


def _place(builder: Any, row: Any, index: Any, kind: Any) -> Any:
    """Address of a vector of a row."""
    start = builder.mul(index, ir.Constant(index.type, kind.count))
    return builder.bitcast(builder.gep(row, [start]), kind.as_pointer())


def _load(builder: Any, row: Any, index: Any, kind: Any) -> Lanes:
    value = builder.load(_place(builder, row, index, kind))
    value.align = _BYTES[str(kind.element)]
    return Lanes(builder, value)


def _store(vector: Lanes, row: Any, index: Any) -> None:
    builder, kind = vector.builder, vector.value.type
    place = _place(builder, row, index, kind)
    builder.store(vector.value, place).align = _BYTES[str(kind.element)]


def _rows_of(context: Any, builder: Any, kind: Any, value: Any, places: Any) -> list[Any]:
    """Addresses in an array, by their indices."""
    array = context.make_array(kind)(context, builder, value)
    return [cgutils.get_item_pointer(context, builder, kind, array, place) for place in places]


def _address(builder: Any, args: Any) -> Address:
    return Address(*(Lanes(builder, value) for value in args))


def make_fill(generator: type[Words], pairs: int) -> Any:
    """Fill the first rows of eight, two for each pair, from kept words.

    The others are scratch.
    """

    @intrinsic
    def fill(typingctx, z, w, words, high, block, stream, k0, k1):
        if z.dtype not in (types.float32, types.float64):
            return None
        bits = z.dtype.bitwidth

        def codegen(context, builder, signature, args):
            kinds, zero = signature.args, ir.Constant(args[1].type, 0)
            places = [[ir.Constant(zero.type, s), args[1], zero] for s in range(2 * PAIRS)]
            rows = _rows_of(context, builder, kinds[0], args[0], places)
            array = context.make_array(kinds[0])(context, builder, args[0])
            size = cgutils.unpack_tuple(builder, array.shape)[2]
            loop = _Fill(generator, _address(builder, args[3:]), bits, pairs)
            vectors = builder.udiv(size, ir.Constant(size.type, loop.lanes))
            places = [[ir.Constant(zero.type, k), zero] for k in range(generator.KEPT)]
            kept = _rows_of(context, builder, kinds[2], args[2], places)
            loop.emit(rows, vectors, lambda index: loop.kept(kept, index))
            return context.get_dummy_value()

        return types.none(z, types.intp, words, *[types.uint64] * 5), codegen

    return fill


def make_keep(generator: type[Words]) -> Any:
    """Fill kept words (KEPT, Q) from the first counter on, Q whole vectors."""

    @intrinsic
    def keep(typingctx, words, first, high, stream, k0, k1):
        def codegen(context, builder, signature, args):
            zero, width = ir.Constant(ir.IntType(64), 0), _lanes(64)
            places = [[ir.Constant(zero.type, k), zero] for k in range(generator.KEPT)]
            rows = _rows_of(context, builder, signature.args[0], args[0], places)
            array = context.make_array(signature.args[0])(context, builder, args[0])
            size = cgutils.unpack_tuple(builder, array.shape)[1]
            at = _address(builder, [args[2], zero, *args[3:]])
            made = generator(at, 0, width)
            vectors = builder.udiv(size, ir.Constant(size.type, width))
            with cgutils.for_range(builder, vectors) as loop:
                start = Lanes(builder, loop.index) * (width // generator.LANES)
                kept = made.kept(Lanes(builder, args[1]) + start)
                for row, one in zip(rows, kept, strict=True):
                    _store(one, row, loop.index)
            return context.get_dummy_value()

        return types.none(words, *[types.uint64] * 5), codegen

    return keep


@intrinsic
def move_vector(typingctx, row, a, z, s, b, lanes):
    """row[a : a + lanes] = z[s, 0, b : b + lanes], as one vector.

    LLVM leaves such a loop scalar, for the one might lie within the other (measured, Zen 3: a
    start's normals in 1.3 ns a particle instead of 1.6).
    """
    if not isinstance(lanes, types.IntegerLiteral):
        return None

    def codegen(context, builder, signature, args):
        kinds, zero = signature.args, ir.Constant(ir.IntType(64), 0)
        (into,) = _rows_of(context, builder, kinds[0], args[0], [[args[1]]])
        (source,) = _rows_of(context, builder, kinds[2], args[2], [[args[3], zero, args[4]]])
        kind = ir.VectorType(into.type.pointee, lanes.literal_value)
        _store(_load(builder, source, zero, kind), into, zero)
        return context.get_dummy_value()

    return types.none(row, types.intp, z, types.intp, types.intp, lanes), codegen
