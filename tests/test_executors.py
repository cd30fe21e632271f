"""Runs on other processes: the same bytes from a pool, a Dask cluster, after lost workers."""

import hashlib
import importlib.util
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from typer.testing import CliRunner

import fastrev as fr
from fastrev.cli import app

LAW = fr.Gaussian(0.0, 0.5)
STEPS = 100


def drift(x, t, p):
    return x - x * x * x


def square(x, t, p):
    return x * x


PROCESS = fr.SDE(drift, 0.7)
OBSERVE = {"h": fr.Histogram(-2, 2, 50), "phi": fr.Mean(square), "m": fr.Moments()}


def make(**options):
    options = {
        "n": 20_003, "steps": STEPS, "seed": 5, "frames": 3, "shard_size": 2000, "observe": OBSERVE
    } | options  # fmt: skip
    return fr.simulate(PROCESS, LAW, **options)


def digest(run):
    seen = run.observables
    whole = hashlib.sha256(np.ascontiguousarray(run.frames[:]).tobytes())
    for array in (seen["h"].counts, seen["phi"].mean, seen["m"].cov):
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def wanted():
    return digest(make())


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


def test_a_pool_of_processes(tmp_path, wanted, pool):
    run = make(executor=pool, out=tmp_path / "a.h5")
    assert digest(run) == wanted and run.frames.committed().all()
    assert digest(fr.open(tmp_path / "a.h5")) == wanted
    inner = make(executor=pool)
    assert digest(inner) == wanted and inner.path is None and inner.trace(7).shape == (101, 1, 1)
    assert digest(make(seed=6)) != wanted


def test_another_run_under_the_same_name(tmp_path, pool):
    """The workers take the file that is there now, not the one that they had before."""
    for n, seed in ((5000, 1), (9000, 2), (9000, 3)):
        run = make(n=n, seed=seed, executor=pool, out=tmp_path / "a.h5", overwrite=True)
        assert digest(run) == digest(make(n=n, seed=seed))


def test_threads_too(wanted):
    with ThreadPoolExecutor(3) as executor:
        assert digest(make(executor=executor)) == wanted


def test_given_states_and_an_error_to_reach(tmp_path, pool):
    x0 = np.random.default_rng(1).normal(size=(30_000, 1)).astype(np.float32)
    options = {"steps": STEPS, "seed": 2, "observe": {"phi": fr.Mean(square)}}
    options |= {"until": fr.StandardError("phi", 0.02), "shard_size": 500}
    runs = [
        fr.simulate(PROCESS, x0, executor=e, out=tmp_path / f"{k}.h5", **options)
        for k, e in enumerate((None, pool))
    ]
    assert runs[0].n == runs[1].n < 20_000
    np.testing.assert_array_equal(runs[0].frames[:], runs[1].frames[:])


class Flaky:
    """An executor that fails some shards some times."""

    def __init__(self, failures):
        self.failures = dict(failures)

    def submit(self, function, index, *args):
        future = Future()
        if self.failures.get(index, 0) > 0:
            self.failures[index] -= 1
            future.set_exception(OSError("the node is gone"))
        else:
            future.set_result(function(index, *args))
        return future


def test_a_shard_is_tried_three_times(tmp_path, wanted):
    assert digest(make(executor=Flaky({3: 2, 7: 1}), out=tmp_path / "a.h5")) == wanted
    message = r"particles 6000 to 7999 failed 3 times: OSError\('the node is gone'\)"
    with pytest.raises(fr.WorkerError, match=message):
        make(executor=Flaky({3: 3}), out=tmp_path / "b.h5")
    before = fr.open(tmp_path / "b.h5").frames.committed()
    assert 3 <= before.sum() < len(before) and not before[3]
    kernels = {"process.drift": drift, "observe.phi.kernel": square}
    with ThreadPoolExecutor(2) as executor:
        assert digest(fr.resume(tmp_path / "b.h5", kernels, executor=executor)) == wanted


