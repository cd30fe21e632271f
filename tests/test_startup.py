"""Importing is quick and compiles nothing."""

import subprocess
import sys

import pytest

import fastrev as fr

SCRIPT = """
import time
start = time.perf_counter()
import fastrev
print(time.perf_counter() - start)
import sys
heavy = ("numba", "llvmlite", "h5py", "matplotlib", "scipy", "rich", "torch", "pydantic")
print(",".join(m for m in heavy if m in sys.modules))
"""


def test_import():
    runs = []
    for _ in range(3):  # the best of three: the machine may be busy
        done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
        seconds, loaded = done.stdout.split("\n")[:2]
        assert loaded == ""  # no compiler, no file library, no plotting, no checks of options
        runs.append(float(seconds))
    assert min(runs) < 0.7


def test_every_public_name_is_there():
    """Also those that are loaded when they are asked for."""
    assert set(fr.__all__) <= set(dir(fr))
    for name in fr.__all__:
        assert getattr(fr, name) is not None
    with pytest.raises(AttributeError, match="'fastrev' has no attribute 'simulates'"):
        _ = fr.simulates
