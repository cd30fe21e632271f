"""Standard normals for one coordinate of consecutive particles.

Row s of the buffer serves step 8 b + s.  The eight normals of a particle take six words, of the
counters (stream | coordinate, q, id high, 4 b + k) with k = 0, 1 and 2, by threes: the first
and the third word are the radii of two pairs, which share the second (`normal.other_angle`).  A
counter gives two float32 words to each of two particles, with ids 2 q and 2 q + 1, or two float64
words to one, with id q.  So the words of a vector of counters lie where the vector of normals
needs them, with no shuffles.

The words of some particles are made while the normals of the particles before them are: words
take integer multiplies, shifts and xors, normals mostly fused multiply-adds, and the processor
has units of its own for each (measured, Emerald Rapids: 16 x 8 float32 normals take 148 cycles,
163 with the one after the other; 8 x 8 of float64 173 and 204).  So this loop is written as
vectors, in the order in which its instructions are to run: a compiler that vectorises a loop over
particles keeps the order it is given.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastrev.kernels.jit import loop, scalar
from fastrev.kernels.lanes import Lanes, wide_registers
from fastrev.kernels.normal import normal_pair, normal_pair64, other_angle, uniform64
from fastrev.kernels.philox import (
    Words,
    after_three,
    last_round,
    of_block,
    of_particle,
    philox4x32,
    round_keys,
    rounds,
)
from fastrev.kernels.weave import Stages, finished, staggered, weave

_u64 = np.uint64
_HALF = _u64(32)

BLOCK_STEPS = 8
"""Steps whose noise is made at once."""
BLOCK_COUNTERS = 4
"""Numbers of counters that are theirs; the last is not used."""
WHOLE = 16
"""The rows of a buffer are whole multiples of so many particles."""
PARTICLES = {"float32": 2, "float64": 1}
"""dtype -> particles that share a counter, the first of which has a multiple of this as its id."""


@scalar
def _join(high, low):
    return _u64((_u64(high) << _HALF) | _u64(low))


@scalar
def first_normal64(low, high, block, address, k0, k1):
    """The first float64 normal of one counter."""
    w0, w1, w2, w3 = philox4x32(address, low, high, block, k0, k1)
    return normal_pair64(_join(w0, w1), _join(w2, w3))[0]


@scalar
def uniform_at(low, high, block, address, k0, k1):
    """A 53-bit uniform on (0, 1) from words 0 and 1 of one counter."""
    w0, w1, _, _ = philox4x32(address, low, high, block, k0, k1)
    return uniform64(_join(w0, w1))


def _lanes(bits: int) -> int:
    """Floats in a vector."""
    return (512 if wide_registers() else 256) // bits


@intrinsic
def _of_particle(typingctx, address, low, high, k0, k1):
    def codegen(context, builder, signature, args):
        address, low, high, *key = (Lanes(builder, value) for value in args)
        words = of_particle(address, low, high, round_keys(*key))
        return context.make_tuple(builder, signature.return_type, [word.value for word in words])

    return types.UniTuple(types.uint64, 3)(*[types.uint64] * 5), codegen


KEPT_WORDS = 3
"""Rows of `keep_words`."""


@loop
def keep_words(words, first, high, address, k0, k1):
    """What `fill_normals` uses of consecutive counters at every block, in words (KEPT_WORDS, Q)
    uint64, from the low word `first` on (measured: 4 % of a run saved)."""
    for q in range(words.shape[1]):
        counter = first + _u64(q)
        words[0, q], words[1, q], words[2, q] = _of_particle(address, counter, high, k0, k1)


def kept_words(dtype: str, size: int, low: Any, high: Any, address: Any, k0: Any, k1: Any) -> Any:
    """These words for so many particles from an id on, a whole number of counters of a dtype."""
    words = np.empty((KEPT_WORDS, size // PARTICLES[dtype]), np.uint64)
    particles = low // PARTICLES[dtype], high, address, k0, k1
    keep_words(words, *(_u64(number) for number in particles))
    return words


class _Fill:
    """Emits the loop of `fill_normals`.

    bits   of a float
    rows   normals of a particle
    pairs  of normals that these take
    lanes  floats in a vector; width: counters in one
    """

    def __init__(self, builder: Any, args: Any, bits: int, rows: int) -> None:
        self.builder, self.bits = builder, bits
        self.pairs, self.lanes, self.width = -(-rows // 2), _lanes(bits), _lanes(64)
        self.stream = Lanes(builder, args[2])
        self.high, block, k0, k1 = (Lanes(builder, args[k]) for k in (0, 1, 3, 4))
        keys = round_keys(k0, k1)
        count = -(-(self.pairs + -(-self.pairs // 2)) // 2)  # of counters: two words of each
        blocks = (of_block(self.stream, self.high, block + k, keys) for k in range(count))
        self.blocks = [[word.over(self.width) for word in words] for words in blocks]
        self.keys = [(a.over(self.width), b.over(self.width)) for a, b in keys]

    def kept(self, words: list[Any], index: Any) -> Words:
        """What three rounds make of a vector of counters, kept at these addresses."""
        kind = ir.VectorType(ir.IntType(64), self.width).as_pointer()

        def load(row: Any) -> Lanes:
            place = self.builder.gep(row, [self._times(index, self.width)])
            value = self.builder.load(self.builder.bitcast(place, kind))
            value.align = 8
            return Lanes(self.builder, value)

        return [load(row) for row in words]

    def made(self, first: Any, index: Any) -> Words:
        """The same made here."""
        kind = ir.VectorType(ir.IntType(64), self.width)
        lane = Lanes(self.builder, ir.Constant(kind, list(range(self.width))))
        counter = Lanes(self.builder, first) + Lanes(self.builder, self._times(index, self.width))
        stream, high = self.stream.over(self.width), self.high.over(self.width)
        return of_particle(stream, counter.over(self.width) + lane, high, self.keys)

    def _times(self, index: Any, number: int) -> Any:
        return self.builder.mul(index, ir.Constant(index.type, number))

    def words(self, particles: Words, out: list[Lanes]) -> Stages:
        """The words of some particles, appended to `out`."""
        counters = [after_three(particles, block) for block in self.blocks]
        yield from rounds(counters, self.keys[3:-1])
        for counter in counters:
            out.extend(word.integers(self.bits) for word in last_round(counter, self.keys[-1]))
            yield

    def normals(self, words: list[Lanes], out: list[list[Lanes]]) -> Stages:
        """The normals of these words, pairs in a list each."""

        def pair(k: int) -> Stages:
            three = words[3 * (k // 2) :]
            if k % 2:
                return normal_pair(three[2], other_angle(three[1], self.bits), self.bits, out[k])
            return normal_pair(three[0], three[1], self.bits, out[k])

        return staggered(*(pair(k) for k in range(self.pairs)))

    def emit(self, rows: list[Any], count: Any, particles: Any) -> None:
        """Rows of `count` vectors from the addresses on; particles(index) of `kept` or `made`."""
        builder, integer = self.builder, count.type
        zero, one = ir.Constant(integer, 0), ir.Constant(integer, 1)
        first: list[Lanes] = []
        finished(self.words(particles(zero), first))
        before = builder.block
        body, end = builder.append_basic_block("fill"), builder.append_basic_block("filled")
        last = builder.sub(count, one)
        builder.cbranch(builder.icmp_signed(">", last, zero), body, end)

        builder.position_at_end(body)
        index = builder.phi(integer)
        words = [builder.phi(word.value.type) for word in first]
        following: list[Lanes] = []
        out: list[list[Lanes]] = self._pairs()
        increased = builder.add(index, one)
        here = [Lanes(builder, word) for word in words]
        weave(self.words(particles(increased), following), self.normals(here, out))
        self._store(out, rows, index)
        builder.cbranch(builder.icmp_signed("<", increased, last), body, end)
        index.add_incoming(zero, before)
        index.add_incoming(increased, body)
        for word, old, new in zip(words, first, following, strict=True):
            word.add_incoming(old.value, before)
            word.add_incoming(new.value, body)

        builder.position_at_end(end)
        remaining = []
        for old, new in zip(first, following, strict=True):
            word = builder.phi(old.value.type)
            word.add_incoming(old.value, before)
            word.add_incoming(new.value, body)
            remaining.append(Lanes(builder, word))
        out = self._pairs()
        finished(self.normals(remaining, out))
        self._store(out, rows, last)

    def _pairs(self) -> list[list[Lanes]]:
        return [[] for _ in range(self.pairs)]

    def _store(self, out: list[list[Lanes]], rows: list[Any], index: Any) -> None:
        for row, z in zip(rows, (z for pair in out for z in pair), strict=False):
            place = self.builder.gep(row, [self._times(index, self.lanes)])
            place = self.builder.bitcast(place, z.value.type.as_pointer())
            self.builder.store(z.value, place).align = self.bits // 8


def _make_fill(count: int, kept: bool) -> Any:
    """Fill the first rows, from kept words or from the first counter."""

    @intrinsic
    def fill(typingctx, z, w, particles, high, block, address, k0, k1):
        if z.dtype not in (types.float32, types.float64):
            return None
        bits = z.dtype.bitwidth

        def codegen(context, builder, signature, args):
            def row(position: int, indices: list[Any]) -> Any:
                kind = signature.args[position]
                array = context.make_array(kind)(context, builder, args[position])
                return cgutils.get_item_pointer(context, builder, kind, array, indices)

            def number(value: int) -> Any:
                return ir.Constant(args[1].type, value)

            array = context.make_array(signature.args[0])(context, builder, args[0])
            size = cgutils.unpack_tuple(builder, array.shape)[2]
            loop = _Fill(builder, args[3:], bits, count)
            rows = range(KEPT_WORDS if kept else 0)
            words = [row(2, [number(k), number(0)]) for k in rows]
            loop.emit(
                [row(0, [number(s), args[1], number(0)]) for s in range(count)],
                builder.udiv(size, ir.Constant(size.type, loop.lanes)),
                lambda index: loop.kept(words, index) if kept else loop.made(args[2], index),
            )
            return context.get_dummy_value()

        return types.none(z, types.intp, particles, *[types.uint64] * 5), codegen

    return fill


@scalar
def _particles(z):
    """`PARTICLES` of an array's dtype."""
    return _u64(8 // z.itemsize)


@loop
def _begin_with(z, w, low):
    """Move the rows so that they begin with this id, which may be the second of its counter."""
    if low % _particles(z):
        for s in range(len(z)):
            for l in range(z.shape[2] - 1):
                z[s, w, l] = z[s, w, l + 1]


_HALF_BLOCK = BLOCK_STEPS // 2
_fill_half, _fill_whole = _make_fill(_HALF_BLOCK, True), _make_fill(BLOCK_STEPS, True)
_fill_one = _make_fill(1, False)


@loop
def fill_first(z, w, low, high, block, address, k0, k1):
    """Row 0 alone, for the initial draw."""
    _fill_one(z, w, low // _particles(z), high, block, address, k0, k1)
    _begin_with(z[:1], w, low)


@loop
def fill_normals(z, w, steps, words, low, high, block, address, k0, k1):
    """The rows of z (8, w, B) of at least `steps` steps from particle `low` on, B a whole multiple
    of `WHOLE`; of `words` by `keep_words` for the same particles, key, stream and coordinate.

    Where `low` is not the first of its counter, the last of B is another's.
    """
    if steps > _HALF_BLOCK:
        _fill_whole(z, w, words, high, block, address, k0, k1)
    else:  # of the last block, and of runs of few steps
        _fill_half(z, w, words, high, block, address, k0, k1)
    _begin_with(z, w, low)
