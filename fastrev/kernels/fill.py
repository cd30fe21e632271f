"""Standard normals for one coordinate of consecutive particles.

Row s of the buffer serves step 8 b + s.  The eight normals of a particle take four words, of the
counters of block b of one of the generators: each gives the radius of a pair, and two others its
angle (`normal.angle`).  The words of a vector of counters lie where the vector of normals needs
them, with no shuffles.

Where registers are few, `phased` makes them.  Where they are many, while the normals of some
particles are made of squared radii and angles, the squared radii of the next are made of their
words, and the words of those after them: so few instructions wait for the one before them, and
those for different units of the processor are among one another (measured, Emerald Rapids: 16 x 8
float32 normals take 131 cycles, 99 by ARS; with six words they took 146 and 105, and 163 and 124
with one thing after the other).  So these loops are written as vectors, in the order in which their
instructions are to run: a compiler that vectorises a loop over particles keeps the order it is
given.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastrev.kernels.lanes import Lanes
from fastrev.kernels.normal import PAIRS, angle, normal_pair, squared_radius
from fastrev.kernels.phased import Phased
from fastrev.kernels.pipeline import pipelined
from fastrev.kernels.processor import wide_registers
from fastrev.kernels.rows import lanes_of, length_of, load, load_each, rows_of, store, store_each
from fastrev.kernels.streams import Address, Words
from fastrev.kernels.weave import Stages, staggered

BLOCK_STEPS = 8
"""Steps whose noise is made at once."""


class _Woven:
    """The loop of `fill_normals` where registers are many; arguments as those of `Phased`."""

    def __init__(self, builder: Any, generator: Words, bits: int, pairs: int) -> None:
        self.builder, self.generator, self.bits, self.pairs = builder, generator, bits, pairs

    def _words(self, kept: list[Lanes], out: list[Lanes]) -> Stages:
        """The words of a vector of particles, appended to `out`."""
        return self.generator.words(kept, self.bits, out)

    def _squares(self, words: list[Lanes], out: list[Lanes]) -> Stages:
        """Their squared radii, and the words again."""
        found: list[list[Lanes]] = [[] for _ in range(self.pairs)]
        each = (squared_radius(words[k], self.bits, found[k]) for k in range(self.pairs))
        yield from staggered(*each)
        out += [*(square for (square,) in found), *words]

    def _normals(self, squares: list[Lanes], out: list[Lanes]) -> Stages:
        """The normals of these."""
        squares, words = squares[: self.pairs], squares[self.pairs :]
        found: list[list[Lanes]] = [[] for _ in range(self.pairs)]

        def pair(k: int) -> Stages:
            return normal_pair(
                squares[k], words[k], angle(words, k, self.bits), self.bits, found[k]
            )

        yield from staggered(*(pair(k) for k in range(self.pairs)))
        out += [z for pair in found for z in pair]

    def emit(self, rows: list[Any], count: Any, kept: Callable[[Any], list[Lanes]]) -> None:
        """As `Phased.emit`."""
        phases, pace = [self._words, self._squares, self._normals], self.generator.PACE[self.bits]
        pipelined(
            self.builder, count, kept, phases, lambda z, index: store_each(z, rows, index), pace
        )


def _address(builder: Any, args: Any) -> Address:
    return Address(*(Lanes(builder, value) for value in args))


def make_fill(generator: type[Words], pairs: int) -> Any:
    """Fill the first rows of eight, two for each pair, from kept words.

    The others are scratch.
    """

    @intrinsic
    def fill(typingctx, z, w, kept, high, block, stream, k0, k1):
        if z.dtype not in (types.float32, types.float64):
            return None
        bits = z.dtype.bitwidth

        def codegen(context, builder, signature, args):
            kinds, zero = signature.args, ir.Constant(args[1].type, 0)
            places = [[ir.Constant(zero.type, s), args[1], zero] for s in range(2 * PAIRS)]
            rows = rows_of(context, builder, kinds[0], args[0], places)
            size = length_of(context, builder, kinds[0], args[0])
            places = [[ir.Constant(zero.type, k), zero] for k in range(generator.KEPT)]
            kept = rows_of(context, builder, kinds[2], args[2], places)
            counters = ir.VectorType(ir.IntType(64), lanes_of(64))
            words = generator(_address(builder, args[3:]), PAIRS, counters.count)
            vectors = builder.udiv(size, ir.Constant(size.type, lanes_of(bits)))
            (_Woven if wide_registers() else Phased)(builder, words, bits, pairs).emit(
                rows, vectors, lambda index: load_each(builder, kept, index, counters)
            )
            return context.get_dummy_value()

        return types.none(z, types.intp, kept, *[types.uint64] * 5), codegen

    return fill


def make_keep(generator: type[Words]) -> Any:
    """Fill kept words (KEPT, Q) from the first counter on, Q whole vectors."""

    @intrinsic
    def keep(typingctx, words, first, high, stream, k0, k1):
        def codegen(context, builder, signature, args):
            zero, width = ir.Constant(ir.IntType(64), 0), lanes_of(64)
            places = [[ir.Constant(zero.type, k), zero] for k in range(generator.KEPT)]
            rows = rows_of(context, builder, signature.args[0], args[0], places)
            size = length_of(context, builder, signature.args[0], args[0])
            at = _address(builder, [args[2], zero, *args[3:]])
            made = generator(at, 0, width)
            vectors = builder.udiv(size, ir.Constant(size.type, width))
            with cgutils.for_range(builder, vectors) as loop:
                start = Lanes(builder, loop.index) * (width // generator.LANES)
                kept = made.kept(Lanes(builder, args[1]) + start)
                for row, one in zip(rows, kept, strict=True):
                    store(one, row, loop.index)
            return context.get_dummy_value()

        return types.none(words, *[types.uint64] * 5), codegen

    return keep


@intrinsic
def move_group(typingctx, row, a, z, b, lanes):
    """row[a + s lanes : a + (s + 1) lanes] = z[s, 0, b : b + lanes] for the eight s, as vectors.

    LLVM leaves such a loop scalar, for the one might lie within the other (measured, Zen 3: a
    start's normals in 1.3 ns a particle instead of 1.6).
    """
    if not isinstance(lanes, types.IntegerLiteral):
        return None

    def codegen(context, builder, signature, args):
        kinds, zero = signature.args, ir.Constant(ir.IntType(64), 0)
        places = [[ir.Constant(zero.type, s), zero, args[3]] for s in range(BLOCK_STEPS)]
        sources = rows_of(context, builder, kinds[2], args[2], places)
        (into,) = rows_of(context, builder, kinds[0], args[0], [[args[1]]])
        kind = ir.VectorType(into.type.pointee, lanes.literal_value)
        for s, source in enumerate(sources):
            store(load(builder, source, zero, kind), into, ir.Constant(zero.type, s))
        return context.get_dummy_value()

    return types.none(row, types.intp, z, types.intp, lanes), codegen
