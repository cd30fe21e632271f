"""A specification made ready to run: the compiled kernel and its arguments."""

import hashlib
import importlib
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrev.engine import buffers, callback, memory, threads
from fastrev.engine.lastframe import LastFrame
from fastrev.engine.messages import KernelError, PerformanceWarning, compile_message
from fastrev.engine.observers import observer_of
from fastrev.engine.shards import Shard, pieces
from fastrev.engine.specification import Specification
from fastrev.model.boundary import Absorb
from fastrev.model.check import InputError
from fastrev.model.distribution import Distribution, Draw
from fastrev.model.kernel import Kernel, Terms
from fastrev.model.method import Prepared
from fastrev.model.sde import check_scalar_noise

_TILE = 960
"""Particles per tile: with its noise of eight steps some 46 kB in float32 (measured with 48 kB of
first cache: 1 % faster than 1472).

A whole number of the 64 that the loop of a step takes at a time; rows of a power of two would
fall on the same few sets of the cache (measured: 1024 is 13 % slower).
"""

_WIDER = 3
"""Times as many where every step of a tile has more to begin with: a table of its own to read
(measured: 8 % faster), observables to join (at every step 3 %, at one of a hundred 2 % slower)."""

_OFTEN = 5
"""Steps for each of which observables are joined once, where that is often."""

_LEAST_TILE = 256
"""Where a shard has few particles and each takes long, so that there are tiles for all threads
(measured: 5 % slower)."""

_ROLES = ("drift", "diffusion", "score", "divergence")

_kernels: dict[str, Any] = {}
"""Kernels of this process by fingerprint."""


_LEAST_PIECE, _PIECE, _LONG_PIECE = 1 << 20, 1 << 21, 1 << 23
"""Particle-steps that a thread does at a time, at least: a millisecond, so that the threads' speeds
even out and Ctrl-C does not wait; of a small shard half, so that there are more pieces; of a large
one five, for each brings numbers of observables (measured: 50 us, 1 % of a run), but not where a
score may take a microsecond a step."""

_PIECES, _MANY_PIECES = 16, 128
"""Pieces of a shard, at least, where they are not the least; where they are long."""

_NUMBERS = 1 << 23
"""Bytes that the observables of a shard's pieces may take before they are joined."""


_PILOT_PARTS = 64
"""Places among given states from which a pilot takes particles: they may be sorted."""
_GOLDEN = 0x9E3779B9
"""2^32 over the golden ratio: its multiples, modulo 2^32, lie evenly and repeat no pattern."""


class Due(NamedTuple):
    """Steps after which something leaves the tile, and which frame or observation that is."""

    steps: NDArray[np.int64]
    frame_rows: NDArray[np.int64]
    observed_rows: tuple[NDArray[np.int64], ...]


class Kept(NamedTuple):
    """Rows that a range of particles fills: frames (F, m, d), and passage times (m,) or (0,)."""

    frames: NDArray[Any]
    passages: NDArray[Any]


class Outcome(NamedTuple):
    """What a range of particles leaves beside its frames.

    non_finite   coordinates that ended infinite or NaN
    lost         the id of a particle with such a coordinate, -1 for none
    outside      particles that the score's grid did not cover at some step
    numbers      per observable, (F, K)
    """

    non_finite: int
    lost: int
    outside: int
    numbers: tuple[NDArray[Any], ...]


class Tally(NamedTuple):
    """What a run says at its end, if anything: as in `Outcome`."""

    lost: int = -1
    outside: int = 0

    def with_(self, outcome: Outcome) -> "Tally":
        """The same with one more range."""
        return self.and_(Tally(outcome.lost, outcome.outside))

    def and_(self, other: "Tally") -> "Tally":
        """Two together."""
        lost = self.lost if self.lost >= 0 else other.lost
        return Tally(lost, self.outside + other.outside)


