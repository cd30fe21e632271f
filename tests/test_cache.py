"""Compiled kernels: found again when nothing changed, never when something did."""

import os
import subprocess
import sys
import types

import numpy as np
import pytest

import fastrev as fr
from fastrev.kernels.fingerprint import fingerprint

SCALE = 2.0


def helper(x):
    return SCALE * x


def drift(x, t, p):
    return -helper(x)


def factory(value):
    def kernel(x, t, p):
        return value * x

    return kernel


def rebuilt(source):
    scope = {}
    exec(source, scope)
    return scope["f"]


def test_fingerprint_sees_what_decides_a_kernel(monkeypatch):
    assert fingerprint(drift) == fingerprint(drift)
    assert fingerprint(factory(1.0)) == fingerprint(factory(1.0))
    assert fingerprint(factory(1.0)) != fingerprint(factory(2.0))  # closure value
    a, b = (rebuilt(f"def f(x, t, p):\n    return {c} * x") for c in ("1.0", "1.5"))
    assert fingerprint(a) != fingerprint(b)  # constant
    a, b = (rebuilt(f"def f(x, t, p, k={c}):\n    return k * x") for c in ("1.0", "1.5"))
    assert fingerprint(a) != fingerprint(b)  # default
    before = fingerprint(drift)
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 3.0)
    assert fingerprint(drift) != before  # a global of a helper
    monkeypatch.undo()
    assert fingerprint(drift) == before
    monkeypatch.setattr(sys.modules[__name__], "helper", lambda x: x)
    assert fingerprint(drift) != before  # the helper


def test_recursive_functions_have_a_fingerprint():
    f = rebuilt("def f(x):\n    return f(x)")
    assert len(fingerprint(f)) == 64


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
import fastrev as fr
import test_cache
start = time.perf_counter()
run = fr.simulate(fr.SDE(test_cache.{drift}, 1.0), fr.Gaussian(), n=1000, steps=10, seed=1)
from fastrev.engine import program
kernel = next(iter(program._kernels.values()))
print(kernel._cache.hits, run.compile_seconds, float(run.x.sum()))
"""


def other_drift(x, t, p):
    return -3.0 * x


def test_second_process_compiles_nothing(tmp_path):
    environment = os.environ | {"FASTREV_CACHE_DIR": str(tmp_path)}

    def once(name):
        script = SCRIPT.format(tests=os.path.dirname(__file__), drift=name)
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        hits, seconds, total = done.stdout.split()
        return int(hits), float(seconds), float(total)

    first = once("drift")
    assert first[0] == 0
    stored = sorted(tmp_path.iterdir())
    assert len(stored) == 1
    again = [once("drift") for _ in range(3)]
    assert all(hits == 1 for hits, _, _ in again)
    assert min(seconds for _, seconds, _ in again) < 0.3
    assert {total for _, _, total in again} == {first[2]}
    assert sorted(tmp_path.iterdir()) == stored  # nothing grows
    assert once("other_drift")[0] == 0
    assert len(list(tmp_path.iterdir())) == 2
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:1000])  # a damaged cache is no error
    assert once("drift")[2] == first[2]


def test_literals_and_functions_take_the_kernels_dtype():
    """`0.5 * math.exp(x)` of a float32 stays float32, through helpers, closures and modules."""
    from numba import float32

    from fastrev.kernels.specialise import Specialiser

    module = types.ModuleType("mine")
    module.f = rebuilt("import math\ndef f(x):\n    return 0.5 * math.exp(x)")
    scope = {"np": np, "mine": module, "half": 0.5}
    source = "def f(x):\n    return mine.f(x) + half * np.log(x) + np.pi"
    exec(source, scope)
    compiled = Specialiser("float32").scalar(scope["f"])
    compiled(np.float32(1.3))
    assert compiled.nopython_signatures[0].return_type == float32
    want = 0.5 * np.exp(1.3) + 0.5 * np.log(1.3) + np.pi
    assert compiled(np.float32(1.3)) == pytest.approx(want, rel=1e-6)


def test_new_parameters_do_not_compile_again():
    from collections import namedtuple

    from fastrev.engine import program

    params = namedtuple("P", ["k", "table"])
    sde = [
        fr.SDE(lambda x, t, p: -p.k * x + p.table[1], 1.0, params(k, np.array([0.0, k])))
        for k in (1.0, 2.0)
    ]
    x = [fr.simulate(s, fr.Point(0.0), n=10, steps=3, seed=1).x for s in sde[:1]]
    before = len(program._kernels)
    x += [
        fr.simulate(
            fr.SDE(sde[0].drift, 1.0, sde[1].params), fr.Point(0.0), n=10, steps=3, seed=1
        ).x
    ]
    assert len(program._kernels) == before
    assert not np.array_equal(x[0], x[1])
