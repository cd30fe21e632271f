"""The way through the engine: specification -> shards -> kernel -> rows -> memory or file."""

import os
import tempfile
import time as clock
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fastrev.engine import memory
from fastrev.engine.executors import as_executor
from fastrev.engine.lastframe import LastFrame
from fastrev.engine.options import Options, checked
from fastrev.engine.outcome import Kept, Outcome, Tally, make_rows
from fastrev.engine.prepare import build
from fastrev.engine.program import Program
from fastrev.engine.progress import Progress
from fastrev.engine.run import Run
from fastrev.engine.specification import Specification
from fastrev.engine.specify import specify
from fastrev.engine.stopping import cut, rounds
from fastrev.model.boundary import Boundary
from fastrev.model.check import InputError
from fastrev.model.methods import as_method, method_table
from fastrev.model.stopping import StandardError
from fastrev.model.timegrid import TimeGrid


def simulate(
    process: Any,
    x0: Any,
    n: int | None = None,
    time: Any = (0.0, 1.0),
    steps: int = 1000,
    dim: int | None = None,
    seed: int | None = None,
    dtype: Any = "float32",
    frames: Any = 2,
    method: Any = "euler-maruyama",
    observe: Any = (),
    out: str | Path | None = None,
    executor: Any = None,
    shard_size: int | None = None,
    progress: bool | None = None,
    overwrite: bool = False,
    durable: bool = True,
    keep: Any = 1,
    storage: Any = None,
    boundary: Boundary | None = None,
    until: StandardError | None = None,
    part: tuple[int, int] | None = None,
    generator: str = "philox",
) -> Run:
    """Run n independent particles of a process over a time grid.

        x_{i+1} = x_i + b(x_i, t_i) h_i + g(x_i, t_i) sqrt|h_i| z_i,   h_i = t_{i+1} - t_i

    process     a forward process, or `reverse(process, score)`
    x0          a distribution, an (n, dim) array, or the path of a run's file, whose
                last frame is read row by row
    n           particles; 1,000,000, or the length of x0
    time        (t0, t1), or a TimeGrid (then `steps` is ignored); forward time,
                descending for a reverse process
    steps       equal steps
    dim         coordinates; 1, or what x0 or the process have
    seed        whole number below 2^64; None draws a fresh one and records it.  Runs of one seed
                share their noise where they start at one time in one direction, and only there
    dtype       "float32" or "float64"
    frames      how many to keep, first and last included, the times to keep, or
                {"every": k} for each k-th step and the last; 0 for observables only
    method      "euler-maruyama", "milstein", "heun", "exponential", "predictor-corrector", or
                an object such as PredictorCorrector(corrections=2); its docstring
                says for which noise it is and its orders
    observe     what to measure while it runs: Moments(), several in a list, or a dict
                of names; see `run.observables`
    out         HDF5 file to stream frames to; None keeps them in memory
    executor    where shards run: None for this process's threads; a
                concurrent.futures.Executor, or a Dask client, whose workers write
                the file themselves and must see it under the same name
    shard_size  particles per shard; changes no particle, and the last digits of sums over them
    progress    True or False; None shows a bar on a terminal
    overwrite   replace `out` if it exists
    durable     False: do not wait for the disk before committing a shard
    keep        which particles' frames are kept: every k-th, a slice, ids, or a mask (n,)
    storage     dtype of the frames: "float16", "float32", "float64"; None for `dtype`
    boundary    Reflect(low, high), Periodic(low, high), Absorb(low, high); None for free space
    until       StandardError("mean", 1e-4): stop when that error of an observable is reached;
                n is then the most that is run, and the result an ensemble of so many as were
    part        (k, m): only the k-th of m parts of the run, from 1 on; `merge` joins their files
    generator   of the normals of the start, the steps and correctors (uniforms, and what happens
                at walls, are Philox's): "philox" (Philox4x32-10), fast on every processor, or
                "ars" (ARS4x32-7; both Salmon et al., SC11), faster where an instruction makes
                rounds of AES of several counters (Intel since Ice Lake, AMD since Zen 3), and
                slow on processors without AES

    Particles and counts are the same, bit for bit, at any number of threads and any shard size;
    sums, of means and moments, at any number of threads.
    Raises InputError (a ValueError) for bad input, before any file is touched;
    StoreError for a file that cannot be made or written.
    """
    spec = specified(
        process, x0, n=n, time=time, steps=steps, dim=dim, seed=seed, dtype=dtype, frames=frames,
        method=method, observe=observe, shard_size=shard_size, keep=keep, storage=storage,
        boundary=boundary, until=until, part=part, generator=generator,
    )  # fmt: skip
    return execute(spec, out, progress, overwrite, durable, executor)


