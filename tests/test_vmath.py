"""Elementary functions against 50 digits, over their whole range."""

import mpmath
import numpy as np
import pytest
from numba import njit

from fastrev.kernels import vmath
from fastrev.model import portable

mpmath.mp.dps = 50


def ulp_error(got, exact, dtype):
    worst = 0.0
    for g, e in zip(got, exact, strict=True):
        unit = np.spacing(dtype(abs(float(e)))) or np.finfo(dtype).smallest_subnormal
        worst = max(worst, abs(float((mpmath.mpf(float(g)) - e) / mpmath.mpf(float(unit)))))
    return worst


def apply(name, x):
    function = vmath.BY_WIDTH[x.dtype.name][name]

    @njit
    def loop(x, y):
        for i in range(len(x)):
            y[i] = function(x[i])

    y = np.empty_like(x)
    loop(x, y)
    return y


RANGES = {
    ("exp", np.float32): (-87.0, 88.7),
    ("exp", np.float64): (-708.0, 709.7),
    ("log", np.float32): (-126.0, 127.9),  # powers of two
    ("log", np.float64): (-1022.0, 1023.9),
}


@pytest.mark.parametrize(("name", "dtype"), RANGES)
def test_error_in_ulp(name, dtype):
    rng = np.random.default_rng(1)
    low, high = RANGES[name, dtype]
    wide = rng.uniform(low, high, 4000)
    if name == "log":
        wide = np.concatenate([2.0**wide, 1.0 + rng.uniform(-0.3, 0.4, 4000)])
    else:
        wide = np.concatenate([wide, rng.uniform(-1, 1, 4000)])
    x = wide.astype(dtype)
    exact = [getattr(mpmath, name)(mpmath.mpf(float(v))) for v in x]
    assert ulp_error(apply(name, x), exact, dtype) < 1.5
    assert ulp_error(apply(name, x) * dtype(1 + 4e-7), exact, dtype) > 1.5  # the check can tell


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype):
    inf = np.inf
    with np.errstate(all="ignore"):
        e = apply("exp", np.array([inf, -inf, np.nan, 0.0, 1e5, -1e5], dtype))
        g = apply("log", np.array([inf, 0.0, -0.0, -1.0, np.nan, 1.0], dtype))
    np.testing.assert_array_equal(e, np.array([inf, 0.0, np.nan, 1.0, inf, 0.0], dtype))
    np.testing.assert_array_equal(g, np.array([inf, -inf, -inf, np.nan, np.nan, 0.0], dtype))
    tiny = np.finfo(dtype).smallest_subnormal * np.array([1, 77], dtype)
    np.testing.assert_allclose(apply("log", tiny), np.log(tiny.astype(np.longdouble)), rtol=3e-7)


def test_portable_scalars():
    """exp, expm1 and log of the per-step scalars, from IEEE operations alone."""
    x = np.concatenate([np.linspace(-600, 600, 2001), np.linspace(-1, 1, 2001), [1e-9, -1e-12]])
    for name in ("exp", "expm1"):
        exact = [getattr(mpmath, name)(mpmath.mpf(float(v))) for v in x]
        assert ulp_error(getattr(portable, name)(x), exact, np.float64) < 3.0
    y = portable.exp(x)
    exact = [mpmath.log(mpmath.mpf(float(v))) for v in y]
    error = np.abs(portable.log(y) - np.array([float(e) for e in exact]))
    assert np.all(error <= 4 * np.spacing(np.abs(np.log(y)) + 1e-3))
