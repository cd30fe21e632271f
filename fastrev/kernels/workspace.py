"""The memory of a tile: allocated once for a range of particles, cut to each tile's size."""

from typing import Any

import numpy as np

from fastrev.kernels.fill import BLOCK_STEPS
from fastrev.kernels.jit import inlined
from fastrev.kernels.noise import NOISE, WHOLE
from fastrev.kernels.recipe import Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.view import view

_u64 = np.uint64


@inlined
def whole(size):
    """The least whole multiple of `WHOLE` that holds so many particles."""
    return -(-size // WHOLE) * WHOLE


def make_workspace(recipe: Recipe, build: Specialiser) -> tuple[Any, Any]:
    """`allocate(width, tile, repeats)` and `cut(spaces, width, size, repeats, low)`, low a tile's
    first id.

    cut gives x (w, B), tau (B,), the noises of `step.make_refill`, whose rows may be longer, the
    rooms of `make_step`; what a recipe does not use is some other room.  Every array is
    contiguous at every size, or the loops over lanes would not vectorise.
    """
    stages = recipe.rooms
    rank = recipe.rank if recipe.by_tuple else 0
    corrected, absorbing = recipe.corrected, recipe.absorbing
    room = _make_room(np.dtype(recipe.dtype).type, build)
    room_of_words = _make_room(np.uint64, build)
    generator = NOISE[recipe.generator].generator
    shared, kept, columns = generator.PARTICLES[recipe.dtype], generator.KEPT, generator.LANES

    @build.own_loop
    def allocate(width, tile, repeats):
        ranks, length = max(rank, width), whole(tile + shared - 1)
        noises = BLOCK_STEPS * (ranks + repeats * width)
        numbers = room(noises * length + (width * (3 + stages) + 5) * tile)
        coordinates = ranks + width if corrected else ranks
        return numbers, room_of_words(coordinates * kept * (length // shared * columns))

    @build.own_loop
    def cut(spaces, width, size, repeats, low):
        space, words_space = spaces
        ranks = rank if rank else width  # noises of a particle, or of the coordinates at hand
        length = whole(size + np.int64(low % _u64(shared)))  # with those before in its counter
        row = length // shared * columns
        z = view(space, 0, (BLOCK_STEPS, ranks, length))
        first = after_start = z.size
        after = z
        words = view(words_space, 0, (ranks, kept, row))
        words_after = words
        if corrected:
            words_after = view(words_space, words.size, (width, kept, row))
            after = view(space, after_start, (repeats * BLOCK_STEPS, width, length))
            first += after.size
        x = view(space, first, (width, size))
        rooms = view(space, first + x.size, (stages * width, size))
        work = view(space, first + x.size + rooms.size, (5, size))
        before = variance = work
        if absorbing:
            first += x.size + rooms.size + work.size
            before = view(space, first, (width, size))
            variance = view(space, first + before.size, (width, size))
        noises = z, after, words, words_after
        return x, work[3], noises, (rooms, work, before, variance)

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
