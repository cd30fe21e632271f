"""Executors as the command line names them: processes here, a Dask cluster, the ranks of MPI."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastrev.model.check import InputError


@dataclass(frozen=True)
class Where:
    """Where a run's shards are computed; nothing for this process's threads.

    processes    so many processes of this machine, of one thread each
    dask         the address of a Dask scheduler, "tcp://host:port"
    dask_local   a Dask cluster of so many processes on this machine
    mpi          the ranks of `mpiexec -n N fastrev run ... --mpi`, of which one gives out the work
    """

    processes: int | None = None
    dask: str | None = None
    dask_local: int | None = None
    mpi: bool = False

    def __post_init__(self) -> None:
        given = [name for name, value in vars(self).items() if value]
        if len(given) > 1:
            options = " and ".join("--" + name.replace("_", "-") for name in given)
            raise InputError(f"a run is computed in one place, got {options}")


@contextmanager
def executor_at(where: Where) -> Iterator[Any]:
    """The executor, None for this process.  A rank that only computes gets `HELPER`, at the end.

    Raises InputError where a package is missing or no scheduler answers.
    """
    if where.processes:
        context = multiprocessing.get_context("spawn")  # a fork would copy locked threads
        with ProcessPoolExecutor(where.processes, mp_context=context) as pool:
            yield pool
    elif where.dask or where.dask_local:
        with _dask(where) as client:
            yield client
    elif where.mpi:
        with _mpi() as executor:
            yield HELPER if executor is None else executor
    else:
        yield None


HELPER = object()
"""In place of an executor, on the ranks that have served one."""


@contextmanager
def _dask(where: Where) -> Iterator[Any]:
    try:
        import distributed
    except ImportError:
        raise InputError("--dask needs Dask: pip install 'fastrev[dask]'") from None
    if where.dask_local:
        options = {"n_workers": where.dask_local, "threads_per_worker": 1, "processes": True}
        with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
            yield client
        return
    try:
        client = distributed.Client(where.dask, timeout=10)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"--dask: no scheduler answers at {where.dask}: {error}") from None
    with client:
        yield client


@contextmanager
def _mpi() -> Iterator[Any]:
    try:
        from mpi4py import MPI
        from mpi4py.futures import MPICommExecutor
    except ImportError as error:
        raise InputError(
            f"--mpi needs mpi4py and an MPI: pip install 'fastrev[mpi]' ({error})"
        ) from None
    if MPI.COMM_WORLD.Get_size() < 2:
        raise InputError("--mpi needs two ranks or more: mpiexec -n 3 fastrev run CONFIG --mpi")
    with MPICommExecutor(MPI.COMM_WORLD, root=0) as executor:
        yield executor
