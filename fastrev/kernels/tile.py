"""The loop that everything runs in: particles, in tiles that stay in cache, over the whole grid.

A tile is a range of particle ids; its state x (w, B) and noise z (8, w, B) stay
in L1 from the first step to the last.  Kernels that treat coordinates alike
run one coordinate at a time (w = 1); coupled ones run all of them (w = d).
Frames leave the tile as they happen.  No number depends on where a tile or a
shard begins: noise is addressed by (seed, particle id, step, coordinate).
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrev.kernels.cache import ContentCache
from fastrev.kernels.fingerprint import OpaqueError, fingerprint
from fastrev.kernels.half import half_bits
from fastrev.kernels.jit import loop, scalar
from fastrev.kernels.noise import BLOCK_STEPS, fill_normals, first_normal, uniform_at
from fastrev.kernels.params import make_params
from fastrev.kernels.philox import STREAM_INITIAL, STREAM_STEP
from fastrev.kernels.specialise import NotAKernelError, Specialiser
from fastrev.kernels.steppers import euler, euler_maruyama

__all__ = ["NotAKernelError", "Observer", "Part", "Recipe", "make_kernel"]

_u64 = np.uint64
_ZERO, _ONE = _u64(0), _u64(1)
_HALF, _LOW = _u64(32), _u64(0xFFFFFFFF)
_INITIAL, _STEP = _u64(STREAM_INITIAL), _u64(STREAM_STEP)
_PER_BLOCK = BLOCK_STEPS // 4


@dataclass(frozen=True)
class Part:
    """A function (x, t, p) with the names of p's fields; `scheduled` ones vary by step."""

    function: Callable[..., Any]
    names: tuple[str, ...] = ()
    scheduled: tuple[bool, ...] = ()
    tiled: bool = False


@dataclass(frozen=True)
class Observer:
    """A reduction over a tile: `add(numbers (K,), x (w, B), table, k, work)` for its time k."""

    add: Callable[..., None]


@dataclass(frozen=True)
class Recipe:
    """What one compiled kernel does; values of parameters are not part of it.

    combine is f, a, s, c -> the drift of the step (a = g^2); None runs forward.
    draw is None where the initial state is given as an array.
    """

    dtype: str
    drift: Part
    diffusion: Part
    score: Part | None = None
    combine: Callable[..., Any] | None = None
    noisy: bool = True
    draw: Callable[..., Any] | None = None
    draw_names: tuple[str, ...] = ()
    draw_uses: tuple[bool, bool, bool] = (False, False, False)
    storage: str = "float32"
    observers: tuple[Observer, ...] = ()

    @property
    def coupled(self) -> bool:
        """Whether all coordinates of a particle are needed at once."""
        return bool(self.observers) or (self.score is not None and self.score.tiled)

    def fingerprint(self) -> str | None:
        """A content hash of everything that is compiled in, None where part of it is opaque."""
        parts = [self.dtype, self.storage, self.noisy, self.combine]
        parts += [self.draw, self.draw_names, self.draw_uses]
        for part in (self.drift, self.diffusion, self.score):
            if part is not None:
                parts += [part.function, part.names, part.scheduled, part.tiled]
        parts += [observer.add for observer in self.observers]
        try:
            return fingerprint(*parts)
        except OpaqueError:
            return None


def make_kernel(recipe: Recipe, content: str | None) -> Any:
    """The compiled loop for a recipe and its fingerprint; see `_make_run` for its arguments.

    Without a fingerprint it is not kept on disk.
    """
    build = Specialiser(recipe.dtype, content or uuid.uuid4().hex)
    real = np.dtype(recipe.dtype).type
    run = _make_run(
        _make_advance(recipe, build, real),
        _make_draw(recipe, build, real),
        _make_observe(recipe.observers, build),
        recipe,
        build,
    )
    if content is not None:
        run._cache = ContentCache(content)
    return run


def _make_part(part: Part | None, build: Specialiser) -> tuple[Any, Any]:
    """The jitted function of a part, and the one that assembles its p."""
    if part is None:
        return scalar(_nothing), make_params((), (), per_coordinate=True)
    params = make_params(part.names, part.scheduled, per_coordinate=not part.tiled)
    return (build.loop if part.tiled else build.scalar)(part.function), params


def _nothing(x, t, p):
    return x


def _forward_drift(f, a, s, c):
    return f


