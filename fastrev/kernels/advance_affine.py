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
from fastrev.kernels.stride import STRIDE, stride, stride_with_offsets


def make_advance_affine(recipe: Recipe, build: Specialiser) -> Any:
    """`advance(x, z, s, work, i, j0, times, h, root, c, tables)`: step i for a tile, in place."""
    step = _make_step(recipe, build)

    @build.own_borrower
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
    """`take(x, z, i, end, j0, tables)`: steps from i on for a tile, in place, to the same bits as
    one by one: as many of a block's as come before `end`, after which x is asked for, in whole
    strides.

    Returns how many were taken, 0 also where steps are not affine.
    """
    if not (recipe.affine and recipe.noisy):

        @build.own_scalar
        def take_none(x, z, i, end, j0, tables):
            return 0

        return take_none
    advance = _make_advance_block(recipe, build)

    @build.own_scalar_borrower
    def take(x, z, i, end, j0, tables):
        count = min(BLOCK_STEPS - i % BLOCK_STEPS, end - i) // STRIDE * STRIDE
        if count > 0:
            advance(x, z, i, count, j0, tables)
        return count

    return take


def _make_advance_block(recipe: Recipe, build: Specialiser) -> Any:
    """`advance(x, z, i, count, j0, tables)`: so many steps from i on."""
    step = _make_step(recipe, build)

    @build.own_borrower
    def advance_block(x, z, i, count, j0, tables):
        slopes, offsets = tables[0]
        spreads = tables[1][0]
        for w in range(len(x)):
            row, j = x[w], j0 + w if slopes.shape[1] > 1 else 0
            for k in range(i, i + count, STRIDE):
                s = k % BLOCK_STEPS
                if len(offsets):
                    done = stride_with_offsets(x, w, z, s, slopes, offsets, spreads, k, j)
                else:
                    done = stride(x, w, z, s, slopes, offsets, spreads, k, j)
                for l in range(done, len(row)):
                    v = row[l]
                    for q in range(STRIDE):
                        v = step(v, slopes[k + q, j], spreads[k + q], z[s + q, w, l])
                        if len(offsets):
                            v += offsets[k + q, j]
                    row[l] = v

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
