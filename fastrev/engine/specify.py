"""A specification of what a user asks for, every value checked once."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrev.engine import memory
from fastrev.engine.lastframe import LastFrame, last_frame
from fastrev.engine.options import Every, KeepIds, ObserveOptions, Options, checked
from fastrev.engine.sizes import default_shard_size
from fastrev.engine.specification import Observed, Specification
from fastrev.model import check
from fastrev.model.boundary import Absorb, Boundary
from fastrev.model.check import InputError
from fastrev.model.distribution import Distribution
from fastrev.model.methods import as_method
from fastrev.model.observable import Observable
from fastrev.model.reversal import Reverse
from fastrev.model.stopping import StandardError
from fastrev.model.timegrid import TimeGrid

MAX_COORDINATES = 1 << 24
"""Coordinates that the address of a random number has room for."""
MAX_STEPS, MAX_CORRECTIONS = 1 << 29, 1 << 32
"""Steps, and corrections of all steps together, that it has room for."""


def specify(
    process: Any,
    x0: Any,
    options: Options,
    grid: TimeGrid | None = None,
    observe: Any = (),
    boundary: Boundary | None = None,
    stored: bool = False,
) -> Specification:
    """A checked Specification; stored: of a file, where a run that stopped may have no particle
    of those that it was to keep.

    Raises InputError.
    """
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
    numbers = sum(8 * len(o.steps) * o.observable.width(dim) for o in observed.values())
    memory.check(_SETS * numbers, "observe: times x numbers of each")
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
        keep=_kept(options.keep, n, stored),
        storage=options.storage or options.dtype,
        observed=observed,
        boundary=boundary,
        until=until,
        part=part,
        generator=options.generator,
    )


_SETS = 4
"""Of an observable's numbers that there are at a time, at least."""


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
    if isinstance(x0, np.ma.MaskedArray):
        raise InputError("x0 must not be a masked array: give the particles that there are")
    if np.iscomplexobj(x0):
        raise InputError("x0 must be real numbers, got complex ones")
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


def _kept(keep: int | KeepIds | list[int], n: int, none: bool) -> range | NDArray[np.int64]:
    """The particles to keep: every so many, a range, or ids; whether that may be none."""
    if isinstance(keep, list):
        ids = np.array(sorted(set(keep)), dtype=np.int64)
        if not (none or len(ids)):
            raise InputError("keep must be at least one id, got []")
        if len(ids) and (ids[0] < 0 or ids[-1] >= n):
            bad = int(ids[0] if ids[0] < 0 else ids[-1])
            raise InputError(f"keep must be ids between 0 and {n - 1}, got {bad}")
        return ids
    if isinstance(keep, int):
        return range(0, n, keep)
    chosen = range(keep.start, min(keep.stop or n, n), keep.step)
    if not (none or chosen):
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
