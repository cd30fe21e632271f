"""Standard normals for one coordinate of consecutive particles.

Row s of the buffer serves step 8 b + s.  A Philox counter gives four words, which are four
float32 normals; float64 takes a twin counter for the low halves of its words.

The words of some particles are made while the normals of the particles before them are: words
take integer multiplies, shifts and xors, normals mostly fused multiply-adds, and the processor
has units of its own for each (measured, 512 bits, 16 x 8 float32 normals: Emerald Rapids 212
cycles, 222 with the one after the other, Zen 4 235 and 252; 8 x 8 of float64 take 262 either way on
Emerald Rapids).  So this loop is written
as vectors, in the order in which its instructions are to run: a compiler that vectorises a loop
over particles keeps the order it is given.
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
from fastrev.kernels.philox import STREAM_LOW_BITS, last_round, philox4x32, round_keys, rounds
from fastrev.kernels.weave import Stages, abreast, finished, weave

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
    w0, w1, _, _ = philox4x32(low, high, block, address, k0, k1)
    v0, v1, _, _ = philox4x32(low, high, block, _u64(address | _LOW_BITS), k0, k1)
    return normal_pair64(_join(w0, v0), _join(w1, v1))[0]


@scalar
def uniform_at(low, high, block, address, k0, k1):
    """A 53-bit uniform on (0, 1) from words 2 and 3 of one counter."""
    _, _, w2, w3 = philox4x32(low, high, block, address, k0, k1)
    return uniform64(_join(w2, w3))


class _Fill:
    """Emits the loop of `fill_normals`.

    bits    of a float
    rows    normals of a particle
    pairs   of normals that these take; calls: counters, each of four words
    lanes   floats in a vector
    """

    def __init__(self, builder: Any, args: Any, bits: int, rows: int) -> None:
        self.builder, self.bits = builder, bits
        self.pairs, calls = -(-rows // 2), -(-rows // PER_COUNTER)
        self.lanes = (512 if wide_registers() else 256) // bits
        low, high, block, address, k0, k1 = (Lanes(builder, value) for value in args)
        self.low = low
        # float32: two vectors of 64-bit lanes hold the ids with even and with odd lanes
        self.stride = 64 // bits
        width = self.lanes // self.stride
        kind = ir.VectorType(ir.IntType(64), width)
        self.places = [
            Lanes(builder, ir.Constant(kind, [self.stride * l + k for l in range(width)]))
            for k in range(self.stride)
        ]
        self.width, self.high = width, high.over(width)
        streams = [address] if bits == 32 else [address | STREAM_LOW_BITS, address]
        self.blocks = [
            [((block + call).over(width), stream.over(width)) for stream in streams]
            for call in range(calls)
        ]
        self.keys = [(a.over(width), b.over(width)) for a, b in round_keys(k0, k1)]

    def words(self, at: Any, out: list[Lanes]) -> Stages:
        """The words of the particles from `at` on, appended to `out`."""
        ids = (self.low + Lanes(self.builder, at)).over(self.width)
        counters = [
            [place + ids, self.high, block, stream]
            for pair in self.blocks
            for block, stream in pair
            for place in self.places
        ]
        yield from rounds(counters, self.keys[:-1])
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
        return abreast(*(normal_pair(a, b, self.bits, pair) for a, b, pair in pairs))

    def emit(self, rows: list[Any], count: Any) -> None:
        """Rows of `count` vectors from the addresses on."""
        builder, integer = self.builder, count.type
        zero, one = ir.Constant(integer, 0), ir.Constant(integer, 1)
        first: list[Lanes] = []
        finished(self.words(zero, first))
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
        weave(self.words(ahead, following), self.normals(here, out))
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


def _make_fill(count: int) -> Any:
    """Fill the first rows."""

    @intrinsic
    def fill(typingctx, z, w, low, high, block, address, k0, k1):
        if z.dtype not in (types.float32, types.float64):
            return None
        bits = z.dtype.bitwidth

        def codegen(context, builder, signature, args):
            array = context.make_array(signature.args[0])(context, builder, args[0])
            shape = cgutils.unpack_tuple(builder, array.shape)
            rows = [
                cgutils.get_item_pointer(
                    context,
                    builder,
                    signature.args[0],
                    array,
                    [ir.Constant(args[1].type, s), args[1], ir.Constant(args[1].type, 0)],
                )
                for s in range(count)
            ]
            loop = _Fill(builder, args[2:], bits, count)
            loop.emit(rows, builder.udiv(shape[2], ir.Constant(shape[2].type, loop.lanes)))
            return context.get_dummy_value()

        return types.none(z, types.intp, *[types.uint64] * 6), codegen

    return fill


_fill_one, _fill_half, _fill_whole = map(_make_fill, (1, PER_COUNTER, BLOCK_STEPS))


@loop
def fill_first(z, w, low, high, block, address, k0, k1):
    """Row 0 alone, for the initial draw."""
    _fill_one(z, w, low, high, block, address, k0, k1)


@loop
def _fill_normals(z, w, steps, low, high, block, address, k0, k1):
    if steps > PER_COUNTER:
        _fill_whole(z, w, low, high, block, address, k0, k1)
    else:  # of the last block, and of runs of few steps
        _fill_half(z, w, low, high, block, address, k0, k1)


fill_normals = {"float32": _fill_normals, "float64": _fill_normals}
"""dtype -> fill(z (8, w, B), w, steps, id low, id high, block, stream | coordinate, k0, k1): the
rows of at least `steps` steps, B a whole multiple of `WHOLE`."""
