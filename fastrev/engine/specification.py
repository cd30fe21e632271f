"""What a run is: every value that its result depends on, checked once."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fastrev.engine import memory
from fastrev.engine.lastframe import LastFrame, last_frame
from fastrev.engine.shards import Shard, bounds, shard_at, shards
from fastrev.model import check
from fastrev.model.boundary import Absorb, Boundary
from fastrev.model.check import InputError
from fastrev.model.distribution import Distribution
from fastrev.model.method import Method
from fastrev.model.methods import as_method
from fastrev.model.observable import Observable
from fastrev.model.reversal import Reverse
from fastrev.model.stopping import StandardError
from fastrev.model.timegrid import TimeGrid

Count = Annotated[int, Field(gt=0)]
MAX_COORDINATES = 1 << 24
"""Coordinates that the address of a random number has room for."""
MAX_STEPS, MAX_CORRECTIONS = 1 << 29, 1 << 32
"""Steps, and corrections of all steps together, that it has room for."""
_BYTES_PER_STEP = 200
"""Memory that a step of the grid and its coefficients take."""


class Every(BaseModel):
    """Frames at every so many steps, from the first on; the last step is kept too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every: Count


When = Annotated[int, Field(ge=2)] | Annotated[list[float], Field(min_length=1)] | Every
"""Some of the grid's times: a count, first and last included, a list, or a stride."""


class ObserveOptions(BaseModel):
    """What every observable may say of its times."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    times: When | None = None


class KeepIds(BaseModel):
    """Particles start, start + step, ... below stop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Annotated[int, Field(ge=0)] = 0
    stop: Count | None = None
    step: Count = 1


class Until(BaseModel):
    """The error at which a run stops: see `StandardError`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    observable: str
    target: Annotated[float, Field(gt=0)]
    relative: bool = False


class Options(BaseModel):
    """The plain values of a run: the `[run]` table of a configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n: Count | None = None
    time: Annotated[list[float], Field(min_length=2)] = [0.0, 1.0]
    steps: Count = 1000
    grid: Literal["uniform", "power", "log", "array"] = "uniform"
    rho: Annotated[float, Field(gt=0)] = 7.0
    dim: Count | None = None
    seed: Annotated[int, Field(ge=0, lt=2**64)] | None = None
    dtype: Literal["float32", "float64"] = "float32"
    generator: Literal["philox", "ars"] = "philox"
    frames: When | Literal[0] = 2
    keep: Count | KeepIds | Annotated[list[int], Field(min_length=1)] = 1
    storage: Literal["float16", "float32", "float64"] | None = None
    method: str | dict[str, Any] = "euler-maruyama"
    shard_size: Count | None = None
    until: Until | None = None
    part: Annotated[list[Count], Field(min_length=2, max_length=2)] | None = None

    def time_grid(self) -> TimeGrid:
        """The grid that time, steps, grid and rho describe."""
        if self.grid == "array":
            return TimeGrid(np.array(self.time))
        if len(self.time) != 2:
            raise InputError(
                f"time must be (t0, t1), got {len(self.time)} times; for a grid of your own "
                "use TimeGrid(times), or grid = 'array' in a configuration"
            )
        memory.check(self.steps * _BYTES_PER_STEP, "steps")
        t0, t1 = self.time
        if self.grid == "power":
            return TimeGrid.power(t0, t1, self.steps, self.rho)
        if self.grid == "log":
            return TimeGrid.log(t0, t1, self.steps)
        return TimeGrid.uniform(t0, t1, self.steps)


def checked(model: type[BaseModel], values: dict[str, Any], where: str = "") -> Any:
    """`model(**values)`, its complaint as one clear InputError."""
    try:
        return model(**values)
    except ValidationError as error:
        raise InputError(_one_line(model, error, where)) from None


def _one_line(model: type[BaseModel], error: ValidationError, where: str) -> str:
    """The first complaint: field, what is allowed, what came."""
    every = error.errors()
    unknown = (e for e in every if e["type"] == "extra_forbidden" and len(e["loc"]) == 1)
    first = next(unknown, every[0])
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        return f"{where}{name} is not known: {check.nearest(name, model.model_fields)}"
    wanted = [e["msg"] for e in every if e["loc"][0] == name]
    allowed = " or ".join(dict.fromkeys(w[0].lower() + w[1:] for w in wanted))
    return f"{where}{name}: {allowed}, got {first['input']!r}"


