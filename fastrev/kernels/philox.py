"""Philox4x32-10: four random words as a pure function of counter and key.

    words = philox4x32(c0, c1, c2, c3, k0, k1)

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
1, 2, 3" (SC11), and the known answers of Random123 (`tests/kat_vectors`).

Words live in the low halves of 64-bit lanes, and the high halves may hold
rubbish: a 32 x 32 -> 64 multiply (`vpmuludq`) reads low halves only and its
result holds both halves of the product, so a round is two multiplies, two
shifts and two three-way xors with no shuffles.

In the order of a counter's words (`streams`) particle and block do not meet in a
product before the fourth round: what the first three make of a particle serves
all its blocks (measured: 4 % of a run saved).
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastrev.kernels.jit import scalar
from fastrev.kernels.lanes import Lanes, keep_together
from fastrev.kernels.processor import processor_has, wide_registers
from fastrev.kernels.streams import Address, Words
from fastrev.kernels.weave import Stages, finished

_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
LOW = 0xFFFFFFFF
"""The low half of a 64-bit lane."""
Keys = list[tuple[Lanes, Lanes]]


def round_keys(k0: Lanes, k1: Lanes) -> Keys:
    """The ten keys of the rounds."""
    keys = [(k0, k1)]
    for _ in range(9):
        k0, k1 = (k0 + _W0) & LOW, (k1 + _W1) & LOW
        keys.append((k0, k1))
    return keys


class Both(NamedTuple):
    """Keys of a round in the high halves, of the next one in the low halves."""

    k0: Lanes
    k1: Lanes


def rounds(counters: list[list[Lanes]], keys: Sequence[tuple[Lanes, Lanes] | None]) -> Stages:
    """Make words of counters [c0, c1, c2, c3] of 64 bits, in place, a round of one a stage.

    A round is a chain of dependent multiplies: several counters side by side keep the
    multipliers busy.  The halves of a product are swapped where the high one would do: the last
    round takes them from there (3 % fewer instructions).

    A round with no keys has them in c1 and c3 already; one with those of `Both` puts the next
    one's there: three exclusive ors for a word of two rounds instead of four, where no instruction
    does two at once.

    Where registers are few LLVM, which looks ahead for what can be done early, leaves the rounds of
    the counters apart (measured, Zen 3: words in 11.6 ns instead of 12.2).
    """
    for pair in keys:
        for counter in counters:
            p0, p1 = _products(counter)
            _, c1, _, c3 = counter
            if isinstance(pair, Both):
                p0, p1 = p0 ^ pair.k1, p1 ^ pair.k0
            c0, c2 = p1.swapped() ^ c1, p0.swapped() ^ c3
            if pair and not isinstance(pair, Both):
                c0, c2 = c0 ^ pair[0], c2 ^ pair[1]
            counter[:] = c0, p1, c2, p0
            yield None
        if processor_has("avx2") and not wide_registers():
            keep_together(*(word for counter in counters for word in counter))


def _products(counter: list[Lanes]) -> tuple[Lanes, Lanes]:
    return (counter[0] & LOW) * _M0, (counter[2] & LOW) * _M1


def of_particle(
    stream: Lanes, low: Lanes, high: Lanes, keys: list[tuple[Lanes, Lanes]]
) -> list[Lanes]:
    """What three rounds make of a particle: of c0 the half that is not the block's, c1, of c2; c1
    with the key of the fourth."""
    c0 = (high & LOW) * _M1 >> 32 ^ low ^ keys[0][0]
    p0 = (c0 & LOW) * _M0
    c2 = p0 >> 32 ^ (stream & LOW) * _M0 ^ keys[1][1]
    p1 = (c2 & LOW) * _M1
    return [p1 >> 32, p1 ^ keys[3][0], p0]


def of_block(
    stream: Lanes, high: Lanes, block: Lanes, keys: list[tuple[Lanes, Lanes]]
) -> list[Lanes]:
    """What they make of a block: of c0, of c2, c3; c3 with the key of the fourth."""
    c2 = (stream & LOW) * _M0 >> 32 ^ block ^ keys[0][1]
    p1 = (c2 & LOW) * _M1
    c0 = p1 >> 32 ^ (high & LOW) * _M1 ^ keys[1][0]
    p0 = (c0 & LOW) * _M0
    return [p1 ^ keys[2][0], p0 >> 32 ^ keys[2][1], p0 ^ keys[3][1]]


def after_three(particle: list[Lanes], block: list[Lanes]) -> list[Lanes]:
    """The words after three rounds."""
    (a, c1, b), (c, d, c3) = particle, block
    return [a ^ c, c1, b ^ d, c3]


def last_round(counter: list[Lanes], keys: tuple[Lanes, Lanes] | None) -> list[Lanes]:
    """Words 0 and 1, and 2 and 3: the high and the low half of a lane."""
    (p0, p1), (_, c1, _, c3) = _products(counter), counter
    if keys is None:
        return [p1 ^ c1 << 32, p0 ^ c3 << 32]
    return [p1.xor_high(c1.swapped(), keys[0] << 32), p0.xor_high(c3.swapped(), keys[1] << 32)]


class PhiloxWords(Words):
    """A counter gives two float32 words to each of two particles, with ids 2 q and 2 q + 1, or two
    float64 words to one, with id q.

    By a turn of (1, 3, 2) stages in float64 Zen 4 waits for square roots (measured: 16 x 8 normals
    in 500 cycles; by others in 380 to 410, of which this one has the fewest instructions).  Of 83
    turns in float32 this one is the best there (measured: 143 cycles, by (1, 3, 2) 148).
    """

    PARTICLES: ClassVar = {"float32": 2, "float64": 1}
    LANES, KEPT = 1, 3
    BLOCK_COUNTERS = 2
    PACE: ClassVar = {32: (2, 9, 5), 64: (1, 3, 3)}

    def __init__(self, at: Address, count: int, width: int) -> None:
        self.at, self.width = at, width
        keys = round_keys(at.k0, at.k1)
        counters = range(-(-count // 2))
        blocks = (of_block(at.stream, at.high, at.block + k, keys) for k in counters)
        self.blocks = [[word.over(width) for word in words] for words in blocks]
        self.first = keys[:4]
        self.keys: list[tuple[Lanes, Lanes] | None] = [None]  # of the fourth round on
        if wide_registers():
            self.keys += [(k0.over(width), k1.over(width)) for k0, k1 in keys[4:]]
            return
        for one, next_ in zip(keys[4::2], keys[5::2], strict=True):
            both = (a << 32 | b for a, b in zip(one, next_, strict=True))
            self.keys += [Both(*(key.over(width) for key in both)), None]

    def kept(self, first: Lanes) -> list[Lanes]:
        """What three rounds make of counters."""
        kind = ir.VectorType(ir.IntType(64), self.width)
        lane = Lanes(first.builder, ir.Constant(kind, list(range(self.width))))
        stream, high = self.at.stream.over(self.width), self.at.high.over(self.width)
        keys = [(k0.over(self.width), k1.over(self.width)) for k0, k1 in self.first]
        return of_particle(stream, first.over(self.width) + lane, high, keys)

    def words(self, kept: list[Lanes], bits: int, out: list[Lanes]) -> Stages:
        """Two of each counter."""
        counters = [after_three(kept, block) for block in self.blocks]
        yield from rounds(counters, self.keys[:-1])
        for counter in counters:
            out.extend(word.integers(bits) for word in last_round(counter, self.keys[-1]))
            yield None


@intrinsic
def _words(typingctx, c0, c1, c2, c3, k0, k1):
    def codegen(context, builder, signature, args):
        *counter, k0, k1 = (Lanes(builder, value) for value in args)
        finished(rounds([counter], round_keys(k0, k1)))
        words = [c.low_word().value for c in counter]
        return context.make_tuple(builder, signature.return_type, words)

    return types.UniTuple(types.uint32, 4)(*[types.uint64] * 6), codegen


@scalar
def philox4x32(c0, c1, c2, c3, k0, k1):
    """Four words (uint32) for the uint64 arguments' low 32 bits."""
    return _words(c0, c1, c2, c3, k0, k1)
