"""Import, and a first run with and without a stored kernel, each in a fresh process."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import fastrev as fr
run = fr.simulate(fr.Brownian(0.5), fr.Point(0.0), n=1000, steps=10)
print(run.compile_seconds)
"""


def fresh(code, folder):
    environment = os.environ | {"FASTREV_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the cold run stores its kernel, and the warm one finds it."""
    return tmp_path_factory.mktemp("kernels")


def test_import(benchmark, tmp_path):
    benchmark(fresh, "import fastrev", tmp_path)


@pytest.mark.parametrize("state", ["cold", "warm"])
def test_first_run(benchmark, folder, state):
    if state == "warm" and not any(folder.iterdir()):  # this test runs alone
        fresh(SCRIPT, folder)
    done = benchmark.pedantic(fresh, (SCRIPT, folder), rounds=1 if state == "cold" else 3)
    seconds = float(done.stdout)
    benchmark.extra_info["compile_seconds"] = seconds
    assert (seconds < 0.3) == (state == "warm")
