"""The memory of a tile: allocated once for a range of particles, cut to each tile's size."""

from typing import Any

import numpy as np

from fastrev.kernels.jit import scalar
from fastrev.kernels.noise import BLOCK_STEPS, WHOLE
from fastrev.kernels.recipe import Recipe
from fastrev.kernels.specialise import Specialiser


@scalar
def whole(size):
    """The length of a row of noise for so many particles."""
    return -(-size // WHOLE) * WHOLE


def make_workspace(recipe: Recipe, build: Specialiser) -> tuple[Any, Any]:
    """`allocate(width, tile, repeats)` and `cut(space, width, size, repeats)`.

    cut gives x (w, B), tau (B,), the noises of `step.make_refill`, whose rows may be longer, the
    rooms of `make_step`; what a recipe does not use is some other room.  Every array is
    contiguous at every size, or the loops over lanes would not vectorise.
    """
    stages = recipe.rooms
    rank = recipe.rank if recipe.by_tuple else 0
    corrected, absorbing = recipe.corrected, recipe.absorbing
    room = _make_room(np.dtype(recipe.dtype).type, build)

    @build.own_loop
    def allocate(width, tile, repeats):
        noises = BLOCK_STEPS * (max(rank, width) + repeats * width)
        return room(noises * whole(tile) + (width * (3 + stages) + 5) * tile)

    @build.own_loop
    def cut(space, width, size, repeats):
        ranks = rank if rank else width  # noises of a particle, or of the coordinates at hand
        length = whole(size)
        z_end = BLOCK_STEPS * ranks * length
        after_end = z_end + repeats * BLOCK_STEPS * width * length
        z = space[:z_end].reshape((BLOCK_STEPS, ranks, length))
        s_end = (1 + stages) * width
        end = s_end + 5 + 2 * width
        rows = space[after_end : after_end + end * size].reshape((end, size))
        work = rows[s_end : s_end + 5]
        after, before, variance = z, work, work
        if corrected:
            after = space[z_end:after_end].reshape((repeats * BLOCK_STEPS, width, length))
        if absorbing:
            before, variance = rows[s_end + 5 : s_end + 5 + width], rows[s_end + 5 + width :]
        return rows[:width], work[3], (z, after), (rows[width:s_end], work, before, variance)

    return allocate, cut


def _make_room(real: Any, build: Specialiser) -> Any:
    """`room(count)`: zeros that begin on a cache line.

    Numba aligns to 32 bytes, and a 64-byte load across two lines costs twice
    (measured: 15 % of a run, in half of the runs).
    """
    itemsize = np.dtype(real).itemsize
    per_line = 64 // itemsize

    @build.own_loop
    def room(count):
        whole = np.zeros(count + per_line, real)
        gap = -(whole.ctypes.data // itemsize) % per_line
        return whole[gap : gap + count]

    return room
