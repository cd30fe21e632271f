"""Shards on other processes: of a pool, a Dask cluster, MPI.

A shard is a pure function of the specification, which is in the file.  So a task is the file's
name, the user's own functions by value, and a shard's index; a worker computes it and writes its
rows at their own place, and what comes back is a count.  The file must be where all can write it.
"""

import os
import secrets
import socket
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastrev.engine.messages import KernelError
from fastrev.engine.outcome import Tally
from fastrev.engine.program import Program
from fastrev.engine.shards import Shard
from fastrev.engine.specification import Specification
from fastrev.model.check import InputError

if TYPE_CHECKING:
    from fastrev.store.h5md import Header, Offsets

_TRIES = 3
"""How often a shard is tried before its error ends the run."""
_AHEAD = 4096
"""Tasks that are given out at once: as many as keep any cluster busy."""


class WorkerError(RuntimeError):
    """A shard that failed on every worker that tried it."""


def as_executor(given: Any) -> Any:
    """A `concurrent.futures.Executor`; of a Dask client, its own.  Raises InputError."""
    if hasattr(given, "get_executor"):
        return given.get_executor(pure=False)
    if not hasattr(given, "submit"):
        raise InputError(
            "executor must be a concurrent.futures.Executor, such as ProcessPoolExecutor(4) or "
            f"mpi4py.futures.MPIPoolExecutor(), or a dask.distributed.Client, got {given!r}"
        )
    return given


def write_shards_on(
    executor: Any,
    path: Path,
    spec: Specification,
    todo: list[Shard],
    done: Callable[[int], None],
    durable: bool = True,
) -> Tally:
    """Compute shards on the executor's workers, which write them.

    A shard that fails, or whose worker is lost, is given out again, at most three times.
    Raises WorkerError with the range of its ids; InputError, KernelError as they are; what is
    committed stays, and `resume` goes on with any executor.
    """
    from fastrev.store.reader import file_token

    tally = Tally()
    tasks = {shard.index: f"particles {shard.first} to {shard.end - 1}" for shard in todo}
    # the file of that name may be another one next time; those of older versions have no token
    run = (file_token(path), secrets.token_bytes(8))
    same = (str(path.resolve()), by_value(functions_of(spec), spec), this_process(), durable, run)
    sizes = {shard.index: shard.count for shard in todo}
    for index, own in each_done(executor, _run_shard, tasks, same):
        tally = tally.and_(own)
        done(sizes[index])
    return tally


def each_done(
    executor: Any, function: Callable[..., Any], tasks: Mapping[int, str], same: tuple[Any, ...]
) -> Iterator[tuple[int, Any]]:
    """function(number, *same) on the executor's workers: numbers and answers, as they come.

    tasks   what each number is, for errors

    One that fails, or whose worker is lost, is given out again, at most three times.
    """
    given = as_executor(executor)
    waiting, tries = list(tasks)[::-1], dict.fromkeys(tasks, 0)
    running: dict[Future[Any], int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < _AHEAD:
                number = waiting.pop()
                try:
                    running[given.submit(function, number, *same)] = number
                except RuntimeError as error:  # a broken executor's too
                    raise _failed(tasks[number], 0, error) from error
            for future in _ended(running):
                number = running.pop(future)
                try:
                    answer = future.result()
                except (InputError, KernelError):
                    raise
                except Exception as error:  # a worker's, or of its loss: any kind
                    tries[number] += 1
                    if tries[number] == _TRIES or isinstance(error, BrokenExecutor):
                        raise _failed(tasks[number], tries[number], error) from error
                    waiting.append(number)
                else:
                    yield number, answer
    finally:
        for future in running:  # those that do run write the bytes that resume would
            future.cancel()


def _failed(what: str, tries: int, error: BaseException) -> WorkerError:
    often = f" {tries} times" if tries > 1 else ""
    return WorkerError(
        f"{what} failed{often}: {error!r}; what is committed to the file is kept, and resume "
        "goes on from there"
    )


def _ended(running: Mapping[Any, Any]) -> Iterator[Any]:
    """Those futures that are done, one or more."""
    first = next(iter(running))
    if isinstance(first, Future):
        yield from wait(running, return_when=FIRST_COMPLETED).done
        return
    ended = [future for future in running if future.done()]
    while not ended:  # futures of another kind only tell when they are asked
        time.sleep(0.01)
        ended = [future for future in running if future.done()]
    yield from ended


def by_value(thing: Any, spec: Specification) -> bytes:
    """Pickled, with the user's own functions as they are: workers need not have their modules."""
    import cloudpickle

    names = {getattr(f, "__module__", "") for f in functions_of(spec).values()} - {"__main__"}
    modules = [sys.modules[name] for name in names if _is_own(sys.modules.get(name))]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(thing))
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _is_own(module: Any) -> bool:
    """Whether it lies in a folder of the user's, not where packages are installed."""
    installed = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    file = str(getattr(module, "__file__", None) or sys.prefix)
    return not any(Path(file).is_relative_to(folder) for folder in (*installed, sys.prefix))


def this_process() -> str:
    """A name that no other process has."""
    return f"{socket.gethostname()} {os.getpid()}"


def functions_of(spec: Specification) -> dict[str, Any]:
    """The user's own functions by their places, as a file records them."""
    import tomllib

    from fastrev.engine.describe import to_toml
    from fastrev.engine.functions import recorded

    found: dict[str, Any] = {}
    roots = {"process": getattr(spec.process, "process", spec.process)}
    roots |= {"score": getattr(spec.process, "score", None), "boundary": spec.boundary}
    observables = {name: one.observable for name, one in spec.observed.items()}
    for place, _, _ in recorded(tomllib.loads(to_toml(spec).toml)):
        table, *names = place.split(".")
        value: Any = observables[names.pop(0)] if table == "observe" else roots[table]
        for name in names:
            value = getattr(value, name)
        found[place] = value
    return found


_programs: dict[tuple[bytes, bytes], tuple["Header", "Offsets", Program]] = {}
"""Of a worker: the run that it last had a shard of."""


def one_thread(driver: str) -> None:
    """A worker computes on one thread, unless it is a thread of the driver's."""
    if driver != this_process():
        os.environ.setdefault("NUMBA_NUM_THREADS", "1")


def _run_shard(
    index: int, path: str, functions: bytes, driver: str, durable: bool, run: tuple[bytes, bytes]
) -> Tally:
    """What a worker does: compute a shard and write it."""
    from fastrev.engine.files import write_shards

    one_thread(driver)
    if run not in _programs:
        _programs.clear()
        _programs[run] = _prepared(Path(path), functions, run[0])
    header, offsets, program = _programs[run]
    spec = program.spec
    todo, ignored = [spec.shard(index)], lambda count: None
    return write_shards(Path(path), header, offsets, program, todo, ignored, durable, shared=True)


def _prepared(path: Path, functions: bytes, token: bytes) -> tuple["Header", "Offsets", Program]:
    import pickle

    from fastrev.engine.files import reopened
    from fastrev.store.reader import read_offsets

    offsets = read_offsets(path, token)
    header, program = reopened(path, pickle.loads(functions))  # by the driver of this very run
    return header, offsets, program
