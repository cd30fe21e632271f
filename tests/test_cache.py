"""Compiled kernels: found again when nothing changed, never when something did."""

import os
import subprocess
import sys
import tomllib
import types

import numba
import numpy as np
import pytest

import fastrev as fr
from fastrev.engine.prepare import build
from fastrev.kernels import parts, specialise
from fastrev.kernels.advance_affine import make_advance_affine, make_take_block
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


def test_only_the_packages_own_functions_are_taken_as_known(monkeypatch):
    """A user's may be another one at the next run of the same process."""
    from fastrev.engine.prepare import build

    def final(process):
        run = fr.simulate(process, fr.Point(1.0), n=1, steps=8, seed=1)
        assert build(run.specification).recipe.own == isinstance(process, fr.VP)
        assert tomllib.loads(run.toml)["run"]["n"] == 1
        return float(run.x[0, 0])

    before = final(fr.SDE(drift, 0.0))
    assert final(fr.VP()) == final(fr.VP())
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 3.0)
    assert final(fr.SDE(drift, 0.0)) != before


MODULES = {
    "a_number.py": "K = {}",
    "an_array.py": "import numpy as np\nK = np.array([0.0, {}])",
    "a_function.py": "def g(x):\n    return -{} * x",
    "package/sub/jitted.py": "import numba\n@numba.njit\ndef g(x):\n    return -{} * x",
    "an_enumeration.py": "import enum\nclass K(enum.IntEnum):\n    A = {}",
}
KERNEL = """
import a_number, an_array, a_function
import package.sub as s
from an_enumeration import K
def f(x, t, p):
    return a_function.g(x) + s.jitted.g(x) - (a_number.K + an_array.K[1]) * x + -K.A * x
"""
CHILD = """
import sys
sys.path.insert(0, {folder!r})
from kernel import f
import fastrev as fr
from fastrev.kernels.fingerprint import fingerprint
print(fingerprint(f))
if {run}:
    print(float(fr.simulate(fr.SDE(f, 0.0), fr.Point(1.0), n=1, steps=1).x[0, 0]))
"""


