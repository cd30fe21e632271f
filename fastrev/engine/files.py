"""Runs in files: writing shards, and resuming what was interrupted or damaged."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrev.engine import memory
from fastrev.engine.config import stored_specification
from fastrev.engine.describe import to_toml
from fastrev.engine.executors import write_shards_on
from fastrev.engine.observed import read_observables
from fastrev.engine.options import Options, checked
from fastrev.engine.outcome import Kept, Tally
from fastrev.engine.prepare import build
from fastrev.engine.program import Program
from fastrev.engine.progress import Progress
from fastrev.engine.provenance import provenance
from fastrev.engine.run import Run, open_run
from fastrev.engine.shards import Shard, shards
from fastrev.engine.specification import Specification
from fastrev.engine.stopping import cut, rounds
from fastrev.model.boundary import Periodic
from fastrev.model.check import InputError
from fastrev.model.distribution import Distribution

if TYPE_CHECKING:
    from fastrev.store.h5md import Header, Offsets
    from fastrev.store.writer import Rows


def make_header(spec: Specification, program: Program) -> "Header":
    """What the file says of a specification."""
    from fastrev.store.h5md import Header, Numbers

    text, before, box = to_toml(spec), spec.row_of(spec.span[0]), None
    if isinstance(spec.boundary, Periodic):
        low, high = spec.boundary.walls(spec.dim)
        box = high - low
    return Header(
        rows=np.array(
            [spec.row_of(s.first) - before for s in spec.shards()] + [spec.rows], np.int64
        ),
        dim=spec.dim,
        dtype=spec.storage,
        frame_steps=np.array(spec.frame_steps, dtype=np.int64),
        times=spec.times,
        t_start=spec.grid.start,
        seed=spec.seed,
        specification=text.toml,
        provenance=provenance() | {"program": program.digest},
        arrays=text.arrays,
        numbers={
            name: Numbers(
                spec.grid.times[list(o.steps)],
                o.observable.width(spec.dim),
                o.observable.dtype,
                o.observable.layout,
            )
            for name, o in spec.observed.items()
        },
        passages=spec.dtype if spec.absorbing else None,
        box=box,
    )


def write_shards(
    path: Path,
    header: "Header",
    offsets: "Offsets",
    program: Program,
    todo: Iterable[Shard],
    done: Callable[[int], None],
    durable: bool = True,
    repair: bool = False,
    shared: bool = False,
) -> Tally:
    """Compute shards and write them, one behind the other.  Raises StoreError."""
    from fastrev.store.writer import BUFFERS, Rows, Writer

    largest = int(np.diff(header.rows).max()) * header.nbytes // max(1, int(header.rows[-1]))
    memory.check(BUFFERS * largest, "shard_size x frames x dim")
    tally = Tally()
    with Writer(path, header, offsets, durable, shared) as writer:
        for shard in todo:
            start = time.perf_counter()
            rows = Kept(*writer.buffer(shard.index))
            outcome = program.run_shard(shard, rows, program.spec.row_of(shard.first), done)
            seconds = time.perf_counter() - start
            numbers = dict(zip(program.spec.observed, outcome.numbers, strict=True))
            writer.submit(Rows(shard.index, *rows, numbers, seconds, outcome.non_finite, repair))
            tally = tally.with_(outcome)
    return tally


def write_rounds(
    path: Path,
    header: "Header",
    offsets: "Offsets",
    program: Program,
    todo: list[Shard],
    done: Callable[[int], None],
    durable: bool = True,
    executor: Any = None,
) -> Tally:
    """Compute and write shards until the run's error, if it has one, is reached.

    Here, or on an executor's workers.
    """
    from fastrev.store.lock import claimed

    tally, spec = Tally(), program.spec
    toml = header.specification
    for batch in rounds(spec, todo, lambda first: read_observables(path, toml, first)):
        if executor is None:
            own = write_shards(path, header, offsets, program, batch, done, durable)
        else:
            with claimed(path):
                own = write_shards_on(executor, path, spec, batch, done, durable)
        tally = tally.and_(own)
    return tally


def resume(
    path: str | Path,
    kernels: Mapping[str, Any] | None = None,
    trust: bool = False,
    repair: bool = False,
    progress: bool | None = None,
    executor: Any = None,
) -> Run:
    """Compute the shards that a file lacks, and only those; it ends as if never interrupted.

    path      a run's file
    kernels   the user's own functions by their place in the specification, such as
              {"process.drift": drift}, or as "module:function"
    trust     compile the source stored in the file instead
    repair    also recompute committed shards whose checksum does not match
    progress  True or False; None shows a bar on a terminal
    executor  as for `simulate`, whichever the run began with

    Raises InputError where a kernel is missing or differs from the one that began
    the file, StoreError where the file cannot be read or written.
    """
    from fastrev.store.reader import read_offsets, read_progress
    from fastrev.store.validate import damaged_shards

    header, program = reopened(path, kernels, trust)
    path, spec = Path(path), program.spec
    missing = set(np.flatnonzero(~read_progress(path).committed).tolist())
    broken = set(damaged_shards(path)) if repair else set()
    everything = list(spec.shards())
    with Progress(spec.particles, spec.grid.steps, progress) as bar:
        for chosen, mend in ((broken - missing, True), (missing, False)):
            todo = [shard for shard in everything if shard.index in chosen]
            if not todo:
                continue
            offsets = read_offsets(path)
            if mend:
                write_shards(path, header, offsets, program, todo, bar.advance, repair=True)
            else:
                write_rounds(path, header, offsets, program, todo, bar.advance, executor=executor)
    spec = stopped(path, spec, program)
    return open_run(path).adopt(spec, program.compile_seconds)


def extend(
    path: str | Path,
    n: int,
    out: str | Path,
    kernels: Mapping[str, Any] | None = None,
    trust: bool = False,
    overwrite: bool = False,
    progress: bool | None = None,
) -> Run:
    """The same run with n particles, in a new file: rows that exist are copied, not computed.

    Equal, byte for byte of its frames, to a run that had asked for n particles.
    Arguments as for `resume`.  Raises InputError, StoreError.
    """
    from fastrev.store.h5md import create
    from fastrev.store.reader import read_header, read_progress

    path, out = Path(path), Path(out)
    n = checked(Options, {"n": n.item() if isinstance(n, np.generic) else n}).n
    header = read_header(path)
    old = stored_specification(header.specification, header.arrays, kernels, trust)
    if n is None or n <= old.n:
        got = None if n is None else f"{n:,}"
        raise InputError(f"n must exceed the {old.n:,} particles of {path}, got {got}")
    if old.part != (1, 1):
        raise InputError(
            f"{path} is part {old.part[0]} of {old.part[1]} of a run; merge them first"
        )
    if not isinstance(old.x0, Distribution):
        raise InputError(f"{path} began from given states, one per particle; it cannot be extended")
    if out.exists() and out.samefile(path):
        raise InputError(f"out must be another file than {path}, which is extended")
    keep: Any = old.keep
    if isinstance(keep, range) and keep.stop == old.n:
        keep = range(keep.start, n, keep.step)
    spec = replace(old, n=n, keep=keep)
    program = build(spec)
    check_same(header, program)
    new = make_header(spec, program)
    offsets = create(out, new, overwrite)
    committed = read_progress(path).committed
    shared = [
        s for s in shards(old.n, old.shard_size) if committed[s.index] and s.count == old.shard_size
    ]
    _copy(path, shared, out, new, offsets)
    copied = {s.index for s in shared}
    todo = [s for s in shards(n, spec.shard_size) if s.index not in copied]
    with Progress(sum(s.count for s in todo), spec.grid.steps, progress) as bar:
        write_shards(out, new, offsets, program, todo, bar.advance)
    return open_run(out).adopt(spec, program.compile_seconds)


def stopped(path: Path, spec: Specification, program: Program) -> Specification:
    """Make a file whose run reached its error one of the particles that were run."""
    from fastrev.store.h5md import create
    from fastrev.store.reader import read_progress

    committed = read_progress(path).committed
    if spec.until is None or committed.all():
        return spec
    own = cut(spec, int(np.argmin(committed)) * spec.shard_size)
    beside = path.with_name(path.name + ".part")
    header = make_header(own, program)
    offsets = create(beside, header, overwrite=True)
    _copy(path, list(own.shards()), beside, header, offsets)
    os.replace(beside, path)
    return own


def _copy(path: Path, shared: list[Shard], out: Path, header: "Header", offsets: "Offsets") -> None:
    """Committed shards of one file into another."""
    from fastrev.store.writer import Writer

    with Writer(out, header, offsets) as writer:
        for shard in shared:
            writer.submit(copied_rows(path, shard.index, shard.index, writer.buffer(shard.index)))


def copied_rows(
    path: Path, index: int, to: int, buffer: tuple[NDArray[Any], NDArray[Any]]
) -> "Rows":
    """A committed shard of a file, in a buffer, as shard `to` of another."""
    from fastrev.store.errors import StoreError
    from fastrev.store.h5md import NON_FINITE, ROUNDED, ROWS, SECONDS, VALUE
    from fastrev.store.reader import open_file, shard_numbers, shard_passages
    from fastrev.store.writer import Rows

    with open_file(path) as file:
        if ROUNDED in file["fastrev"].attrs:
            raise StoreError(
                f"{path} was rounded to {file['fastrev'].attrs[ROUNDED]} bits when it was "
                "repacked, and its rows are no longer the run's; take the file before that"
            )
        a, b = (int(v) for v in file[ROWS][index : index + 2])
        frames, passages = buffer
        frames[...], passages[...] = file[VALUE][:, a:b], shard_passages(file, index)
        seconds, lost = float(file[SECONDS][index]), int(file[NON_FINITE][index])
        return Rows(to, frames, passages, shard_numbers(file, index), seconds, lost)


def reopened(
    path: str | Path, kernels: Mapping[str, Any] | None, trust: bool = False
) -> "tuple[Header, Program]":
    """A file's header, and its run ready to go on.  Raises InputError, StoreError."""
    from fastrev.store.reader import read_header

    header = read_header(path)
    program = build(stored_specification(header.specification, header.arrays, kernels, trust))
    check_same(header, program)
    return header, program


def check_same(header: "Header", program: Program) -> None:
    """Refuse to go on with other mathematics than a file began with.  Raises InputError."""
    if header.provenance.get("program") != program.digest:
        made = header.provenance.get("versions", "").split(" ")[0]
        raise InputError(
            "the kernels that this version of fastrev would run differ from those that began "
            f"the file (made with {made}): use that version for it"
        )
