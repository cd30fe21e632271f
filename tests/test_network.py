"""A scheduler and two workers with addresses of their own; one is cut off, and comes back."""

import os
import shutil
import subprocess
import sys
import time

import numpy as np
import problems
import pytest

import fastrev as fr

CONFIG = problems.brownian_config(n=4_000_000, steps=16000, frames=2, seed=3, shard_size=100_000)
TIMEOUTS = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "4s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s",
    "DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT": "2s",
    "DASK_DISTRIBUTED__SCHEDULER__DASHBOARD__ENABLED": "False",
}
SPACES = ("fastrev0", "fastrev1", "fastrev2")


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


@pytest.fixture
def network():
    """Three namespaces, 10.77.0.1 to .3, on a bridge in the first."""
    if shutil.which("ip") is None or os.name != "posix" or os.geteuid() != 0:
        pytest.skip("network namespaces need iproute2 and root")
    remove()
    try:
        for name in SPACES:
            if ip("netns", "add", name, check=False).returncode:
                pytest.skip("network namespaces are not allowed here")
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", SPACES[0], "link", "add", "bridge0", "type", "bridge")
        ip("-n", SPACES[0], "addr", "add", "10.77.0.1/24", "dev", "bridge0")
        ip("-n", SPACES[0], "link", "set", "bridge0", "up")
        for k in (1, 2):
            pair = ("type", "veth", "peer", "name", "eth0", "netns", SPACES[k])
            ip("-n", SPACES[0], "link", "add", f"port{k}", *pair)
            ip("-n", SPACES[0], "link", "set", f"port{k}", "master", "bridge0", "up")
            ip("-n", SPACES[k], "addr", "add", f"10.77.0.{k + 1}/24", "dev", "eth0")
            ip("-n", SPACES[k], "link", "set", "eth0", "up")
        yield
    finally:
        remove()


def remove():
    for name in SPACES:
        ip("netns", "del", name, check=False)


WORKERS = """
from distributed import Client
client = Client("tcp://10.77.0.1:8786", timeout=10)
print(*sorted({w.split("//")[1].split(":")[0] for w in client.scheduler_info()["workers"]}))
"""


@pytest.mark.slow
def test_a_worker_cut_off_comes_back(network, tmp_path):
    pytest.importorskip("distributed")
    (tmp_path / "c.toml").write_text(CONFIG)
    environment = os.environ | TIMEOUTS
    running = []

    def start(k, *command):
        with open(tmp_path / f"{len(running)}.log", "w") as log:
            words = ["ip", "netns", "exec", SPACES[k], sys.executable, *command]
            running.append(
                subprocess.Popen(words, env=environment, cwd=tmp_path, stdout=log, stderr=log)
            )
        return running[-1]

    def work(k):
        return start(
            k, "-m", "distributed.cli.dask_worker", "tcp://10.77.0.1:8786", "--nthreads", "1",
            "--host", f"10.77.0.{k + 1}", "--no-dashboard",
        )  # fmt: skip

    def addresses():
        words = ["ip", "netns", "exec", SPACES[0], sys.executable, "-c", WORKERS]
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        return done.stdout.split()

    def wait_for(what, seconds=60):
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, [p.read_text() for p in tmp_path.glob("*.log")]
            time.sleep(0.2)

    def done():
        try:
            return int(fr.open(tmp_path / "a.h5").frames.committed().sum())
        except ValueError:
            return 0

    try:
        start(0, "-m", "distributed.cli.dask_scheduler", "--host", "10.77.0.1")
        work(1)
        lost = work(2)
        wait_for(lambda: addresses() == ["10.77.0.2", "10.77.0.3"])
        driver = start(
            0, "-m", "fastrev.cli", "run", "c.toml", "-o", "a.h5", "--no-figure",
            "--dask", "tcp://10.77.0.1:8786",
        )  # fmt: skip
        wait_for(lambda: done() >= 4)
        ip("-n", SPACES[0], "link", "set", "port2", "down")
        wait_for(lambda: addresses() == ["10.77.0.2"])
        before = done()
        assert before < 36
        ip("-n", SPACES[0], "link", "set", "port2", "up")
        lost.wait(90)  # a worker that was given up ends, and what looks after it starts another
        work(2)
        wait_for(lambda: addresses() == ["10.77.0.2", "10.77.0.3"])
        assert driver.wait(120) == 0
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait(20)
    run = fr.open(tmp_path / "a.h5")
    assert run.frames.committed().all()
    own = fr.simulate(fr.Brownian(0.5), fr.Gaussian(), n=run.n, steps=16000, seed=3)
    np.testing.assert_array_equal(run.frames[-1], own.x)