def specified(
    process: Any,
    x0: Any,
    time: Any = (0.0, 1.0),
    dtype: Any = "float32",
    method: Any = "euler-maruyama",
    observe: Any = (),
    keep: Any = 1,
    storage: Any = None,
    boundary: Boundary | None = None,
    until: StandardError | None = None,
    **plain: Any,
) -> Specification:
    """The specification that these arguments of `simulate` describe.  Raises InputError."""
    grid = time if isinstance(time, TimeGrid) else None
    values = plain | {
        "dtype": _dtype_name(dtype),
        "method": method_table(as_method(method)),
        "storage": None if storage is None else _dtype_name(storage),
        "keep": _keep_ids(keep, plain.get("n"), x0),
        "until": asdict(until) if isinstance(until, StandardError) else until,
    }
    if grid is None:
        values["time"] = time
    options = checked(Options, {name: _plain(value) for name, value in values.items()})
    return specify(process, x0, options, grid, observe, boundary)


def _dtype_name(dtype: Any) -> Any:
    try:
        return np.dtype(dtype).name
    except TypeError:
        return dtype


def _keep_ids(keep: Any, n: Any, x0: Any) -> Any:
    """A slice or range by its parts, a mask by the ids where it is true.  Raises InputError."""
    if isinstance(keep, slice | range):
        parts = {"start": keep.start, "stop": keep.stop, "step": keep.step}
        return {name: value for name, value in parts.items() if value is not None}
    if isinstance(keep, np.ndarray) and keep.dtype == bool:
        n = len(x0) if n is None and isinstance(x0, np.ndarray) else n
        if keep.shape != (n,):
            raise InputError(f"keep as a mask must have shape (n,) = ({n},), got {keep.shape}")
        return np.flatnonzero(keep)
    return keep


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays as Python's own."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def execute(
    spec: Specification,
    out: str | Path | None = None,
    progress: bool | None = None,
    overwrite: bool = False,
    durable: bool = True,
    executor: Any = None,
) -> Run:
    """Run a specification, in memory or into a file."""
    if executor is not None:
        as_executor(executor)
    if out is None and executor is not None:
        memory.check(spec.rows_nbytes)
        with tempfile.TemporaryDirectory(prefix="fastrev-") as folder:
            made = execute(spec, Path(folder) / "run.h5", progress, False, False, executor)
            return made.loaded()
    if out is None:
        memory.check(spec.rows_nbytes)
        run, tally = _in_memory(spec, build(spec), progress)
    else:
        path = _path(out)
        from fastrev.store.h5md import check_target

        source = spec.x0.path if isinstance(spec.x0, LastFrame) else None
        if source is not None and path.exists() and path.samefile(source):
            raise InputError(f"out must not be the file that x0 is read from, {path}")
        check_target(path, spec.rows_nbytes, overwrite)
        program = build(spec)
        run, tally = _to_file(spec, program, path, progress, overwrite, durable, executor)
    if run.non_finite:
        warnings.warn(_lost_message(run, spec, tally.lost), RuntimeWarning, stacklevel=3)
    for name, one in spec.observed.items():
        note = one.observable.note(run.observables[name])
        if note:
            warnings.warn(f"observable {name!r}: {note}", RuntimeWarning, stacklevel=3)
    if tally.outside:
        warnings.warn(
            f"{tally.outside:,} of {spec.particles:,} particles were at some step beyond the "
            "score's grid, where it goes on linearly",
            RuntimeWarning,
            stacklevel=3,
        )
    return run