def _make_advance(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`advance(x, z, s, work, i, j0, t, h, root, c, tables)`: step i for a tile, in place."""
    drift, drift_params = _make_part(recipe.drift, build)
    diffusion, diffusion_params = _make_part(recipe.diffusion, build)
    score, score_params = _make_part(recipe.score, build)
    combine = build.scalar(recipe.combine or _forward_drift)
    step = euler_maruyama if recipe.noisy else euler

    @build.own_loop
    def advance_coordinates(x, z, s, work, i, j0, t, h, root, c, tables):
        for w in range(len(x)):
            f_p = drift_params(tables[0], i, j0 + w)
            g_p = diffusion_params(tables[1], i, j0 + w)
            s_p = score_params(tables[2], i, j0 + w)
            row, noise = x[w], z[w]
            for l in range(len(row)):
                v = row[l]
                f = real(drift(v, t, f_p))
                g = real(diffusion(v, t, g_p))
                b = combine(f, g * g, real(score(v, t, s_p)), c)
                row[l] = step(v, b, g, h, root, noise[l])

    @build.own_loop
    def advance_with_tile_score(x, z, s, work, i, j0, t, h, root, c, tables):
        score(x, t, score_params(tables[2], i, j0), s, work)
        for j in range(len(x)):
            f_p = drift_params(tables[0], i, j)
            g_p = diffusion_params(tables[1], i, j)
            row, noise, pull = x[j], z[j], s[j]
            for l in range(len(row)):
                v = row[l]
                f = real(drift(v, t, f_p))
                g = real(diffusion(v, t, g_p))
                b = combine(f, g * g, pull[l], c)
                row[l] = step(v, b, g, h, root, noise[l])

    tiled = recipe.score is not None and recipe.score.tiled
    return advance_with_tile_score if tiled else advance_coordinates


def _make_draw(recipe: Recipe, build: Specialiser, real: Any) -> Any:
    """`start(x, low, high, j0, k0, k1, x0, done, values)`: the initial state of a tile."""
    if recipe.draw is None:

        @build.own_loop
        def copy(x, low, high, j0, k0, k1, x0, done, values):
            for j in range(x.shape[0]):
                for l in range(x.shape[1]):
                    x[j, l] = x0[done + l, j0 + j]

        return copy

    draw = build.scalar(recipe.draw)
    uses_u, uses_v, uses_z = recipe.draw_uses
    normal = first_normal[recipe.dtype]
    params = make_params(recipe.draw_names, [False] * len(recipe.draw_names), per_coordinate=False)

    @build.own_loop
    def start(x, low, high, j0, k0, k1, x0, done, values):
        p = params(values, 0, 0)
        for w in range(x.shape[0]):
            j = j0 + w
            address = _u64(_INITIAL | _u64(j))
            for l in range(x.shape[1]):
                i = _u64(low + _u64(l))
                u = v = 0.5
                normal_z = real(0.0)
                if uses_z:
                    normal_z = normal(i, high, _ZERO, address, k0, k1)
                if uses_u:
                    u = uniform_at(i, high, _ONE, _INITIAL, k0, k1)
                if uses_v:
                    v = uniform_at(i, high, _ZERO, address, k0, k1)
                x[w, l] = real(draw(j, u, v, normal_z, p))

    return start


def _make_observe(observers: tuple[Observer, ...], build: Specialiser) -> Any:
    """`observe(numbers, rows, tables, q, x, work)`: observation q, for those that want it."""
    if not observers:

        @build.own_loop
        def nothing(numbers, rows, tables, q, x, work):
            return

        return nothing
    add, others = observers[0].add, _make_observe(observers[1:], build)

    def observe(numbers, rows, tables, q, x, work):
        k = rows[0][q]
        if k >= 0:
            add(numbers[0][k], x, tables[0], k, work)
        others(numbers[1:], rows[1:], tables[1:], q, x, work)

    observe.__qualname__ += str(len(observers))  # two functions of one kernel, two names
    return build.own_loop(observe)


def _make_run(
    advance: Any, start: Any, observe: Any, recipe: Recipe, build: Specialiser
) -> Any:
    """The kernel of a range of particle ids.

    run(frames, frame_steps, numbers, observed_steps, observed_rows, observed_tables, first,
        count, row, kept, x0, seed, width, tile, t, h, root, c, tables, values)

    frames       (F, n, d) output, float16 as uint16
    frame_steps  (F,) increasing step numbers, 0 for the initial state
    numbers      per observer (F_o, K_o): what it adds to
    observed_steps   increasing step numbers at which some observer is called
    observed_rows    per observer: its row for each of these steps, -1 for none
    observed_tables  per observer: its parameters
    first, count first particle id and how many
    row          row of the first particle kept
    kept         which of the particles are kept, increasing; empty for all
    x0           (count, d) initial states, or (0, 0)
    width, tile  coordinates and particles that a tile holds
    t, h, root   (S,) forward time, signed step, sqrt|h| times the noise factor
    c            the score's factor in the drift
    tables       parameters of drift, diffusion and score
    values       parameters of the initial draw

    Returns the number of coordinates whose final value is not finite.
    """
    noisy = recipe.noisy
    real = np.dtype(recipe.dtype).type
    keep = _make_keep(recipe.storage, build)
    fill = fill_normals[recipe.dtype]

    @build.own_loop
    def run(
        frames,
        frame_steps,
        numbers,
        observed_steps,
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
        steps = len(t)
        k0, k1 = _u64(seed & _LOW), _u64(seed >> _HALF)
        x_room = np.empty(width * tile, real)
        s_room = np.empty(width * tile, real)
        work_room = np.empty(3 * tile, real)
        z_room = np.zeros(BLOCK_STEPS * width * tile, real)
        lost = 0
        done = 0
        q0 = 0
        while done < count:
            identity = _u64(first + _u64(done))
            low, high = _u64(identity & _LOW), _u64(identity >> _HALF)
            # a tile ends where the low word would overflow: its ids share the high word
            size = min(tile, count - done, np.int64(_LOW - low) + 1)
            # contiguous at every size, or the loops over lanes would not vectorise
            x = x_room[: width * size].reshape((width, size))
            s = s_room[: width * size].reshape((width, size))
            work = work_room[: 3 * size].reshape((3, size))
            z = z_room[: BLOCK_STEPS * width * size].reshape((BLOCK_STEPS, width, size))
            q1 = q0
            while q1 < len(kept) and kept[q1] < done + size:
                q1 += 1
            lanes = kept[q0:q1]
            a = row + (q0 if len(kept) else done)
            for j0 in range(0, d, width):
                start(x, low, high, j0, k0, k1, x0, done, values)
                f = q = 0
                if len(frame_steps) and frame_steps[0] == 0:
                    keep(frames, 0, a, j0, x, lanes, done, len(kept) == 0)
                    f = 1
                if len(observed_steps) and observed_steps[0] == 0:
                    observe(numbers, observed_rows, observed_tables, 0, x, work)
                    q = 1
                for i0 in range(0, steps, BLOCK_STEPS):
                    if noisy:
                        block = _u64(i0 // BLOCK_STEPS * _PER_BLOCK)
                        for w in range(width):
                            address = _u64(_STEP | _u64(j0 + w))
                            fill(z, w, low, high, block, address, k0, k1)
                    for i in range(i0, min(i0 + BLOCK_STEPS, steps)):
                        advance(x, z[i - i0], s, work, i, j0, t[i], h[i], root[i], c, tables)
                        if f < len(frame_steps) and frame_steps[f] == i + 1:
                            keep(frames, f, a, j0, x, lanes, done, len(kept) == 0)
                            f += 1
                        if q < len(observed_steps) and observed_steps[q] == i + 1:
                            observe(numbers, observed_rows, observed_tables, q, x, work)
                            q += 1
                lost += _not_finite(x)
            done += size
            q0 = q1
        return lost

    return run


def _make_keep(storage: str, build: Specialiser) -> Any:
    """`keep(frames, f, a, j0, x, lanes, done, everything)`: a tile as rows a.. of frame f."""
    real = np.dtype(storage).type

    @build.own_scalar
    def as_real(x):
        return real(x)

    convert = half_bits if storage == "float16" else as_real

    @build.own_loop
    def keep(frames, f, a, j0, x, lanes, done, everything):
        for j in range(x.shape[0]):
            if everything:
                for l in range(x.shape[1]):
                    frames[f, a + l, j0 + j] = convert(x[j, l])
            else:
                for q in range(len(lanes)):
                    frames[f, a + q, j0 + j] = convert(x[j, lanes[q] - done])

    return keep


@loop
def _not_finite(x):
    """How many entries are infinite or NaN."""
    lost = 0
    for j in range(x.shape[0]):
        for l in range(x.shape[1]):
            if x[j, l] - x[j, l] != 0:  # NaN, also for an infinity
                lost += 1
    return lost