class Observed(NamedTuple):
    """An observable and the step numbers at which it is taken, increasing."""

    observable: Observable
    steps: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Specification:
    """A run in full: with a particle id it determines that particle's path.

    x0 is a distribution, an (n, dim) array of the run's dtype, or a file's last frame.
    frame_steps are the step numbers kept, increasing, 0 for the initial state.
    keep are the particles whose frames are kept: a range, or increasing ids.
    storage is the dtype of the frames.
    observed are the observables by name.
    boundary is what happens at walls, None without.
    until is the error at which it may stop with fewer than n particles, None without.
    part is (k, m) where only the k-th of m parts of its shards is run, from 1 on.
    generator is that of the normals of the start, the steps and correctors.
    """

    process: Any
    x0: Distribution | NDArray[Any] | LastFrame
    grid: TimeGrid
    n: int
    dim: int
    seed: int
    dtype: str
    method: Method
    frame_steps: tuple[int, ...]
    shard_size: int
    keep: range | NDArray[np.int64]
    storage: str
    observed: Mapping[str, Observed]
    boundary: Boundary | None = None
    until: StandardError | None = None
    part: tuple[int, int] = (1, 1)
    generator: str = "philox"

    @property
    def times(self) -> NDArray[np.float64]:
        """Forward time of each frame, shape (F,)."""
        return self.grid.times[list(self.frame_steps)]

    @property
    def reverse(self) -> bool:
        """Whether the run goes from T down to 0."""
        return isinstance(self.process, Reverse)

    @property
    def rows_nbytes(self) -> int:
        """Size of all frames, and of what else is kept of each particle, in bytes."""
        frames = len(self.frame_steps) * self.dim * np.dtype(self.storage).itemsize
        return self.rows * (frames + self.absorbing * np.dtype(self.dtype).itemsize)

    @property
    def numbers_nbytes(self) -> int:
        """Size of the observables' numbers of one range of particles, in bytes."""
        return sum(8 * len(o.steps) * o.observable.width(self.dim) for o in self.observed.values())

    @property
    def absorbing(self) -> bool:
        """Whether particles may end before the run does, so that each has a passage time."""
        return isinstance(self.boundary, Absorb)

    def shards(self) -> Iterator[Shard]:
        """Of its particles, in order."""
        return shards(self.n, self.shard_size, self.part)

    def shard(self, index: int) -> Shard:
        """One of them."""
        return shard_at(index, self.n, self.shard_size, self.part)

    @property
    def span(self) -> tuple[int, int]:
        """Its first particle, and the first beyond: 0 and n but for a part."""
        return bounds(self.n, self.shard_size, self.part)

    @property
    def particles(self) -> int:
        """How many are run: n but for a part."""
        first, end = self.span
        return end - first

    @property
    def rows(self) -> int:
        """Particles kept."""
        first, end = self.span
        return self.row_of(end) - self.row_of(first)

    def row_of(self, particle: int) -> int:
        """How many kept particles have a smaller id: the row where it would be in the whole."""
        if isinstance(self.keep, range):
            span = range(self.keep.start, max(particle, self.keep.start), self.keep.step)
            return min(len(span), len(self.keep))
        return int(np.searchsorted(self.keep, particle))


