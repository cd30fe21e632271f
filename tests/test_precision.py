"""A user's kernel keeps its own precision, whatever literals and operators it uses."""

import math
import operator
import re

import numpy as np
import pytest

import fastrev as fr
from fastrev.kernels.specialise import Specialiser
from fastrev.kernels.vmath import BY_WIDTH


def helper(k, x):
    return k * x


def summed(x, t, p):
    total = x
    for k in range(3):
        total += k * x
    return 2 * x - total / 3 + (1 if x > 0 else 2) + helper(3, x)


BODIES = {
    "literal": lambda x, t, p: 2 * x - x / 3 + 1,
    "square": lambda x, t, p: x**2 - x**-1,
    "power": lambda x, t, p: abs(x) ** 2.5 + 2**x + abs(x) ** x,
    "comparison": lambda x, t, p: x if x > 1 else -x,
    "sums": summed,
    "library": lambda x, t, p: math.tanh(x) + np.arctan(x) + math.pow(abs(x), 1.5) + math.erf(x),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_have_the_kernels_width(name, dtype):
    real = np.dtype(dtype).type
    compiled = Specialiser(dtype, f"test_{name}").scalar(BODIES[name])
    for x in (0.3, -1.7, 2.5):
        value = compiled(real(x), real(0.0), ())
        tolerance = 1e-5 if dtype == "float32" else 1e-13
        assert value == pytest.approx(BODIES[name](x, 0.0, ()), rel=tolerance)
    (signature,) = compiled.nopython_signatures
    assert str(signature.return_type) == dtype
    text = next(iter(compiled.inspect_llvm().values()))
    wide = re.search(r"\bf(add|sub|mul|div|cmp \w+) double", text) is not None
    assert wide == (dtype == "float64" or name in ("power", "library"))
    assert "@pow" not in text and "@llvm.pow" not in text and "@tanh" not in text


def test_indices_stay_whole():
    def pick(x, t, p):
        total = 0 * x
        for k in range(2):
            total += p[k + 1] * x
        return total

    compiled = Specialiser("float32", "test_index").scalar(pick)
    assert compiled(np.float32(2), np.float32(0), np.array([1, 2, 3], np.float32)) == 10.0


def test_power_is_vmaths():
    compiled = Specialiser("float32", "test_pow").scalar(lambda x, t, p: x**0.7)
    x = np.linspace(0.1, 9, 200, dtype=np.float32)
    want = [BY_WIDTH["float32"]["pow"](v, np.float32(0.7)) for v in x]
    assert [compiled(v, np.float32(0), ()) for v in x] == want


def test_an_ordinary_jitted_function_is_left_alone():
    """The user's own use of Numba keeps Numba's rules."""
    from numba import njit

    plain = njit(lambda x: 2 * x)
    plain(np.float32(1))
    assert str(plain.nopython_signatures[0].return_type) == "float64"


def test_integer_literals_cost_nothing():
    """The same run, bit for bit, with 2 and 2.0."""
    runs = [
        fr.simulate(fr.SDE(drift, 1.0), fr.Gaussian(), n=5000, steps=20, seed=1).x
        for drift in (lambda x, t, p: 2 * x - x**3, lambda x, t, p: 2.0 * x - x**3)
    ]
    np.testing.assert_array_equal(*runs)
    assert operator.mul(2, np.float32(1)).dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_negative_whole_powers_are_vector_code_and_do_not_raise(dtype):
    lanes = {
        name: max(loop.lanes for loop in fr.explain(fr.SDE(drift, 0.5), dtype=dtype).loops
                  if loop.role == "step")
        for name, drift in (("power", lambda x, t, p: x**-1), ("ratio", lambda x, t, p: 1 / x))
    }  # fmt: skip
    assert lanes["power"] == lanes["ratio"] > 1
    x0 = np.array([1.7, 0.3, -2.5])
    for power in (-1, -2, -3):
        process = fr.SDE(lambda x, t, p: x**-2, 0.0)
        if power == -1:
            process = fr.SDE(lambda x, t, p: x**-1, 0.0)
        if power == -3:
            process = fr.SDE(lambda x, t, p: x**-3, 0.0)
        run = fr.simulate(process, x0, steps=1, dtype=dtype)
        np.testing.assert_allclose(run.x[:, 0], x0 + x0**power, rtol=3e-6)
    with pytest.warns(RuntimeWarning, match="ended infinite or NaN"):
        fr.simulate(fr.SDE(lambda x, t, p: x**-1, 0.5), fr.Point(0.0), n=8, steps=2, dtype=dtype)


HALVINGS = 2


def halves(x, t, p):
    s = 0.0 * x
    for i in range(1, 4):
        s += 2 ** (-i)
    return s + 2 ** (-HALVINGS) * x + 2**HALVINGS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_whole_numbers_to_a_negative_power_are_not_zero(dtype):
    run = fr.simulate(fr.SDE(halves, 0.0), fr.Point(1.0), n=1, steps=1, dtype=dtype)
    assert run.x[0, 0] == 1.0 + 0.875 + 0.25 + 4.0
