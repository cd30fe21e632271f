"""Standard normals for one coordinate of consecutive particles.

Row s of the buffer serves step 8 b + s.  A Philox counter gives four words, which are four
float32 normals; float64 takes a twin counter for the low halves of its words.

The words of some particles are made while the normals of the particles before them are: words
take integer multiplies, shifts and xors, normals mostly fused multiply-adds, and the processor
has units of its own for each (measured, Emerald Rapids: 16 x 8 float32 normals take 182 cycles,
200 with the one after the other; 8 x 8 of float64 229 and 260).  So this loop is written as
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
from fastrev.kernels.normal import normal_pair, normal_pair64, uniform64
from fastrev.kernels.philox import (
    STREAM_LOW_BITS,
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
_LOW_BITS = _u64(STREAM_LOW_BITS)

PER_COUNTER = 4
"""Steps whose noise one counter gives."""
BLOCK_STEPS = 2 * PER_COUNTER
"""Steps whose noise is made at once."""
WHOLE = 16
"""The rows of a buffer are whole multiples of so many particles."""


@scalar
def _join(high, low):
    return _u64((_u64(high) << _HALF) | _u64(low))


@scalar
def first_normal64(low, high, block, address, k0, k1):
    """The first float64 normal of one counter."""
    w0, w1, _, _ = philox4x32(address, low, high, block, k0, k1)
    v0, v1, _, _ = philox4x32(_u64(address | _LOW_BITS), low, high, block, k0, k1)
    return normal_pair64(_join(w0, v0), _join(w1, v1))[0]


@scalar
def uniform_at(low, high, block, address, k0, k1):
    """A 53-bit uniform on (0, 1) from words 2 and 3 of one counter."""
    _, _, w2, w3 = philox4x32(address, low, high, block, k0, k1)
    return uniform64(_join(w2, w3))


def _streams(address: Lanes, bits: int) -> list[Lanes]:
    """The stream, and for float64 before it the one of its words' low halves."""
    return [address] if bits == 32 else [address | STREAM_LOW_BITS, address]


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


_LANES_32 = _lanes(32)


