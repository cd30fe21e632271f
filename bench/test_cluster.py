"""What other processes cost: against this one's threads, and what passes through the driver."""

import multiprocessing
import pickle
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import fastrev as fr
from fastrev.engine import threads

PROCESS = fr.Brownian(0.5)
BACK = fr.reverse(PROCESS, PROCESS.score(fr.Point(0.0)))


def simulate(n, steps, **options):
    x0 = PROCESS.marginal(fr.Point(0.0), 1.0)
    return fr.simulate(BACK, x0, n=n, time=(1, 0), steps=steps, seed=1, durable=False, **options)


@pytest.fixture(scope="module")
def pool():
    """A worker a thread that this process has, each with its compiler loaded."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(threads.count(), mp_context=context) as executor:
        yield executor


class Weighed:
    """An executor that weighs what goes out and what comes back, as it is pickled."""

    def __init__(self, executor):
        self.executor, self.sent, self.received, self.tasks = executor, 0, 0, 0

    def submit(self, function, *arguments):
        self.sent += len(pickle.dumps((function, arguments)))
        future = self.executor.submit(function, *arguments)
        future.add_done_callback(self._weigh)
        return future

    def _weigh(self, future):
        self.received += len(pickle.dumps(future.result()))
        self.tasks += 1


@pytest.mark.parametrize("n", [10_000_000, 40_000_000])
def test_processes_against_threads(benchmark, pool, tmp_path, n):
    """The same run into a file by as many single-threaded processes, in turns; start-up apart."""
    steps, rounds = (200, 3 if n < 2 * 10**7 else 2) if not benchmark.disabled else (20, 1)
    n = n if not benchmark.disabled else n // 100
    options = {"frames": 2, "overwrite": True, "shard_size": n // 16, "keep": 16}
    ours, theirs = ({"out": tmp_path / f"{k}.h5"} | options for k in "ab")
    theirs["executor"] = pool
    for way in (ours, theirs):  # kernels loaded, workers started
        simulate(64 * 16, steps, **(way | {"shard_size": 64}))
    ratios = []
    for _ in range(rounds):
        seconds = []
        for way in (ours, theirs):
            start = time.perf_counter()
            simulate(n, steps, **way)
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / seconds[1])
    a, b = (fr.open(tmp_path / f"{k}.h5").frames[:] for k in "ab")
    np.testing.assert_array_equal(a, b)
    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info.update(ratio=float(np.median(ratios)))
    print(f"n = {n:,}: processes have {np.median(ratios):.3f} of the threads' throughput")
    assert benchmark.disabled or np.median(ratios) > 0.9


def test_what_passes_through_the_driver(benchmark, pool, tmp_path):
    """As little as 1 MB would be for 4 x 10^8 particles and three frames."""
    import resource

    sizes = (10**7, 6 * 10**7) if not benchmark.disabled else (4 * 10**5, 4 * 10**6)
    seen = []
    for n in sizes:
        weighed = Weighed(pool)
        options = {"steps": 4, "frames": 3, "observe": fr.Moments(), "overwrite": True}
        run = simulate(n, executor=weighed, out=tmp_path / "a.h5", **options)
        assert run.frames.committed().all() and run.n == n
        assert abs(run.observables["moments"].variance[-1, 0] / 0.25 - 1) < 0.01
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seen.append((weighed.sent, weighed.received, peak))
        print(
            f"n = {n:,}: {weighed.tasks} tasks, {weighed.sent / 1e3:.1f} kB out, "
            f"{weighed.received / 1e3:.1f} kB back, driver's peak {peak:.0f} MB, file "
            f"{run.path.stat().st_size / 1e9:.2f} GB"
        )
    benchmark.extra_info.update(sent=seen[-1][0], received=seen[-1][1], megabytes=seen[-1][2])
    benchmark.pedantic(lambda: None, rounds=1)
    assert max(seen[-1][:2]) < 1e6 * (sizes[-1] / 4e8)
    assert seen[1][2] < seen[0][2] + 64
