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

from fastrev.kernels.cache import ContentCache
from fastrev.kernels.leave import count_marked, keep_passages, lost_by, make_leave
from fastrev.kernels.noise import NOISE
from fastrev.kernels.recipe import Recipe
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.start import make_start
from fastrev.kernels.step import make_go_on
from fastrev.kernels.workspace import make_workspace

_u64 = np.uint64
_HALF, _LOW = _u64(32), _u64(0xFFFFFFFF)


def make_kernel(recipe: Recipe, content: str | None) -> Any:
    """The compiled loop for a recipe and its fingerprint; see `_make_run` for its arguments.

    Without a fingerprint it is not kept on disk.
    """
    tag, shared = content or uuid.uuid4().hex, content is not None
    build = Specialiser(recipe.dtype, tag, inner=True, shared=shared)
    real = np.dtype(recipe.dtype).type
    run = _make_run(
        make_go_on(recipe, build, real),
        make_start(recipe, build, real),
        make_leave(recipe, build),
        recipe,
        build,
    )
    if content is not None:
        run._cache = ContentCache(content)
    run.fastrev_loops = _roles(build, recipe)
    return run


_ROLES = {
    "advance": "step",
    "heun": "step",
    "correct": "corrector",
    "variances": "walls",
    "evaluate": "step",
    "fill_by": "step",
    "score": "score",
    "mixture_score": "score",
    "full_score": "score",
    "empirical_score": "score",
    "network_score": "score",
}
"""What a function is for, by the beginning of its name."""


def _roles(build: Specialiser, recipe: Recipe) -> list[tuple[str, Any]]:
    """The functions whose loops take the time, by what they do; a user's own by their names."""
    noise = NOISE[recipe.generator].fill_normals
    found = [("noise", noise)] if recipe.noisy or recipe.corrected else []
    for function in build.loops:
        name = function.py_func.__name__
        own = str(function.py_func.__module__).startswith("fastrev.kernels.")
        role = next((role for start, role in _ROLES.items() if name.startswith(start)), None)
        if role or not own:
            found.append((role if own and role else name, function))
    return found


def _make_run(
    steps: tuple[Any, Any, Any], start: Any, leave: Any, recipe: Recipe, build: Specialiser
) -> Any:
    """The kernel of a range of particle ids.

    run(due, frames, frame_rows, passages, numbers, observed_rows, observed_tables, first, count,
        row, kept, x0, seed, width, tile, clock, c, corrector, walls, tables, values)

    due          increasing step numbers after which something leaves; 0: the initial state
    frames       (F, n, d) output, float16 as uint16
    frame_rows   which frame each of these is, -1 for none
    passages     (n,) output, when a wall absorbed a particle, infinite for never; (0,) for none
    numbers      per observer (F_o, K_o): what it adds to
    observed_rows    per observer, which of its times each of these is, -1 for none
    observed_tables  per observer: its parameters
    first, count first particle id and how many
    row          row of the first particle kept
    kept         which of the particles are kept, increasing; empty for all
    x0           (count, d) initial states, or (0, 0)
    width, tile  coordinates and particles that a tile holds
    clock        (S+1,) forward time, (S,) signed step, (S,) sqrt|h| times the noise factor
    c            the score's factor in the drift
    corrector    (S,) lengths e of the Langevin steps after each step, (S,) sqrt(2 e), how many
    walls        (d,) low and (d,) high, empty without
    tables       parameters of drift, diffusion, score and divergence
    values       parameters of the initial draw

    Returns the number of coordinates whose final value, as frames hold it, is not finite, and the
    place in the range of a particle with such a coordinate, -1 for none, and how many particles
    were marked.
    """
    (allocate, cut), lost_of = make_workspace(recipe, build), lost_by(recipe.storage)
    prepare, begin, go_on = steps
    walled, absorbing, marked = bool(recipe.boundary), recipe.absorbing, recipe.marked

    @build.entry
    def run(
        due,
        frames,
        frame_rows,
        passages,
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
        clock,
        c,
        corrector,
        walls,
        tables,
        values,
    ):
        d = frames.shape[2]
        times = clock[0]
        count_steps = len(clock[1])
        k0, k1 = _u64(seed & _LOW), _u64(seed >> _HALF)
        repeats = corrector[2]
        spaces = allocate(width, tile, repeats)
        lost, first_bad, marks = 0, -1, 0
        zero = np.int64(0)  # a literal 0 is a type of its own: what takes it compiles twice
        done = q0 = zero
        while done < count:
            identity = _u64(first + _u64(done))
            low, high = _u64(identity & _LOW), _u64(identity >> _HALF)
            # a tile ends where the low word would overflow: its ids share the high word
            size = min(tile, count - done, np.int64(_LOW - low) + 1)
            x, tau, noises, rooms = cut(spaces, width, size, repeats, low)
            q1 = q0
            while q1 < len(kept) and kept[q1] < done + size:
                q1 += 1
            a = row + (q0 if len(kept) else done)
            rows = (a, kept[q0:q1], done, len(kept) == 0)
            for j0 in range(0, d, width):
                start(x, noises, low, high, j0, k0, k1, x0, done, values)
                if walled:
                    begin(x, tau, j0, times[0], walls)
                if marked:
                    rooms[1][4] = 0
                prepare(noises, low, high, j0, k0, k1)
                k = i = zero
                while True:
                    if k < len(due) and due[k] == i:
                        leave(
                            k, frames, frame_rows, rows, j0, x, tau,
                            numbers, observed_rows, observed_tables, rooms[1],
                        )  # fmt: skip
                        k += 1
                    if i == count_steps:
                        break
                    end = due[k] if k < len(due) else count_steps
                    i += go_on(
                        x, tau, noises, rooms, i, end, j0, (low, high, k0, k1), clock, c,
                        corrector, tables, walls,
                    )  # fmt: skip
                bad, place = lost_of(x)
                if bad > 0 and first_bad < 0:
                    first_bad = done + place
                lost += bad
                if marked:
                    marks += count_marked(rooms[1][4])
            if absorbing and len(passages):
                keep_passages(passages, rows, tau)
            done += size
            q0 = q1
        return lost, first_bad, marks

    return run