def test_a_killed_process(tmp_path, wanted):
    """A pool that lost a process is broken: what is committed stays, and another goes on."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        pids = {executor.submit(os.getpid).result() for _ in range(50)}
        os.kill(pids.pop(), signal.SIGKILL)
        with pytest.raises(fr.WorkerError, match="what is committed to the file is kept"):
            make(executor=executor, out=tmp_path / "a.h5")
    kernels = {"process.drift": drift, "observe.phi.kernel": square}
    assert digest(fr.resume(tmp_path / "a.h5", kernels)) == wanted


def test_bad_executors(pool, tmp_path):
    with pytest.raises(fr.InputError, match="executor must be a concurrent.futures.Executor"):
        make(executor=3)
    with pytest.raises(fr.InputError, match=r"Mean.dim must be 1"):
        make(executor=pool, observe=fr.Mean(square, dim=2))


def test_a_dask_cluster_that_loses_workers(tmp_path, wanted):
    """Five of them, killed while they write: the run ends by itself."""
    distributed = pytest.importorskip("distributed")
    options = {
        "n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None,
        "local_directory": str(tmp_path),
    }  # fmt: skip
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        assert digest(make(executor=client, out=tmp_path / "a.h5")) == wanted
        killed, ended = [], threading.Event()

        def kill():
            while len(killed) < 5 and not ended.is_set():
                time.sleep(0.5)
                workers = [w.pid for w in cluster.workers.values() if w.pid]
                if workers:
                    os.kill(workers[len(killed) % len(workers)], signal.SIGKILL)
                    killed.append(workers)

        many = {"n": 600_003, "steps": 1000, "shard_size": 4000, "frames": 2, "observe": ()}
        killer = threading.Thread(target=kill)
        killer.start()
        run = make(executor=client, out=tmp_path / "b.h5", **many)
        ended.set()
        killer.join()
    assert len(killed) == 5 and run.frames.committed().all()
    alone = make(**many)
    np.testing.assert_array_equal(run.frames[:], alone.frames)


CONFIG = """
[process]
kind = "OrnsteinUhlenbeck"
theta = 1.0
sigma = 0.7
[x0]
kind = "Gaussian"
[observe.h]
kind = "Histogram"
low = -3
high = 3
bins = 40
[run]
n = 20_003
steps = 50
frames = 3
seed = 4
shard_size = 1500
"""


def test_by_command(tmp_path, monkeypatch):
    """In one process, two, a Dask cluster, under mpiexec: the same frames and counts."""
    (tmp_path / "a.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    ways = {"alone": [], "processes": ["--processes", "2"]}
    if importlib.util.find_spec("distributed"):
        ways["dask"] = ["--dask-local", "2"]
    if importlib.util.find_spec("mpi4py") and shutil.which("mpiexec"):
        ways["mpi"] = ["--mpi"]
    found = {}
    for name, options in ways.items():
        before = ["mpiexec", "-n", "3"] if name == "mpi" else []
        command = [*before, sys.executable, "-m", "fastrev.cli", "run", "a.toml", "--no-figure"]
        done = subprocess.run(
            [*command, *options, "-o", f"{name}.h5"], capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("million particle-steps/s") == 1
        run = fr.open(f"{name}.h5")
        assert run.frames.committed().all()
        counts = run.observables["h"].counts
        found[name] = hashlib.sha256(run.frames[:].tobytes() + counts.tobytes()).hexdigest()
    assert len(set(found.values())) == 1


def test_bad_places():
    for options, message in (
        (["--processes", "2", "--mpi"], "--processes and --mpi"),
        (["--dask", "tcp://127.0.0.1:1"], "no scheduler answers|needs Dask"),
        (["--mpi"], "needs two ranks or more|needs mpi4py"),
    ):
        done = CliRunner().invoke(app, ["run", "data/brownian_forward.toml", *options])
        assert isinstance(done.exception, fr.InputError)
        assert re.search(message, str(done.exception))