@dataclass(frozen=True)
class Program:
    """What `run_range` needs, all of it a function of the specification."""

    kernel: Callable[..., tuple[int, int, int]]
    recipe: Any
    digest: str
    compile_seconds: float
    dtype: Any
    seed: Any
    width: int
    tile: int
    due: Due
    observed_tables: tuple[tuple[Any, ...], ...]
    observed_shapes: tuple[tuple[tuple[int, int], Any], ...]
    step_scalars: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
    correction: Any
    corrector: tuple[Any, ...]
    walls: tuple[NDArray[Any], NDArray[Any]]
    tables: tuple[tuple[Any, ...], ...]
    draw_values: tuple[Any, ...]
    spec: Specification
    block: int | None = None
    callback: int | None = None

    def run_range(self, rows: Kept, first: int, count: int, base: int) -> Outcome:
        """Run particles first .. first+count-1 into rows, of which the first is row `base`."""
        kept = self._kept(first, count)
        row = self.spec.row_of(first) - base
        return self._call(rows, self.due, first, count, row, kept)

    def run_shard(
        self,
        shard: Shard,
        rows: Kept,
        base: int,
        done: Callable[[int], None] = lambda count: None,
    ) -> Outcome:
        """Run a shard on all threads; the first of the rows is row `base`.

        Its pieces, and the order in which their numbers are joined, do not depend on the
        number of threads.
        """

        def work(piece: tuple[int, int]) -> Outcome:
            outcome = self.run_range(rows, *piece, base)
            done(piece[1])
            return outcome

        per_particle = self.spec.grid.steps * self.spec.dim
        particle_steps = shard.count * per_particle
        least = max(_LEAST_PIECE, min(_PIECE, particle_steps // _PIECES))
        if all(part.shape == "coordinate" for part in self.recipe.parts):
            least = max(least, min(_LONG_PIECE, particle_steps // _MANY_PIECES))
        bounded = shard.count * self.spec.numbers_nbytes // _NUMBERS
        ranges = pieces(shard, self.tile, max(least // per_particle, bounded))
        if self.callback is None:
            return self._all(threads.for_each(ranges, work))
        with threads.libraries_on_one():
            return self._all(threads.for_each(ranges, work))

    def _all(self, ranges: list[Outcome]) -> Outcome:
        """Ranges together, in an order that depends on how many they are alone."""
        columns = zip(*(outcome.numbers for outcome in ranges), strict=True)
        numbers = tuple(
            o.observable.total(column)
            for o, column in zip(self.spec.observed.values(), columns, strict=True)
        )
        lost = next((outcome.lost for outcome in ranges if outcome.lost >= 0), -1)
        non_finite = sum(outcome.non_finite for outcome in ranges)
        return Outcome(non_finite, lost, sum(outcome.outside for outcome in ranges), numbers)

    def joined(self, a: Outcome, b: Outcome) -> Outcome:
        """Two shards together, the one with smaller ids first."""
        return self._all([a, b])

    def lay_bins(self) -> None:
        """Run a pilot for the observables whose bins it lays: the same whoever runs it."""
        observed = self.spec.observed.values()
        if not any(one.observable.pilot for one in observed):
            return
        pilot, tables = self, []
        if self.spec.storage == "float16":  # it ends at 65504
            pilot = _prepare(replace(self.spec, storage=self.spec.dtype), stored=True)
        for one, table in zip(observed, self.observed_tables, strict=True):
            if one.observable.pilot:
                bins = one.observable.bins(pilot._pilot(one.steps, one.observable.pilot))
                tables.append(tuple(map(np.ascontiguousarray, bins)))
            else:
                tables.append(table)
        object.__setattr__(self, "observed_tables", tuple(tables))

    def _pilot(self, steps: Sequence[int], count: int) -> NDArray[Any]:
        """Frames (F, m, d) of the first particles, or, of given states, of some all over.

        Of drawn ones as many whatever n is, so that a run with more has the same bins.
        """
        spec, due = self.spec, _due(steps, [()] * len(self.spec.observed))
        drawn, count = isinstance(spec.x0, Distribution), max(count, self.block or 0)
        count = count if drawn else min(spec.n, count)
        parts = 1 if drawn or self.block else min(count, _PILOT_PARTS)
        size = count // parts
        frames = np.empty((len(steps), parts * size, spec.dim), spec.storage)
        rows, every = Kept(frames, _passages(spec, 0)), np.empty(0, np.int64)
        share = spec.n // parts
        for k in range(parts):  # somewhere in its share: given states may repeat
            first = k * share + (k * _GOLDEN % 2**32 * (share - size + 1) >> 32)
            self._call(rows, due, first, size, k * size, every)
        return frames

    def run_path(self, particle: int) -> NDArray[Any]:
        """One particle at every step, (S+1, dim), in the run's dtype."""
        every = range(self.spec.grid.steps + 1)
        path = np.empty((len(every), 1, self.spec.dim), self.dtype)
        due = _due(every, [()] * len(self.spec.observed))
        first, count, kept = particle, 1, np.empty(0, np.int64)
        if self.block:  # with those whom it is always called with
            first = particle // self.block * self.block
            count = min(self.block, self.spec.n - first)
            kept = np.array([particle - first])
        self._call(Kept(path, _passages(self.spec, 0)), due, first, count, 0, kept)
        return path[:, 0]

    def _kept(self, first: int, count: int) -> NDArray[np.int64]:
        """Which of these particles are kept, counted from the first; empty for all."""
        keep = self.spec.keep
        a, b = self.spec.row_of(first), self.spec.row_of(first + count)
        if b - a == count:
            return np.empty(0, np.int64)
        if a == b:
            return np.array([count])  # none: beyond the last
        return np.asarray(keep[a:b], dtype=np.int64) - first

    def _call(
        self,
        rows: Kept,
        due: Due,
        first: int,
        count: int,
        row: int,
        kept: NDArray[np.int64],
    ) -> Outcome:
        frames = rows.frames
        numbers = tuple(np.zeros(shape, dtype) for shape, dtype in self.observed_shapes)
        bad, place, outside = self.kernel(
            due.steps,
            frames.view(np.uint16) if frames.dtype == np.float16 else frames,
            due.frame_rows,
            rows.passages,
            numbers,
            due.observed_rows,
            self.observed_tables,
            np.uint64(first),
            count,
            row,
            kept,
            self._x0(first, count),
            self.seed,
            self.width,
            self.tile,
            self.step_scalars,
            self.correction,
            self.corrector,
            self.walls,
            self.tables,
            self.draw_values,
        )
        callback.raise_from(self.callback)
        lost = first + int(place) if place >= 0 else -1
        return Outcome(int(bad), lost, int(outside), numbers)

    def _x0(self, first: int, count: int) -> NDArray[Any]:
        """Initial states of these particles, (0, 0) where the kernel draws them."""
        x0 = self.spec.x0
        if isinstance(x0, Distribution):
            return np.empty((0, 0), self.dtype)
        if isinstance(x0, LastFrame):
            return x0.rows(first, count, self.dtype)
        return x0[first : first + count]


def build(spec: Specification, stored: bool = True) -> Program:
    """Compile, or load from the cache, and evaluate what varies by step.

    stored   whether a kernel of this process or of the disk will do

    Raises KernelError where a kernel does not compile, InputError where a
    coefficient or a score is not finite on the grid.
    """
    importlib.import_module("fastrev.kernels.tile")  # loading the compiler is not compiling
    start = time.perf_counter()
    program = _prepare(spec, stored)
    functions = [part.function for part in program.recipe.parts]
    compiled: Any = program.kernel
    fresh = not compiled.overloads
    _compile(program, spec, functions)
    program.lay_bins()
    object.__setattr__(program, "compile_seconds", time.perf_counter() - start)
    compiled_now = fresh and not getattr(compiled._cache, "hits", 0)
    if stored and compiled_now and not program.recipe.marked:  # a look-up is no vector code
        _warn_of_scalar_loops(compiled, functions)
    return program


def _warn_of_scalar_loops(compiled: Any, functions: list[Callable[..., Any]]) -> None:
    """Say once, when it is compiled, that a user's own kernel did not become vector code."""
    from fastrev.kernels.loops import loops_of

    if all(str(function.__module__).startswith("fastrev.") for function in functions):
        return
    for role, function in compiled.fastrev_loops:
        slow = [loop.stopped for loop in loops_of(function) if loop.lanes == 1]
        if role not in ("noise", "walls") and slow:
            warnings.warn(
                f"the loop of the {role} did not become vector code and is several times slower "
                f"than it might be: {slow[0]}; fastrev.explain(process) tells more",
                PerformanceWarning,
                stacklevel=5,
            )


def _prepare(spec: Specification, stored: bool) -> Program:
    """A program whose kernel is compiled when it is first called.  Raises InputError."""
    from fastrev.kernels import recipe as recipes
    from fastrev.kernels.specialise import NotAKernelError

    real = np.dtype(spec.dtype).type
    check_scalar_noise(spec.process, float(spec.grid.times[0]))
    prepared = spec.method.prepared(spec.process, spec.dim, spec.grid)
    terms = prepared.terms
    roles = _roles(terms)
    parts: dict[str, Any] = {}
    tables: dict[str, tuple[Any, ...]] = dict.fromkeys(_ROLES, ())
    for role, kernel in roles.items():
        parts[role], tables[role] = _part(recipes.Part, role, kernel, spec, real)
    if terms.divergence == "numeric" and terms.score is not None:
        parts["divergence"] = "numeric"
    observers = [observer_of(one, spec) for one in spec.observed.values()]
    draw = spec.x0.draw(spec.dim) if isinstance(spec.x0, Distribution) else None
    shapes = [kernel.shape for kernel in roles.values()]
    shapes += [o.observer.part.shape for o in observers if o.observer.part]
    tuples = "tuple" in shapes
    recipe = recipes.Recipe(
        dtype=spec.dtype,
        generator=spec.generator,
        **parts,
        combine=terms.combine,
        noisy=terms.noise > 0.0,
        draw=draw.function if draw else None,
        draw_names=tuple(draw.params) if draw else (),
        draw_uses=(draw.uses_u, draw.uses_v, draw.uses_z) if draw else (False, False, False),
        correlated=draw is not None and draw.correlated,
        storage=spec.storage,
        observers=tuple(observer.observer for observer in observers),
        stages=spec.method.stages,
        corrected=prepared.repeats > 0,
        boundary=_boundary(spec),
        marked=any(kernel.marks for kernel in roles.values()),
        structure=terms.structure,
        dim=spec.dim if tuples else None,  # else a kernel serves every dim
        rank=(terms.rank or spec.dim) if tuples else 1,
    )
    values = _draw_values(draw, real)
    called = terms.score if terms.score is not None and terms.score.callback else None
    steps = (spec.grid.times.astype(real), spec.grid.h.astype(real), prepared.root.astype(real))
    corrector = _corrector(prepared, spec, real)
    walls = spec.boundary.walls(spec.dim) if spec.boundary else (np.empty(0), np.empty(0))
    walls = (walls[0].astype(real), walls[1].astype(real))
    numbers = (*steps, *corrector, *walls, *sum(tables.values(), ()))
    content = recipe.fingerprint()
    try:
        compiled = _kernel(recipe, content if stored else None)
    except NotAKernelError as error:
        raise KernelError(str(error)) from None
    number = callback.registered(called)
    often = any(_OFTEN * len(o.steps) > spec.grid.steps for o in spec.observed.values())
    wider = often or any(kernel.per_step for kernel in roles.values())
    if number is not None:
        tables["score"] = (real(number),)
    program = Program(
        kernel=compiled,
        recipe=recipe,
        digest=_digest(
            callback.with_callable(content, called), (*numbers, *values, terms.correction)
        ),
        compile_seconds=0.0,
        dtype=real,
        seed=np.uint64(noise_key(spec)),
        width=spec.dim if recipe.coupled else 1,
        tile=(called and called.block) or _tile(spec, recipe.coupled, wider),
        due=_due(spec.frame_steps, [o.steps for o in spec.observed.values()]),
        observed_tables=tuple(observer.table for observer in observers),
        observed_shapes=tuple(
            ((len(o.steps), o.observable.width(spec.dim)), np.dtype(o.observable.dtype))
            for o in spec.observed.values()
        ),
        step_scalars=steps,
        correction=real(terms.correction),
        corrector=corrector,
        walls=walls,
        tables=tuple(tables.values()),
        draw_values=values,
        spec=spec,
        block=called.block if called else None,
        callback=number,
    )
    callback.release_with(program, number)
    return program


def noise_key(spec: Specification) -> int:
    """The key of a run's random numbers: the seed, where it starts at t = 0.

    Elsewhere the direction and the time of the start are mixed in: a run back, or on, from where
    another of the same seed ended would else meet the very increments that brought it there.
    """
    if spec.grid.start == 0.0:
        return spec.seed
    text = f"{'back' if spec.reverse else 'on'} from {float(spec.grid.start)!r}"
    return spec.seed ^ int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _roles(terms: Terms) -> dict[str, Kernel]:
    """The kernels of a process by what they are for."""
    roles = {"drift": terms.drift, "diffusion": terms.diffusion}
    if terms.score is not None:
        roles["score"] = terms.score
    if isinstance(terms.divergence, Kernel) and terms.score is not None:
        roles["divergence"] = terms.divergence
    return roles


def _part(
    part: Any, role: str, kernel: Kernel, spec: Specification, real: Any
) -> tuple[Any, tuple[Any, ...]]:
    """A kernel's Part and the values of its parameters, in the run's dtype."""
    constants = kernel.constants()
    times = spec.grid.times[:-1]
    if spec.method.looks_ahead:  # to the end of a step, but never to 0 in reverse
        last = spec.grid.end if not spec.reverse or spec.grid.end > 0.0 else times[-1]
        times = np.append(times, last)
    memory.check(kernel.per_step * len(times), f"the table of the {role}, grid x steps,")
    scheduled = kernel.scheduled(times)
    if kernel.shape == "coordinate":
        scheduled = {name: _per_coordinate(v, spec.dim) for name, v in scheduled.items()}
    for name, values in scheduled.items():
        with np.errstate(over="ignore"):
            by_time = np.isfinite(values.astype(real)).reshape(len(values), -1).all(axis=1)
        if not by_time.all():
            t = float(times[int(np.argmin(by_time))])
            raise InputError(
                f"the process is singular on the time grid: {role}.{name} is not finite at "
                f"t = {t:g}; a score is singular where the law is a point"
            )
    if kernel.callback:
        return part(kernel.function, ("number",), (False,), kernel.shape), ()
    names = (*constants, *scheduled)
    flags = (False,) * len(constants) + (True,) * len(scheduled)
    table = tuple(_cast(v, real) for v in (*constants.values(), *scheduled.values()))
    return part(kernel.function, names, flags, kernel.shape), table


def _corrector(prepared: Prepared, spec: Specification, real: Any) -> tuple[Any, ...]:
    """Lengths e of the Langevin steps and sqrt(2 e), (S,), and how many; none at t = 0."""
    length = np.where(spec.grid.times[1:] > 0.0, prepared.corrector, 0.0)
    return length.astype(real), np.sqrt(2.0 * length).astype(real), prepared.repeats


def _boundary(spec: Specification) -> Any:
    """The boundary as a recipe names it."""
    if isinstance(spec.boundary, Absorb) and spec.boundary.bridge:
        return "absorb-bridge"
    return spec.boundary.kind if spec.boundary else None


def _due(frame_steps: Sequence[int], observed: Sequence[Sequence[int]]) -> Due:
    """When frames and observations of these steps are due."""
    steps = sorted(set(frame_steps).union(*observed))

    def rows(own: Sequence[int]) -> NDArray[np.int64]:
        places = {step: row for row, step in enumerate(own)}
        return np.array([places.get(step, -1) for step in steps], dtype=np.int64)

    return Due(np.array(steps, np.int64), rows(frame_steps), tuple(map(rows, observed)))


def _per_coordinate(values: NDArray[np.float64], dim: int) -> NDArray[np.float64]:
    """(S,) as it is; (S, 1) or (S, dim) as (S, dim)."""
    return values if values.ndim == 1 else np.broadcast_to(values, (len(values), dim))


def _cast(value: NDArray[np.float64], real: Any) -> Any:
    """A scalar or a contiguous array of the run's dtype."""
    return real(value) if np.ndim(value) == 0 else np.ascontiguousarray(value, dtype=real)


def _draw_values(draw: Draw | None, real: Any) -> tuple[Any, ...]:
    return tuple(_cast(v, real) for v in draw.params.values()) if draw else ()


def _digest(content: str | None, values: tuple[Any, ...]) -> str:
    """A hash of all that decides a path beside seed and x0: functions and numbers.

    Where the content is not known it equals no other: such a run is read, not resumed.
    """
    from fastrev.kernels.fingerprint import sources

    digest = hashlib.sha256(((content or uuid.uuid4().hex) + sources()).encode())
    for value in values:
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def _tile(spec: Specification, coupled: bool, wider: bool) -> int:
    """Particles per tile, whole vectors; about 4096 numbers where it holds all coordinates."""
    most = max(64, min(_TILE, 4096 // spec.dim // 16 * 16)) if coupled else _TILE
    most = most * _WIDER if wider else most
    few = max(spec.shard_size // (4 * _PIECES), _LEAST_PIECE // (spec.grid.steps * spec.dim))
    return min(most, max(_LEAST_TILE, few // 64 * 64))


def make_rows(spec: Specification, count: int) -> Kept:
    """Room for the rows of so many particles."""
    return Kept(
        buffers.empty((len(spec.frame_steps), count, spec.dim), spec.storage),
        _passages(spec, count),
    )


def _passages(spec: Specification, count: int) -> NDArray[Any]:
    """Room for the passage times of so many particles, none without walls that absorb."""
    if spec.absorbing:
        return np.empty(count, spec.dtype)
    return np.empty(0, np.float32)


def _kernel(recipe: Any, content: str | None) -> Callable[..., tuple[int, int, int]]:
    """The kernel of a recipe, of this process's stock where its content is known."""
    from fastrev.kernels.tile import make_kernel

    if content is None:
        return make_kernel(recipe, None)  # type: ignore[no-any-return]
    if content not in _kernels:
        _kernels[content] = make_kernel(recipe, content)
    return _kernels[content]  # type: ignore[no-any-return]


def _compile(program: Program, spec: Specification, functions: list[Callable[..., Any]]) -> None:
    """Compile by running no particles.  Raises KernelError."""
    from numba.core.errors import NumbaError

    try:
        program.run_range(make_rows(spec, 0), 0, 0, 0)
    except NumbaError as error:
        raise KernelError(compile_message(str(error), functions)) from None
