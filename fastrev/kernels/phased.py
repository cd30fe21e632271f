"""The loop of `fill_normals` where registers are few: a phase of some vectors before the next.

What two phases keep does not fit (measured when they were first apart, Zen 3: 8 x 8 float32 normals
in 36 ns instead of 41, by ARS in 28 instead of 32); nor do all constants of one, which are loaded
again where they are used.  What a phase makes lies in the rows of the normals.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from fastrev.kernels.constants import FromMemory
from fastrev.kernels.lanes import Lanes, keep_together
from fastrev.kernels.normal import PAIRS, angle, half_sine, pair_by_half_sine, squared_radius
from fastrev.kernels.processor import processor_has
from fastrev.kernels.rows import lanes_of, load_each, store_each
from fastrev.kernels.streams import Words
from fastrev.kernels.weave import Stages, finished, side_by_side

_SOME = 32
"""Vectors of which a phase is done before the next: their rows take 8 kB."""
_IN_A_TURN = 2
"""Vectors of words in a turn of the loop, one after the other, to share what a turn loads:
constants and addresses (measured, Zen 3: 2 % of a run).  Rows (`noise.WHOLE`) and `_SOME` are whole
multiples of these."""


class Phased:
    """Emits the loop of `fill_normals`, of vectors of particles.

    generator  of words; bits of a float; pairs of normals of a particle
    """

    def __init__(self, builder: Any, generator: Words, bits: int, pairs: int) -> None:
        self.builder, self.generator, self.bits, self.pairs = builder, generator, bits, pairs
        number, lanes = {32: ir.FloatType(), 64: ir.DoubleType()}[bits], lanes_of(bits)
        self.word, self.number = (ir.VectorType(k, lanes) for k in (ir.IntType(bits), number))

    def emit(self, rows: list[Any], count: Any, kept: Callable[[Any], list[Lanes]]) -> None:
        """Fill the first of eight rows, two for each pair, `count` vectors each, from what is kept
        of vectors of counters.  The others are scratch."""
        builder, words, squares = self.builder, rows[PAIRS:], rows[: self.pairs]
        zero, some, turn = (ir.Constant(count.type, k) for k in (0, _SOME, _IN_A_TURN))
        with cgutils.for_range_slice(builder, zero, count, some) as (first, _):
            end = builder.add(first, some)
            last = builder.select(builder.icmp_signed("<", end, count), end, count)
            with cgutils.for_range_slice(builder, first, last, turn) as (index, _):
                for k in range(_IN_A_TURN):
                    at = builder.add(index, ir.Constant(count.type, k))
                    self._words(kept(at), words, at)
            with cgutils.for_range(builder, last, first) as loop:
                self._squares(words, squares, loop.index)
            with cgutils.for_range(builder, last, first) as loop:
                self._normals(words, squares, rows, loop.index)

    def _words(self, kept: list[Lanes], into: list[Any], index: Any) -> None:
        made: list[Lanes] = []
        finished(self.generator.words(kept, self.bits, made))
        store_each(made, into, index)

    def _squares(self, words: list[Any], into: list[Any], index: Any) -> None:
        """Words are loaded before there are constants: so LLVM makes floats of all of them before
        the rest (measured, Zen 3: 1 % of a run)."""
        given = load_each(self.builder, words[: self.pairs], index, self.word)
        numbers = FromMemory(self.builder, self.bits)
        found = self._of_pairs(squared_radius, [Lanes(numbers, word.value) for word in given])
        store_each([square for (square,) in found], into, index)

    def _normals(self, words: list[Any], squares: list[Any], into: list[Any], index: Any) -> None:
        """Words are loaded once more for their signs, and square roots, which wait for one another,
        are begun early, all but the last, for which there is no register (measured, Zen 3: 2 % of a
        run)."""
        numbers = FromMemory(self.builder, self.bits)

        def roots(of: list[Any]) -> list[Lanes]:
            return [square.sqrt() for square in load_each(numbers, of, index, self.number)]

        given = load_each(numbers, words, index, self.word)
        angles = [angle(given, k, self.bits) for k in range(self.pairs)]
        halves = self._of_pairs(half_sine, angles)
        radii = roots(squares[:-1])
        if processor_has("avx2"):
            keep_together(*(one for half in halves for one in half), *radii, forget=True)
        radii += roots(squares[-1:])
        given = load_each(numbers, words[: self.pairs], index, self.word)
        pairs = self._of_pairs(pair_by_half_sine, radii, given, halves)
        store_each([z for pair in pairs for z in pair], into, index)

    def _of_pairs(self, function: Callable[..., Stages], *args: list[Any]) -> list[list[Lanes]]:
        """What a function makes of the arguments of each pair."""
        found: list[list[Lanes]] = [[] for _ in range(self.pairs)]
        each = zip(*args, found, strict=True)
        finished(side_by_side(*(function(*given, self.bits, out) for *given, out in each)))
        return found