@loop
def _keep_words_32(words, low, high, address, k0, k1):
    half = _LANES_32 // 2
    for q in range(words.shape[1]):
        lane = q % _LANES_32  # those with even lanes come first
        particle = low + _u64(q - lane + 2 * (lane % half) + lane // half)
        words[0, q], words[1, q], words[2, q] = _of_particle(address, particle, high, k0, k1)


@loop
def _keep_words_64(words, low, high, address, k0, k1):
    twin = _u64(address | _LOW_BITS)
    for q in range(words.shape[1]):
        particle = low + _u64(q)
        words[0, q], words[1, q], _ = _of_particle(twin, particle, high, k0, k1)
        words[2, q], words[3, q], words[4, q] = _of_particle(address, particle, high, k0, k1)


KEPT_WORDS = {"float32": 3, "float64": 5}
"""dtype -> rows of `keep_words`."""

keep_words = {"float32": _keep_words_32, "float64": _keep_words_64}
"""dtype -> keep(words (KEPT_WORDS, B) uint64, id low, id high, stream | coordinate, k0, k1): what
`fill_normals` uses of B consecutive particles at every block (measured: 4 % of a run saved)."""


class _Fill:
    """Emits the loop of `fill_normals`.

    bits    of a float
    rows    normals of a particle
    pairs   of normals that these take; calls: counters, each of four words
    lanes   floats in a vector
    stride  vectors of 64-bit lanes for as many particles: those with even and with odd lanes
    """

    def __init__(self, builder: Any, args: Any, bits: int, rows: int) -> None:
        self.builder, self.bits = builder, bits
        self.pairs, calls = -(-rows // 2), -(-rows // PER_COUNTER)
        self.lanes = _lanes(bits)
        self.stride = 64 // bits
        self.width = self.lanes // self.stride
        high, block, address, k0, k1 = (Lanes(builder, value) for value in args)
        keys = round_keys(k0, k1)
        self.high, self.streams = high, _streams(address, bits)
        self.blocks = [
            [self._over(of_block(stream, high, block + call, keys)) for stream in self.streams]
            for call in range(calls)
        ]
        self.keys = [(a.over(self.width), b.over(self.width)) for a, b in keys]

    def _over(self, words: Words) -> Words:
        return [word.over(self.width) for word in words]

    def kept(self, words: list[Any], at: Any) -> list[list[Words]]:
        """What three rounds make of the particles from `at` on, kept at these addresses."""
        kind = ir.VectorType(ir.IntType(64), self.width).as_pointer()

        def load(row: int, place: int) -> Lanes:
            index = self.builder.add(at, ir.Constant(at.type, place * self.width))
            pointer = self.builder.bitcast(self.builder.gep(words[row], [index]), kind)
            value = self.builder.load(pointer)
            value.align = 8
            return Lanes(self.builder, value)

        last = len(words) - 1
        return [
            [[load(2 * s, k), load(2 * s + 1, k), load(last, k)] for k in range(self.stride)]
            for s in range(len(self.streams))
        ]

    def made(self, low: Any, at: Any) -> list[list[Words]]:
        """The same made here."""
        kind = ir.VectorType(ir.IntType(64), self.width)
        ids = (Lanes(self.builder, low) + Lanes(self.builder, at)).over(self.width)
        places = [
            Lanes(self.builder, ir.Constant(kind, [self.stride * l + k for l in range(self.width)]))
            for k in range(self.stride)
        ]
        high = self.high.over(self.width)
        return [
            [of_particle(s.over(self.width), ids + place, high, self.keys) for place in places]
            for s in self.streams
        ]

    def words(self, particles: list[list[Words]], out: list[Lanes]) -> Stages:
        """The words of some particles, appended to `out`."""
        counters = [
            after_three(particle, block)
            for blocks in self.blocks
            for block, places in zip(blocks, particles, strict=True)
            for particle in places
        ]
        yield from rounds(counters, self.keys[3:-1])
        # float32: even and odd particles in turns; float64: low and high halves of a word
        for first, second in zip(counters[::2], counters[1::2], strict=True):
            out.extend(self._wide(word) for word in last_round(first, second, self.keys[-1]))
        del out[2 * self.pairs :]
        yield

    def _wide(self, words: Lanes) -> Lanes:
        return words if self.bits == 32 else words.integers(64)

    def normals(self, words: list[Lanes], out: list[list[Lanes]]) -> Stages:
        """As many normals as words, pairs in a list each."""
        pairs = zip(words[::2], words[1::2], out, strict=True)
        return staggered(*(normal_pair(a, b, self.bits, pair) for a, b, pair in pairs))

    def emit(self, rows: list[Any], count: Any, particles: Any) -> None:
        """Rows of `count` vectors from the addresses on; particles(at) of `kept` or `made`."""
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
        step = ir.Constant(integer, self.lanes)
        ahead = builder.mul(builder.add(index, one), step)
        here = [Lanes(builder, word) for word in words]
        weave(self.words(particles(ahead), following), self.normals(here, out))
        self._store(out, rows, index)
        increased = builder.add(index, one)
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
        step = ir.Constant(index.type, self.lanes)
        for row, z in zip(rows, (z for pair in out for z in pair), strict=False):
            place = self.builder.gep(row, [self.builder.mul(index, step)])
            place = self.builder.bitcast(place, z.value.type.as_pointer())
            self.builder.store(z.value, place).align = self.bits // 8


def _make_fill(count: int, kept: bool) -> Any:
    """Fill the first rows, from kept words or from the first id."""

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
            rows = range(KEPT_WORDS[z.dtype.name] if kept else 0)
            words = [row(2, [number(k), number(0)]) for k in rows]
            loop.emit(
                [row(0, [number(s), args[1], number(0)]) for s in range(count)],
                builder.udiv(size, ir.Constant(size.type, loop.lanes)),
                lambda at: loop.kept(words, at) if kept else loop.made(args[2], at),
            )
            return context.get_dummy_value()

        return types.none(z, types.intp, particles, *[types.uint64] * 5), codegen

    return fill


_fill_half, _fill_whole = _make_fill(PER_COUNTER, True), _make_fill(BLOCK_STEPS, True)
_fill_one = _make_fill(1, False)


@loop
def fill_first(z, w, low, high, block, address, k0, k1):
    """Row 0 alone, for the initial draw."""
    _fill_one(z, w, low, high, block, address, k0, k1)


@loop
def fill_normals(z, w, steps, words, high, block, address, k0, k1):
    """The rows of z (8, w, B) of at least `steps` steps, B a whole multiple of `WHOLE`; of `words`
    by `keep_words` for the same key, stream and coordinate."""
    if steps > PER_COUNTER:
        _fill_whole(z, w, words, high, block, address, k0, k1)
    else:  # of the last block, and of runs of few steps
        _fill_half(z, w, words, high, block, address, k0, k1)