def _lost_message(run: Run, spec: Specification, particle: int) -> str:
    """How many coordinates were lost, and where one particle was, which can be run again."""
    path = run.trace(particle)[:, 0]
    most, how = np.inf, "infinite or NaN"
    if spec.storage == "float16":
        from fastrev.kernels.half import LEAST_INFINITE

        most, how = LEAST_INFINITE, "beyond the storage's float16, which ends at 65504"
    step = int(np.argmin((np.abs(path) < most).all(axis=1)))
    return (
        f"{run.non_finite:,} of {spec.particles * spec.dim:,} coordinates ended {how}; "
        f"particle {particle} first at step {step}, t = {spec.grid.times[step]:g}: see "
        f"run.trace({particle})"
    )


def _path(out: Any) -> Path:
    """A file name.  Raises InputError."""
    if not isinstance(out, str | os.PathLike) or "\0" in str(out) or not str(out):
        raise InputError(f"out must be a file name, got {out!r}")
    return Path(out)


def _in_memory(spec: Specification, program: Program, progress: bool | None) -> tuple[Run, Tally]:
    from fastrev.engine.describe import to_toml

    rows = make_rows(spec, spec.rows)
    totals: list[Outcome] = []

    def results() -> dict[str, Any]:
        return {
            name: o.observable.result(numbers, spec.grid.times[list(o.steps)])
            for (name, o), numbers in zip(spec.observed.items(), totals[0].numbers, strict=True)
        }

    done, start = 0, clock.perf_counter()
    with Progress(spec.particles, spec.grid.steps, progress) as bar:
        for batch in rounds(spec, list(spec.shards()), lambda judged: results()):
            for shard in batch:
                outcome = program.run_shard(shard, rows, spec.row_of(spec.span[0]), bar.advance)
                totals[:] = [program.joined(totals[0], outcome) if totals else outcome]
                done += shard.count
    seconds = clock.perf_counter() - start
    if done < spec.particles:
        kept = spec.row_of(done)
        rows = Kept(rows.frames[:, :kept], rows.passages[:kept])
        spec = cut(spec, done)
    run = Run(
        rows.frames,
        spec.times,
        spec.seed,
        None if program.recipe.own else to_toml(spec).toml,  # a user's functions as they are now
        spec,
        seconds,
        program.compile_seconds,
        totals[0].non_finite,
        observables=results(),
        first_passage=rows.passages if spec.absorbing else None,
    )
    return run, Tally().with_(totals[0])


def _to_file(
    spec: Specification,
    program: Program,
    path: Path,
    progress: bool | None,
    overwrite: bool,
    durable: bool,
    executor: Any = None,
) -> tuple[Run, Tally]:
    from fastrev.engine.files import make_header, stopped, write_rounds
    from fastrev.engine.run import open_run
    from fastrev.store.h5md import create
    from fastrev.store.reader import read_offsets

    header = make_header(spec, program)
    start = clock.perf_counter()
    offsets = create(path, header, overwrite)
    with Progress(spec.particles, spec.grid.steps, progress) as bar:
        todo = list(spec.shards())
        common = (path, header, offsets, program, todo, bar.advance, durable)
        tally = write_rounds(*common, executor=executor)
    read_offsets(path, offsets.token[1])  # is it still this run's?
    spec = stopped(path, spec, program)
    seconds = clock.perf_counter() - start
    return open_run(path).adopt(spec, program.compile_seconds, seconds), tally