@pytest.mark.slow
def test_a_changed_module_is_noticed(tmp_path):
    """x_1 = 1 - the sum of all K: K = 1, one of them 3 at a time, then all 1 again.

    Each change has a fingerprint of its own; runs are made with two of them.
    """
    (tmp_path / "kernel.py").write_text(KERNEL)
    package = tmp_path / "package" / "sub"
    package.mkdir(parents=True)
    (tmp_path / "package/__init__.py").touch()
    (package / "__init__.py").write_text("from . import jitted")
    environment = os.environ | {
        "FASTREV_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    fingerprints = []
    for changed in (None, *MODULES, None):
        for name, text in MODULES.items():
            (tmp_path / name).write_text(text.format(3 if name == changed else 1))
        run = changed in (None, "a_number.py", "package/sub/jitted.py")
        code = CHILD.format(folder=str(tmp_path), run=run)
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found, *x = done.stdout.split()
        fingerprints.append(found)
        assert [float(v) for v in x] == ([-6.0 if changed else -4.0] if run else [])
    assert fingerprints[0] == fingerprints[-1]
    assert len(set(fingerprints)) == 1 + len(MODULES)
    assert len(list((tmp_path / "cache").iterdir())) == 3


@pytest.mark.slow
def test_kernels_from_disk_do_not_meet(tmp_path):
    """Kernels stored by different processes, loaded into one: each runs its own code.

    Odd ones are functions of a coordinate, even ones of whole particles.
    """
    (tmp_path / "kernel.py").write_text(
        "def make(k):\n    def f(x, t, p):\n        return -k * x\n"
        "    def g(x, t, p):\n        return (-k * x[0], 0.0)\n    return g if k % 2 == 0 else f"
    )
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from kernel import make
import fastrev as fr
for k in sys.argv[2:]:
    dim = 2 if float(k) % 2 == 0 else None
    run = fr.simulate(fr.SDE(make(float(k)), 0.0, dim=dim), fr.Point(1.0), n=1, steps=1)
    print(1.0 - float(run.x[0, 0]))
"""
    environment = os.environ | {"FASTREV_CACHE_DIR": str(tmp_path / "cache")}
    for ks in (["1"], ["2"], ["3", "5", "4"], ["5", "4", "3", "2", "1"]):
        command = [sys.executable, "-c", code, str(tmp_path), *ks]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert [float(v) for v in done.stdout.split()] == [float(k) for k in ks]


def test_kernels_share_functions_of_the_package_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTREV_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(specialise, "_shared", {})

    def final(value):
        sde = fr.SDE(factory(value), 0.0)
        return fr.simulate(sde, fr.Point(1.0), n=1, steps=1, dtype="float64").x[0, 0]

    assert final(0.731) == pytest.approx(1.731)
    shared = dict(specialise._shared)
    names = {function.py_func.__name__ for function in shared.values()}
    assert {"room", "allocate", "cut", "start", "refill", "keep", "leave"} <= names
    assert "kernel" not in names and "advance_coordinates" not in names
    assert final(0.732) == pytest.approx(1.732)
    assert specialise._shared == shared
    fr.explain(fr.SDE(factory(0.733), 0.0))
    assert specialise._shared == shared


def test_kernels_of_linear_processes_share_their_steps():
    run = fr.simulate(fr.Brownian(0.5), fr.Point(1.0), n=1, steps=1)
    recipe = build(run.specification, stored=False).recipe
    each = (specialise.Specialiser(recipe.dtype, tag, inner=True, shared=True) for tag in "ab")
    first, second = (
        [make(recipe, one) for make in (make_advance_affine, make_take_block)] for one in each
    )
    assert all(a is b for a, b in zip(first, second, strict=True))


def test_what_a_shared_function_is_known_by():
    """The types of its values too, and nothing where a user's function is among them."""

    def around(value):
        def f(x):
            return value

        return specialise._content(f)

    assert around(1) == around(1)
    assert len({around(value) for value in (1, 1.0, True, (1,), (1.0,), np.float32)}) == 6
    assert around(parts.square) is not None  # compiled, of the package
    assert around(np.zeros(1)) is None and around((1, factory(1.0))) is None
    assert around(numba.njit(factory(1.0))) is None

    def by_default(value):
        def f(x, y=value):
            return y

        return specialise._content(f)

    assert by_default(1.0) == by_default(1.0) != by_default(2.0)
    assert by_default(factory(1.0)) is None


def test_what_cannot_be_hashed_is_not_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTREV_CACHE_DIR", str(tmp_path))

    @numba.vectorize
    def g(x):
        return -x

    def f(x, t, p):
        return g(x)

    run = fr.simulate(fr.SDE(f, 0.0), fr.Point(1.0), n=1, steps=1)
    assert run.x[0, 0] == 0.0
    assert list(tmp_path.iterdir()) == []


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
from fastrev.engine import prepare
kernel = next(iter(prepare._kernels.values()))
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
    compiled = Specialiser("float32", "test").scalar(scope["f"])
    compiled(np.float32(1.3))
    assert compiled.nopython_signatures[0].return_type == float32
    want = 0.5 * np.exp(1.3) + 0.5 * np.log(1.3) + np.pi
    assert compiled(np.float32(1.3)) == pytest.approx(want, rel=1e-6)


def test_new_parameters_do_not_compile_again():
    from collections import namedtuple

    from fastrev.engine import prepare

    params = namedtuple("P", ["k", "table"])
    sde = [
        fr.SDE(lambda x, t, p: -p.k * x + p.table[1], 1.0, params(k, np.array([0.0, k])))
        for k in (1.0, 2.0)
    ]
    x = [fr.simulate(s, fr.Point(0.0), n=10, steps=3, seed=1).x for s in sde[:1]]
    before = {k: len(v.signatures) for k, v in prepare._kernels.items()}
    x += [
        fr.simulate(
            fr.SDE(sde[0].drift, 1.0, sde[1].params), fr.Point(0.0), n=10, steps=3, seed=1
        ).x
    ]
    assert {k: len(v.signatures) for k, v in prepare._kernels.items()} == before
    assert not np.array_equal(x[0], x[1])


def test_a_kernel_by_coordinate_serves_every_dim():
    from fastrev.engine import prepare

    def signatures():
        return {k: len(v.signatures) for k, v in prepare._kernels.items()}

    score = fr.VP().score(fr.Gaussian())
    for process, time in ((fr.VP(), (0, 1)), (fr.reverse(fr.VP(), score), (1, 0))):
        for dim in (1, 2, 5):
            run = fr.simulate(process, fr.Gaussian(), n=10, dim=dim, time=time, steps=3, seed=1)
            if dim == 1:
                before, first = signatures(), run.x[:, 0]
            assert signatures() == before
            np.testing.assert_array_equal(run.x[:, 0], first)
