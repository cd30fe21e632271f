"""The loop that everything runs in: particles, in tiles that stay in cache, over the whole grid.

A tile is a range of particle ids; its state x (w, B) and noise z (8, w, B) stay
in L1 from the first step to the last.  Kernels that treat coordinates alike
run one coordinate at a time (w = 1); coupled ones run all of them (w = d).
Frames leave the tile as they happen.  No number depends on where a tile or a
shard begins: noise is addressed by (seed, particle id, step, coordinate).
"""

import uuid
from typing import Any

import numpy as np

from fastrev.kernels.advance import make_advance
from fastrev.kernels.cache import ContentCache
from fastrev.kernels.leave import first_lost, make_leave, not_finite
from fastrev.kernels.noise import BLOCK_STEPS, fill_normals
from fastrev.kernels.philox import STREAM_STEP
from fastrev.kernels.recipe import Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.start import make_start

_u64 = np.uint64
_HALF, _LOW = _u64(32), _u64(0xFFFFFFFF)
_STEP = _u64(STREAM_STEP)
_PER_BLOCK = BLOCK_STEPS // 4


def make_kernel(recipe: Recipe, content: str | None) -> Any:
    """The compiled loop for a recipe and its fingerprint; see `_make_run` for its arguments.

    Without a fingerprint it is not kept on disk.
    """
    build = Specialiser(recipe.dtype, content or uuid.uuid4().hex)
    real = np.dtype(recipe.dtype).type
    run = _make_run(
        make_advance(recipe, build, real),
        make_start(recipe, build, real),
        make_leave(recipe, build),
        recipe,
        build,
    )
    if content is not None:
        run._cache = ContentCache(content)
    return run


def _make_run(advance: Any, start: Any, leave: Any, recipe: Recipe, build: Specialiser) -> Any:
    """The kernel of a range of particle ids.

    run(due, frames, frame_rows, numbers, observed_rows, observed_tables, first, count, row,
        kept, x0, seed, width, tile, t, h, root, c, tables, values)

    due          increasing step numbers after which something leaves; 0: the initial state
    frames       (F, n, d) output, float16 as uint16
    frame_rows   which frame each of these is, -1 for none
    numbers      per observer (F_o, K_o): what it adds to
    observed_rows    per observer, which of its times each of these is, -1 for none
    observed_tables  per observer: its parameters
    first, count first particle id and how many
    row          row of the first particle kept
    kept         which of the particles are kept, increasing; empty for all
    x0           (count, d) initial states, or (0, 0)
    width, tile  coordinates and particles that a tile holds
    t, h, root   (S+1,) forward time, (S,) signed step, (S,) sqrt|h| times the noise factor
    c            the score's factor in the drift
    tables       parameters of drift, diffusion and score
    values       parameters of the initial draw

    Returns the number of coordinates whose final value is not finite, and the place in the
    range of a particle with such a coordinate, -1 for none.
    """
    noisy = recipe.noisy
    stages = 3 if recipe.method == "heun" else 1  # scores, predicted state, drift there
    rank = recipe.rank if recipe.by_tuple else 0
    room = _make_room(np.dtype(recipe.dtype).type, build)
    fill = fill_normals[recipe.dtype]

    @build.own_loop
    def run(
        due,
        frames,
        frame_rows,
        numbers,
        observed_rows,
        observed_tables,
        first,
        count,
        row,
        kept,
        x0,
        seed,
        width,
        tile,
        t,
        h,
        root,
        c,
        tables,
        values,
    ):
        d = frames.shape[2]
        steps = len(h)
        k0, k1 = _u64(seed & _LOW), _u64(seed >> _HALF)
        x_room = room(width * tile)
        s_room = room(stages * width * tile)
        work_room = room(3 * tile)
        ranks = rank if rank else width  # noises of a particle, or of the coordinates at hand
        z_room = room(BLOCK_STEPS * ranks * tile)
        lost, first_bad = 0, -1
        done = 0
        q0 = 0
        while done < count:
            identity = _u64(first + _u64(done))
            low, high = _u64(identity & _LOW), _u64(identity >> _HALF)
            # a tile ends where the low word would overflow: its ids share the high word
            size = min(tile, count - done, np.int64(_LOW - low) + 1)
            # contiguous at every size, or the loops over lanes would not vectorise
            x = x_room[: width * size].reshape((width, size))
            s = s_room[: stages * width * size].reshape((stages * width, size))
            work = work_room[: 3 * size].reshape((3, size))
            z = z_room[: BLOCK_STEPS * ranks * size].reshape((BLOCK_STEPS, ranks, size))
            q1 = q0
            while q1 < len(kept) and kept[q1] < done + size:
                q1 += 1
            lanes = kept[q0:q1]
            a = row + (q0 if len(kept) else done)
            for j0 in range(0, d, width):
                start(x, low, high, j0, k0, k1, x0, done, values)
                k = 0
                if len(due) and due[0] == 0:
                    leave(
                        0, frames, frame_rows, a, j0, x, lanes, done, len(kept) == 0,
                        numbers, observed_rows, observed_tables, work,
                    )  # fmt: skip
                    k = 1
                for i0 in range(0, steps, BLOCK_STEPS):
                    if noisy:
                        block = _u64(i0 // BLOCK_STEPS * _PER_BLOCK)
                        for w in range(ranks):
                            address = _u64(_STEP | _u64(j0 + w))
                            fill(z, w, low, high, block, address, k0, k1)
                    for i in range(i0, min(i0 + BLOCK_STEPS, steps)):
                        advance(x, z[i - i0], s, work, i, j0, t, h[i], root[i], c, tables)
                        if k < len(due) and due[k] == i + 1:
                            leave(
                                k, frames, frame_rows, a, j0, x, lanes, done, len(kept) == 0,
                                numbers, observed_rows, observed_tables, work,
                            )  # fmt: skip
                            k += 1
                bad = not_finite(x)
                if bad > 0 and first_bad < 0:
                    first_bad = done + first_lost(x)
                lost += bad
            done += size
            q0 = q1
        return lost, first_bad

    return run


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
