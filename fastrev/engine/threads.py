"""Threads: how many, and a loop over pieces of work on them.

Kernels release the interpreter lock, so plain threads do: no OpenMP runtime to
survive a fork, nothing that aborts on concurrent launches, and an interrupt is
seen between pieces.
"""

import functools
import math
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


@functools.cache
def available_cores() -> int:
    """Cores this process may use: its affinity, cut by a cgroup's quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _cgroup_quota(cores)))


def _cgroup_quota(cores: int, root: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that the control group grants (cgroup v2, then v1)."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text()
            period = (root / "cpu/cpu.cfs_period_us").read_text()
        except OSError:
            return cores
    try:
        return math.ceil(int(quota) / int(period)) if int(quota) > 0 else cores
    except ValueError:  # "max": no quota
        return cores


def count() -> int:
    """Threads of a run: NUMBA_NUM_THREADS or numba.set_num_threads where set, else the cores, or
    those that Slurm gave the task."""
    parallel = sys.modules.get("numba.np.ufunc.parallel")
    if parallel is not None and parallel._is_initialized:
        return int(parallel.get_num_threads())
    for name in ("NUMBA_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        asked = os.environ.get(name, "")
        if asked.isdigit() and int(asked) > 0:
            return int(asked)
    return available_cores()


def for_each(pieces: Iterable[Any], work: Callable[[Any], T]) -> list[T]:
    """`work(piece)` of every piece, in their order, on `count()` threads, of which this is one.

    The first exception, or a KeyboardInterrupt, cancels the pieces not yet begun,
    waits for those running, and is raised.
    """
    pieces, threads = list(pieces), count()
    if threads == 1 or len(pieces) == 1:
        return [work(piece) for piece in pieces]
    left: deque[int] = deque(range(len(pieces)))
    results: dict[int, T] = {}

    def turns() -> None:
        try:
            while True:
                try:
                    k = left.popleft()
                except IndexError:
                    return
                results[k] = work(pieces[k])
        finally:
            left.clear()

    others = [_pool(threads - 1).submit(turns) for _ in range(min(threads, len(pieces)) - 1)]
    try:
        turns()
    finally:
        # one that another run's pieces keep from beginning would find nothing to do
        begun = [other for other in others if not other.cancel()]
        wait(begun)
    for other in begun:
        other.result()  # raises what a piece raised
    return [results[k] for k in range(len(pieces))]


def libraries_on_one() -> Any:
    """A context in which BLAS libraries use one thread for each of ours that calls them.

    Two threads that both call a BLAS of two threads wait for one another (measured: 1.8 times
    the time of a NumPy network).
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


def _pool(threads: int) -> ThreadPoolExecutor:
    """A pool kept for this process (a forked child makes its own)."""
    key = (os.getpid(), threads)
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(threads, thread_name_prefix="fastrev")
    return _pools[key]
