"""ARS4x32-7: four random words as a pure function of counter and key, by rounds of AES.

    words = ars4x32(c0, c1, c2, c3, k0, k1, k2, k3)

    state = counter ^ key,   state = round(state, key + r w) for r = 1 ... 7,

where the halves of a key, 64 bits each, are added to those of w apart, and the last round is AES's
last.  Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC11), and
the known answers of Random123 (`tests/kat_vectors`).

With an instruction for a round of four counters, sixteen words take eight instructions; Philox's
take 21.  The key is the seed with zeros above it.  The counter's last word, the block, meets the
others in the first round: what is kept of a particle is its counter ^ key.
"""

from typing import ClassVar

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastrev.kernels.aes import aes_round
from fastrev.kernels.jit import scalar
from fastrev.kernels.lanes import Lanes
from fastrev.kernels.streams import Address, Words
from fastrev.kernels.weave import Stages, finished

_ROUNDS = 7
_W = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_AT_ONCE = 3
"""Vectors of counters side by side: a round takes three cycles."""


def round_keys(key: Lanes) -> list[Lanes]:
    """The keys of counters, and of their rounds, by one of 128 bits in pairs of lanes."""
    kind = key.value.type
    w = Lanes(key.builder, ir.Constant(kind, list(_W) * (kind.count // 2)))
    keys = [key]
    for _ in range(_ROUNDS):
        keys.append(keys[-1] + w)
    return keys


def rounds(states: list[Lanes], keys: list[Lanes]) -> Stages:
    """Make words of counters ^ keys[0], in place, a round of one vector a stage."""
    for r in range(1, _ROUNDS + 1):
        for k, state in enumerate(states):
            states[k] = aes_round(state, keys[r], last=r == _ROUNDS)
            yield states[k]


class ArsWords(Words):
    """A counter gives one float32 word to each of four particles, with ids 4 q to 4 q + 3, or one
    float64 word to each of two, 2 q and 2 q + 1."""

    PARTICLES: ClassVar = {"float32": 4, "float64": 2}
    LANES, KEPT = 2, 1
    BLOCK_COUNTERS = 4
    PACE: ClassVar = {32: (2, 1, 1), 64: (2, 3, 2)}

    def __init__(self, at: Address, count: int, width: int) -> None:
        self.at, self.width = at, width
        zero = at.block.constant(0)
        self.keys = round_keys(self._in_turns(at.k0 | at.k1 << 32, zero))
        self.blocks = [self._in_turns(zero, at.block + k << 32) for k in range(count)]

    def kept(self, first: Lanes) -> list[Lanes]:
        """Counters ^ key, but for the block."""
        kind = ir.VectorType(ir.IntType(64), self.width)
        number = [0 if lane % 2 else lane // 2 << 32 for lane in range(self.width)]
        counters = self._in_turns(self.at.stream | first << 32, self.at.high)
        return [counters + Lanes(first.builder, ir.Constant(kind, number)) ^ self.keys[0]]

    def words(self, kept: list[Lanes], bits: int, out: list[Lanes]) -> Stages:
        """One of each counter."""
        for k in range(0, len(self.blocks), _AT_ONCE):
            states = [kept[0] ^ block for block in self.blocks[k : k + _AT_ONCE]]
            yield from rounds(states, self.keys)
            out.extend(state.integers(bits) for state in states)

    def _in_turns(self, even: Lanes, odd: Lanes) -> Lanes:
        return _pair(even, odd).of_lanes([lane % 2 for lane in range(self.width)])


def _pair(even: Lanes, odd: Lanes) -> Lanes:
    """A vector of two single integers."""
    return even.over(1).and_then(odd.over(1))


@intrinsic
def _words(typingctx, c0, c1, c2, c3, k0, k1, k2, k3):
    def codegen(context, builder, signature, args):
        word = [Lanes(builder, value) for value in args]
        half = [word[k] | word[k + 1] << 32 for k in range(0, 8, 2)]
        keys = round_keys(_pair(*half[2:]))
        states = [_pair(*half[:2]) ^ keys[0]]
        finished(rounds(states, keys))
        place = [ir.Constant(ir.IntType(32), k) for k in range(4)]
        words = [builder.extract_element(states[0].integers(32).value, k) for k in place]
        return context.make_tuple(builder, signature.return_type, words)

    return types.UniTuple(types.uint32, 4)(*[types.uint64] * 8), codegen


@scalar
def ars4x32(c0, c1, c2, c3, k0, k1, k2, k3):
    """Four words (uint32) for the uint64 arguments' low 32 bits, whose high ones are zeros."""
    return _words(c0, c1, c2, c3, k0, k1, k2, k3)
