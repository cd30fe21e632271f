"""One step of a tile with all that belongs to it: the method's, the corrector's, the walls'."""

from typing import Any

import numpy as np

from fastrev.kernels.advance import make_advance, make_variances
from fastrev.kernels.advance_affine import make_take_block
from fastrev.kernels.boundary import make_begin, make_bound
from fastrev.kernels.fill import BLOCK_STEPS
from fastrev.kernels.jit import inner_loop
from fastrev.kernels.noise import NOISE
from fastrev.kernels.recipe import Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.streams import STREAM_CORRECTOR, STREAM_STEP

_u64 = np.uint64
_STEP, _CORRECTOR = _u64(STREAM_STEP), _u64(STREAM_CORRECTOR)


def make_go_on(recipe: Recipe, build: Specialiser, real: Any) -> tuple[Any, Any, Any]:
    """`prepare(noises, low, high, j0, k0, k1)` and `begin(x, tau, j0, t0, walls)`, before the first
    step, and
    `go_on(x, tau, noises, rooms, i, end, j0, address, clock, c, corrector, tables, walls)`: step i
    of a tile, in place, or as many as are taken at once where x is asked for after step `end`, not
    before; it returns how many.

    The other arguments are those of `make_refill` and `make_step`.
    """
    prepare, refill = make_refill(recipe, build)
    begin, step = make_step(recipe, build, real)
    take_block = make_take_block(recipe, build)

    @build.own_scalar_borrower
    def go_on(x, tau, noises, rooms, i, end, j0, address, clock, c, corrector, tables, walls):
        low, high, k0, k1 = address
        if i % BLOCK_STEPS == 0:
            refill(noises, i, len(clock[1]) - i, low, high, j0, k0, k1)
        taken = take_block(x, noises[0], i, end, j0, tables)
        if taken > 0:
            return taken
        step(x, tau, noises, rooms, i, j0, address, clock, c, corrector, tables, walls)
        return 1

    return prepare, begin, go_on


def make_refill(recipe: Recipe, build: Specialiser) -> tuple[Any, Any]:
    """`prepare(noises, low, high, j0, k0, k1)`, before the first step, and
    `refill(noises, i0, steps, low, high, j0, k0, k1)`: the noise of eight steps from i0 on, or of
    so many as are left.

    noises   z (8, w, B) of the steps, after (8 repeats, w, B) of their correctors, and the words
             that the generator keeps for these and those, (w, KEPT, Q) each (`noise.Noise`); B, a
             whole multiple of `noise.WHOLE`, may be more than the tile's particles
    """
    noisy, corrected = recipe.noisy, recipe.corrected
    noise = NOISE[recipe.generator]
    fill_normals, keep_words = noise.fill_normals, noise.keep_words
    shared = _u64(noise.generator.PARTICLES[recipe.dtype])
    counters = noise.generator.BLOCK_COUNTERS

    @build.own_borrower
    def prepare(noises, low, high, j0, k0, k1):
        _, _, words, words_after = noises
        first = low // shared
        if noisy:
            for w in range(len(words)):
                keep_words(words[w], first, high, _u64(_STEP | _u64(j0 + w)), k0, k1)
        if corrected:
            for w in range(len(words_after)):
                keep_words(words_after[w], first, high, _u64(_CORRECTOR | _u64(j0 + w)), k0, k1)

    @build.own_borrower
    def refill(noises, i0, steps, low, high, j0, k0, k1):
        z, after, words, words_after = noises
        number = i0 // BLOCK_STEPS
        if noisy:
            block = _u64(number * counters)
            for w in range(len(words)):
                address = _u64(_STEP | _u64(j0 + w))
                fill_normals(z, w, steps, words[w], low, high, block, address, k0, k1)
        if corrected:
            repeats = len(after) // BLOCK_STEPS
            for r in range(repeats):
                block = _u64((number * repeats + r) * counters)
                part = after[r * BLOCK_STEPS : (r + 1) * BLOCK_STEPS]
                for w in range(len(words_after)):
                    address = _u64(_CORRECTOR | _u64(j0 + w))
                    kept = words_after[w]
                    fill_normals(part, w, steps, kept, low, high, block, address, k0, k1)

    return prepare, refill


@inner_loop
def _copy(x, before):
    for j in range(len(x)):
        for l in range(x.shape[1]):
            before[j, l] = x[j, l]


def make_step(recipe: Recipe, build: Specialiser, real: Any) -> tuple[Any, Any]:
    """`begin(x, tau, j0, t0, walls)`, before the first step, and
    `step(x, tau, noises, rooms, i, j0, address, clock, c, corrector, tables, walls)`: step i of
    a tile, in place.

    tau      (B,) time of absorption, infinite for none
    noises   of `make_refill`
    rooms    s (stages w, B), work (5, B); before and variance (w, B) where walls absorb
    address  low and high word of the first particle's id, and the key's two words
    clock    t (S+1,), h (S,), root (S,)
    """
    from fastrev.kernels.steppers.langevin import make_correct

    advance, bound = make_advance(recipe, build, real), make_bound(recipe, build, real)
    correct = make_correct(recipe, build, real) if recipe.corrected else None
    bridge = recipe.boundary == "absorb-bridge"
    variances = make_variances(recipe, build, real) if bridge else _copy
    walled, absorbing, corrected = bool(recipe.boundary), recipe.absorbing, recipe.corrected

    @build.own_scalar_borrower
    def step(x, tau, noises, rooms, i, j0, address, clock, c, corrector, tables, walls):
        z, after, _, _ = noises
        s, work, before, variance = rooms
        low, high, k0, k1 = address
        t, h, root = clock
        b = i % BLOCK_STEPS
        if absorbing:
            _copy(x, before)
        if bridge:
            variances(x, i, j0, t[i], root[i], tables, variance)
        advance(x, z[b], s, work, i, j0, t, h[i], root[i], c, tables)
        if corrected:
            length, spread, repeats = corrector
            if length[i] > 0:
                for r in range(repeats):
                    noise = after[r * BLOCK_STEPS + b]
                    correct(x, noise, s, work, i, j0, t[i + 1], length[i], spread[i], tables)
        if walled:
            bound(x, before, tau, variance, work, i, j0, low, high, k0, k1, t[i], h[i], walls)

    return make_begin(recipe, build), step
