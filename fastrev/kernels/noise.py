"""The noise of consecutive particles by a generator's loops, and single draws."""

from typing import Any, NamedTuple

import numpy as np

from fastrev.kernels.aligned import aligned
from fastrev.kernels.ars import ArsWords
from fastrev.kernels.fill import BLOCK_STEPS, make_fill, make_keep, move_group
from fastrev.kernels.jit import from_python, inlined, inner_loop, scalar
from fastrev.kernels.normal import PAIRS, normal_pair64, uniform64
from fastrev.kernels.philox import PhiloxWords, philox4x32
from fastrev.kernels.streams import Words
from fastrev.kernels.view import view

_u64 = np.uint64
_HALF = _u64(32)

WHOLE = 16
"""The rows of a buffer are whole multiples of so many particles: in float32 of a vector of 64 bytes
and of two of 32, which `phased` makes in a turn."""


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


class Noise(NamedTuple):
    """The loops of a generator, for compiled code alone.

    generator   of its words
    keep_words(words, first, high, stream, k0, k1)
                what `fill_normals` uses at every block of consecutive counters, in words
                (KEPT, Q) uint64, from the low word `first` on
    fill_first(row, z, words, low, high, stream, k0, k1)
                a row (B,) of one normal of each particle, for the initial draw, with z and words,
                contiguous, as scratch: the eight of sixteen counters' block serve 128 particles,
                sixteen after sixteen
    fill_normals(z, w, steps, words, low, high, block, stream, k0, k1)
                the rows of z (8, w, B) of at least `steps` steps from particle `low` on, B a whole
                multiple of `WHOLE`; of `words` for the same particles, key, stream and coordinate.
                Where `low` is not the first of its counter, the last of B are others'.
    """

    generator: type[Words]
    keep_words: Any
    fill_first: Any
    fill_normals: Any

    def words(self, dtype: str, size: int, low: Any, *address: Any) -> Any:
        """The kept words of so many particles from an id on, a whole number of counters."""
        shared = self.generator.PARTICLES[dtype]
        columns = size // shared * self.generator.LANES
        words = aligned((self.generator.KEPT, columns), np.uint64)
        from_python(self.keep_words)(words, *(_u64(number) for number in (low // shared, *address)))
        return words


_HALF_BLOCK = BLOCK_STEPS // 2
_GROUP = BLOCK_STEPS * WHOLE
"""Particles that the normals of `WHOLE` of them serve at their start."""


def _make_noise(name: str, generator: type[Words]) -> Noise:
    fill_half, fill_whole = make_fill(generator, PAIRS // 2), make_fill(generator, PAIRS)
    keep = make_keep(generator)
    rows, lanes = generator.KEPT, generator.LANES
    zero, whole, group = _u64(0), _u64(WHOLE), _u64(_GROUP)
    shared32, shared64 = (_u64(generator.PARTICLES[dtype]) for dtype in ("float32", "float64"))

    def named(function: Any) -> Any:
        function.__qualname__ = f"{function.__name__}_{name}"  # compiled code knows it by this name
        return function

    @inlined
    @named
    def shared(z):
        return shared32 if z.itemsize == 4 else shared64

    @inner_loop
    @named
    def begin_with(z, w, low):
        """Move the rows so that they begin with this id, the first of its counter or not."""
        before = np.intp(low % shared(z))
        if before:
            for s in range(len(z)):
                for l in range(z.shape[2] - before):
                    z[s, w, l] = z[s, w, l + before]

    @inner_loop
    @named
    def fill_normals(z, w, steps, words, low, high, block, stream, k0, k1):
        if steps > _HALF_BLOCK:
            fill_whole(z, w, words, high, block, stream, k0, k1)
        else:  # of the last block, and of runs of few steps
            fill_half(z, w, words, high, block, stream, k0, k1)
        begin_with(z, w, low)

    @inner_loop
    @named
    def keep_words(words, first, high, stream, k0, k1):
        keep(words, first, high, stream, k0, k1)

    @inner_loop
    @named
    def fill_first(row, z, words, low, high, stream, k0, k1):
        before, size = np.intp(low % group), len(row)
        groups, room = -(-(before + size) // _GROUP), z.shape[2] // WHOLE
        for g0 in range(0, groups, room):
            count = min(room, groups - g0)
            first = _u64((low // group + _u64(g0)) * whole)
            columns = count * WHOLE // np.intp(shared(z)) * lanes
            part = view(z, 0, (BLOCK_STEPS, 1, count * WHOLE))
            kept = view(words, 0, (rows, columns))
            keep_words(kept, first // shared(z), high, stream, k0, k1)
            fill_normals(part, 0, BLOCK_STEPS, kept, first, high, zero, stream, k0, k1)
            for k in range(count):
                a, b = (g0 + k) * _GROUP - before, k * WHOLE
                if a >= 0 and a + _GROUP <= size:
                    move_group(row, a, part, b, WHOLE)
                else:
                    for l in range(max(0, -a), min(_GROUP, size - a)):
                        row[a + l] = part[l // WHOLE, 0, b + l % WHOLE]

    return Noise(generator, keep_words, fill_first, fill_normals)


NOISE = {"philox": _make_noise("philox", PhiloxWords), "ars": _make_noise("ars", ArsWords)}
"""By the names of generators."""