def specify(
    process: Any,
    x0: Any,
    options: Options,
    grid: TimeGrid | None = None,
    observe: Any = (),
    boundary: Boundary | None = None,
) -> Specification:
    """A checked Specification.  Raises InputError."""
    if isinstance(process, type) or not hasattr(process, "terms"):
        raise InputError(
            f"process must be a process such as Brownian(D), SDE(...) or reverse(...), "
            f"got {process!r}"
        )
    grid = grid or options.time_grid()
    _check_direction(process, grid)
    method = as_method(options.method)
    _check_room(grid.steps, getattr(method, "corrections", 0))
    if boundary is not None and not isinstance(boundary, Boundary):
        raise InputError(
            f"boundary must be Reflect, Periodic or Absorb, such as Reflect(0, 1), got {boundary!r}"
        )
    x0, n, dim = _initial(process, x0, options, boundary)
    frame_steps = _steps_of("frames", options.frames, grid) if options.frames != 0 else ()
    observed = _observed(observe, frame_steps, grid)
    for name, one in observed.items():
        one.observable.check(dim)
        if one.observable.absorbing and not isinstance(boundary, Absorb):
            raise InputError(
                f"observe: {name!r} needs walls that absorb, boundary=Absorb(low, high); "
                f"got boundary={boundary!r}"
            )
    if not frame_steps and not observed and not isinstance(boundary, Absorb):
        raise InputError("frames = 0 keeps nothing: ask for frames, or for observables")
    until = StandardError(**options.until.model_dump()) if options.until else None
    if until is not None:
        until.check(observed)
        if isinstance(x0, LastFrame):
            raise InputError("until needs an x0 that is a distribution or an array, not a file")
    part = _part(options, until)
    itemsize = np.dtype(options.storage or options.dtype).itemsize
    size = options.shard_size or default_shard_size(grid.steps, dim, len(frame_steps), itemsize)
    if until is not None and options.shard_size is None:
        size = min(size, max(1024, n // _ROUNDS // 1024 * 1024))
    if part[1] > 1 and options.shard_size is None:
        size = min(size, max(1, n // part[1]))
    if isinstance(process, Reverse) and hasattr(process.score, "block_size"):
        block = process.score.block_size(dim)
        size = -(-size // block) * block
    if part[1] > -(-n // size):
        raise InputError(
            f"part: {n:,} particles in shards of {size:,} cannot be cut in {part[1]:,} parts; "
            "give a smaller shard_size"
        )
    return Specification(
        process=process,
        x0=x0,
        grid=grid,
        n=n,
        dim=dim,
        seed=secrets.randbits(63) if options.seed is None else options.seed,
        dtype=options.dtype,
        method=method,
        frame_steps=frame_steps,
        shard_size=min(size, n),
        keep=_kept(options.keep, n),
        storage=options.storage or options.dtype,
        observed=observed,
        boundary=boundary,
        until=until,
        part=part,
        generator=options.generator,
    )


def _part(options: Options, until: StandardError | None) -> tuple[int, int]:
    """Which part is run.  Raises InputError."""
    k, m = options.part or (1, 1)
    if k > m:
        raise InputError(f"part must be (k, m), the k-th of m parts from 1 on, got ({k}, {m})")
    if m > 1 and options.seed is None:
        raise InputError("part needs a seed: parts that draw their own are not of one run")
    if m > 1 and until is not None:
        raise InputError("part and until do not go together: a part does not know the others")
    return k, m


_ROUNDS = 256
"""Shards of a run that may stop early, at least: so near to its error it can stop."""


_FOR_THREADS = 64 * 1456
"""Coordinates of a shard at least: 64 tiles, and an end that counts little."""


def default_shard_size(steps: int, dim: int, frames: int, itemsize: int) -> int:
    """Particles per shard: about a second of work, but enough for many threads, and at most 16 MiB
    of frames, of which two shards' are held at a time: the system has to find and clear that
    memory (measured: 4 10^6 particles x 1000 steps, 11 frames, 1.10 of the time without; with
    24 MiB 1.12, with 48 MiB 1.27).
    """
    by_work = max(2**31 // steps, _FOR_THREADS) // dim
    by_memory = 16 * 2**20 // (max(frames, 1) * dim * itemsize)
    size = min(max(1024, by_work), by_memory)
    return max(1, size // 1024 * 1024 if size >= 1024 else size)


def _check_room(steps: int, corrections: int) -> None:
    """Beyond these random numbers would come again."""
    if steps > MAX_STEPS:
        raise InputError(f"steps must be at most {MAX_STEPS:,}, got {steps:,}")
    if steps * corrections > MAX_CORRECTIONS:
        raise InputError(
            f"method: steps x corrections must be at most {MAX_CORRECTIONS:,}, "
            f"got {steps:,} x {corrections:,}"
        )


def _check_direction(process: Any, grid: TimeGrid) -> None:
    first, last = min(grid.start, grid.end), max(grid.start, grid.end)
    if first < 0.0 or last > process.horizon:
        top = f"T = {process.horizon:g}" if np.isfinite(process.horizon) else "infinity"
        raise InputError(f"time must lie between 0 and {top}, got {grid.start:g} to {grid.end:g}")
    if isinstance(process, Reverse) and not grid.decreasing:
        raise InputError(
            f"time must run downwards for a reverse process, from T to 0, "
            f"got {grid.start:g} to {grid.end:g}"
        )
    if not isinstance(process, Reverse) and grid.decreasing:
        raise InputError(
            f"time must run upwards for a forward process, got {grid.start:g} to {grid.end:g}; "
            "to go back, use reverse(process, score)"
        )


def _initial(
    process: Any, x0: Any, options: Options, boundary: Boundary | None
) -> tuple[Any, int, int]:
    """x0, n and dim, made to agree."""
    n, dim = options.n, options.dim
    if isinstance(x0, str | Path):
        x0 = last_frame(x0)
    if isinstance(x0, LastFrame):
        n, dim = n or x0.shape[0], dim or x0.shape[1]
        if x0.shape != (n, dim):
            raise InputError(f"x0: {x0.path} holds {x0.shape}, the run wants (n, dim) = {n, dim}")
    elif not isinstance(x0, Distribution):
        x0 = _initial_array(x0, options.dtype)
        n, dim = n or len(x0), dim or x0.shape[1]
        if x0.shape != (n, dim):
            raise InputError(f"x0 must have shape (n, dim) = ({n}, {dim}), got {x0.shape}")
    own = {"x0": getattr(x0, "dim", None), "process": process.dim}
    own["boundary"] = boundary.dim if boundary else None
    for name, value in own.items():
        if value is not None and dim is not None and value != dim:
            raise InputError(f"dim must be {value}, as {name} has, got {dim}")
        dim = dim or value
    if (dim or 1) > MAX_COORDINATES:
        raise InputError(f"dim must be at most {MAX_COORDINATES:,}, got {dim:,}")
    return x0, n or 1_000_000, dim or 1


def _initial_array(x0: Any, dtype: str) -> NDArray[Any]:
    """Initial states as a contiguous (n, dim) array of the run's dtype."""
    try:
        array = np.array(x0, dtype=dtype, order="C")  # a copy: `trace` starts from it later
    except (TypeError, ValueError):
        raise InputError(
            f"x0 must be a distribution or an (n, dim) array, got {type(x0).__name__}"
        ) from None
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.size == 0:
        raise InputError(f"x0 must have shape (n, dim), got {np.shape(x0)}")
    bad = ~np.isfinite(array)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"x0 must be finite, got {array[row, column]} for particle {row}, "
            f"coordinate {column} ({int(bad.sum())} such values)"
        )
    return array


def _kept(keep: int | KeepIds | list[int], n: int) -> range | NDArray[np.int64]:
    """The particles to keep: every so many, a range, or ids."""
    if isinstance(keep, list):
        ids = np.array(sorted(set(keep)), dtype=np.int64)
        if ids[0] < 0 or ids[-1] >= n:
            bad = int(ids[0] if ids[0] < 0 else ids[-1])
            raise InputError(f"keep must be ids between 0 and {n - 1}, got {bad}")
        return ids
    if isinstance(keep, int):
        return range(0, n, keep)
    chosen = range(keep.start, min(keep.stop or n, n), keep.step)
    if not chosen:
        raise InputError(f"keep leaves no particle of {n}: got {keep!r}")
    return chosen


def _observed(observe: Any, frame_steps: tuple[int, ...], grid: TimeGrid) -> dict[str, Observed]:
    """Observables by name, from one, several, or a mapping of names.  Raises InputError."""
    if isinstance(observe, Mapping):
        named = list(observe.items())
    else:
        several = observe if isinstance(observe, list | tuple) else [observe]
        named = [(getattr(one, "name", ""), one) for one in several]
    usual = frame_steps or _steps_of("times", min(_USUAL_TIMES, grid.steps + 1), grid)
    result: dict[str, Observed] = {}
    for name, one in named:
        if not isinstance(one, Observable):
            raise InputError(f"observe must be observables such as Moments(), got {one!r}")
        if not str(name).isidentifier():
            raise InputError(f"observe: a name must be letters, digits and _, got {name!r}")
        if name in result:
            raise InputError(f"observe has two of the name {name!r}; give them names in a dict")
        options = checked(ObserveOptions, {"times": one.times}, f"observe.{name}.")
        steps = usual
        if options.times is not None:
            steps = _steps_of(f"observe.{name}.times", options.times, grid)
        result[name] = Observed(one, steps)
    return result


_USUAL_TIMES = 11
"""Times of observables where no frames are kept."""


def _steps_of(field: str, when: int | Sequence[float] | Every, grid: TimeGrid) -> tuple[int, ...]:
    """Step numbers: of a count, a stride, or a list of times."""
    if isinstance(when, Every):
        return tuple(sorted({*range(0, grid.steps + 1, when.every), grid.steps}))
    if isinstance(when, int):
        if when > grid.steps + 1:
            raise InputError(f"{field} must be at most steps + 1 = {grid.steps + 1}, got {when}")
        even = np.rint(np.arange(when) * (grid.steps / (when - 1)))
        return tuple(int(i) for i in even)
    wanted = check.finite_array(field, when, ndim=(1,))
    low, high = min(grid.start, grid.end), max(grid.start, grid.end)
    outside = wanted[(wanted < low) | (wanted > high)]
    if outside.size:
        raise InputError(
            f"{field} must be times between {low:g} and {high:g}, got {float(outside[0])!r}"
        )
    times = grid.times[::-1] if grid.decreasing else grid.times
    after = np.clip(np.searchsorted(times, wanted), 1, grid.steps)
    nearest = np.where(wanted - times[after - 1] < times[after] - wanted, after - 1, after)
    steps = grid.steps - nearest if grid.decreasing else nearest
    return tuple(sorted({int(i) for i in steps}))
