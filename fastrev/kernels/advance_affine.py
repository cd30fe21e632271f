"""Steps of a process that is linear in each coordinate, with noise that does not depend on x.

    x + slope x + offset + spread z

The numbers of a step, slope = A h, offset = B h and spread = g sqrt|h|, are made in float64 and
cast once: two multiply-adds a step, where drift, step and noise one by one take three.  Of the
tables the first holds slopes (S, k) and offsets (S, k), or (0, k) where there are none, with k = 1
where all coordinates are alike, the second spreads (S,).
"""

from typing import Any

from fastrev.kernels.fill import BLOCK_STEPS
from fastrev.kernels.intrinsics import fma
from fastrev.kernels.recipe import Recipe
from fastrev.kernels.specialise import Specialiser

_AT_ONCE = 2
"""Steps of a block for which particles are loaded once.

Measured, Zen 3, eight steps of eight particles in float32: one by one 5.4 ns, by two 3.7, by four
4.2, all eight 4.7, for each waits for the one before it.
"""


def make_advance_affine(recipe: Recipe, build: Specialiser) -> Any:
    """`advance(x, z, s, work, i, j0, times, h, root, c, tables)`: step i for a tile, in place."""
    step = _make_step(recipe, build)

    @build.own_loop
    def advance_affine(x, z, s, work, i, j0, times, h, root, c, tables):
        slopes, offsets = tables[0]
        for w in range(len(x)):
            j = j0 + w if slopes.shape[1] > 1 else 0
            slope, spread = slopes[i, j], tables[1][0][i]
            row, noise = x[w], z[w]
            if len(offsets):
                offset = offsets[i, j]
                for l in range(len(row)):
                    row[l] = step(row[l], slope, spread, noise[l]) + offset
            else:
                for l in range(len(row)):
                    row[l] = step(row[l], slope, spread, noise[l])

    return advance_affine


def make_take_block(recipe: Recipe, build: Specialiser) -> Any:
    """`take(x, z, i, end, j0, tables)`: steps i to i + 7 for a tile, in place, to the same bits.

    None are taken where i is not the first of a block, or x is asked for before them all, after
    `end` steps, or steps are not affine.  Returns how many were.
    """
    if not (recipe.affine and recipe.noisy):

        @build.own_scalar
        def take_none(x, z, i, end, j0, tables):
            return 0

        return take_none
    advance = _make_advance_block(recipe, build)

    @build.own_scalar
    def take(x, z, i, end, j0, tables):
        if i % BLOCK_STEPS or end - i < BLOCK_STEPS:
            return 0
        advance(x, z, i, j0, tables)
        return BLOCK_STEPS

    return take


def _make_advance_block(recipe: Recipe, build: Specialiser) -> Any:
    """`advance(x, z, i, j0, tables)`: steps i to i + 7."""
    step = _make_step(recipe, build)

    @build.own_loop
    def advance_block(x, z, i, j0, tables):
        slopes, offsets = tables[0]
        spreads = tables[1][0]
        for w in range(len(x)):
            row, j = x[w], j0 + w if slopes.shape[1] > 1 else 0
            for b in range(0, BLOCK_STEPS, _AT_ONCE):
                before, after = z[b, w], z[b + 1, w]
                slope, spread = slopes[i + b, j], spreads[i + b]
                slope_after, spread_after = slopes[i + b + 1, j], spreads[i + b + 1]
                if len(offsets):
                    offset, offset_after = offsets[i + b, j], offsets[i + b + 1, j]
                    for l in range(len(row)):
                        v = step(row[l], slope, spread, before[l]) + offset
                        row[l] = step(v, slope_after, spread_after, after[l]) + offset_after
                else:
                    for l in range(len(row)):
                        v = step(row[l], slope, spread, before[l])
                        row[l] = step(v, slope_after, spread_after, after[l])

    return advance_block


def _make_step(recipe: Recipe, build: Specialiser) -> Any:
    """`step(x, slope, spread, z)`, but for the offset."""
    if recipe.noisy:

        @build.own_scalar
        def noisy_step(x, slope, spread, z):
            return fma(spread, z, fma(slope, x, x))

        return noisy_step

    @build.own_scalar
    def plain_step(x, slope, spread, z):
        return fma(slope, x, x)

    return plain_step
