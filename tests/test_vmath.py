"""Elementary functions against 50 digits, over their whole range."""

import functools
import math
import platform
import re

import llvmlite.binding
import mpmath
import numpy as np
import pytest
import scipy.special
from numba import njit

from fastrev.kernels import vmath
from fastrev.kernels.specialise import Specialiser
from fastrev.model import portable

mpmath.mp.dps = 50

BOUNDS = {  # in ulp, float32 and float64: those of the docstrings
    "exp": (1.0, 1.0),
    "expm1": (1.4, 1.9),
    "sigmoid": (2.4, 2.3),
    "sinh": (1.4, 1.8),
    "cosh": (1.9, 1.3),
    "tanh": (2.3, 2.5),
    "log": (1.0, 0.9),
    "log1p": (1.5, 1.4),
    "logaddexp": (1.8, 1.9),
    "sin": (1.6, 0.8),
    "cos": (1.6, 0.8),
    "tan": (3.4, 2.2),
    "atan": (1.9, 1.9),
    "erf": (1.0, 1.0),
    "erfc": (3.4, 3.6),
    "pow": (0.51, 1.2),
    "sqrt": (0.5, 0.5),
}
TWO = ("logaddexp", "pow")
EVERY = [(name, dtype) for name in BOUNDS for dtype in (np.float32, np.float64)]


def exact(name, *args):
    if name == "sigmoid":
        return 1 / (1 + mpmath.exp(-args[0]))
    if name == "logaddexp":
        return max(args) + mpmath.log1p(mpmath.exp(-abs(args[0] - args[1])))
    return getattr(mpmath, {"pow": "power"}.get(name, name))(*args)


def ulp_error(got, want, dtype, scale=None):
    worst = 0.0
    for g, e, s in zip(got, want, want if scale is None else scale, strict=True):
        unit = np.spacing(dtype(abs(float(s)))) or np.finfo(dtype).smallest_subnormal
        worst = max(worst, abs(float((mpmath.mpf(float(g)) - e) / mpmath.mpf(float(unit)))))
    return worst


@functools.cache
def compiled(name, dtype):
    function = vmath.BY_WIDTH[np.dtype(dtype).name][name]

    @njit
    def one(x, y):
        for i in range(len(x)):
            y[i] = function(x[i])

    @njit
    def two(a, b, y):
        for i in range(len(a)):
            y[i] = function(a[i], b[i])

    return two if name in TWO else one


def apply(name, *args):
    y = np.empty_like(args[0])
    compiled(name, args[0].dtype.type)(*args, y)
    return y


class Draw:
    """Random points for one function: the whole range, and dense where it is hard."""

    def __init__(self, dtype, n=500):
        self.rng, self.n = np.random.default_rng(1), n
        self.single = dtype is np.float32

    def flat(self, low, high, times=1):
        return self.rng.uniform(low, high, times * self.n)

    def small(self, low=-60.0, high=0.0):
        """Either sign, logarithmic between two powers of 2."""
        return 2.0 ** self.flat(low, high) * self.rng.choice([-1.0, 1.0], self.n)

    def of(self, name):
        """The arguments, as float64 arrays; the range is of float32, then of float64."""
        wide = {
            "exp": ((-104, 88.72), (-745, 709.78)),
            "expm1": ((-20, 88.72), (-40, 709.78)),
            "sigmoid": ((-103, 20), (-745, 40)),
            "sinh": ((-89.41, 89.41), (-710.47, 710.47)),
            "cosh": ((-89.41, 89.41), (-710.47, 710.47)),
            "tanh": ((-12, 12), (-24, 24)),
            "erf": ((-4, 4), (-6, 6)),
            "erfc": ((-4, 10.05), (-6, 27.2)),
        }
        if name in wide:
            low, high = wide[name][0 if self.single else 1]
            return [self._join(self.flat(low, high, 2), self.flat(-2, 2, 2), self.small())]
        return getattr(self, name)()

    def _join(self, *parts):
        return np.concatenate(parts)

    def log(self):
        wide = 2.0 ** self.flat(-149 if self.single else -1074, 127.9)
        return [self._join(wide, self.flat(0.5, 2, 2), 1 + self.small(-50, -1))]

    def log1p(self):
        near = 2.0 ** self.flat(-23 if self.single else -52, 0) - 1
        return [self._join(near, self.flat(-0.9, 1, 2), self.small(), 2.0 ** self.flat(0, 127))]

    def sin(self):
        turns = math.pi / 2 * np.round(2.0 ** self.flat(0, 46))  # close to zeros
        return [self._join(turns, self.flat(-10, 10, 2), self.small(0, 46.9), self.small())]

    cos = tan = sin

    def atan(self):
        return [self._join(self.flat(-8, 8, 2), self.small(0, 60), self.small())]

    def sqrt(self):
        return [2.0 ** self.flat(-149 if self.single else -1074, 127.9)]

    def logaddexp(self):
        a, b = (self._join(self.flat(-50, 50), self.flat(-2, 2, 2)) for _ in range(2))
        return [a, b]

    def pow(self):
        low, high = (-103, 88) if self.single else (-744, 709)
        x = self._join(2.0 ** self.flat(-126, 127), self.flat(0.5, 2), 1 + self.small(-20, -1))
        x = x.astype(np.float32).astype(float)
        x[x == 1.0] = 2.0
        return [x, self.flat(low, high, 3) / np.log(x)]


@pytest.mark.parametrize(("name", "dtype"), EVERY)
def test_error_in_ulp(name, dtype):
    args = [a.astype(dtype) for a in Draw(dtype).of(name)]
    points = [[mpmath.mpf(float(v)) for v in row] for row in zip(*args, strict=True)]
    want = [exact(name, *point) for point in points]
    got = apply(name, *args)
    scale = None
    if name == "logaddexp":
        scale = [max(abs(e), *map(abs, p)) for e, p in zip(want, points, strict=True)]
    bound = BOUNDS[name][0 if dtype is np.float32 else 1]
    assert ulp_error(got, want, dtype, scale) <= bound
    wrong = got * dtype(1 + 5 * np.finfo(dtype).eps)
    assert ulp_error(wrong, want, dtype, scale) > bound  # the check can tell


NUMPY = {"sigmoid": scipy.special.expit, "erf": scipy.special.erf, "erfc": scipy.special.erfc} | {
    name: getattr(np, {"pow": "power", "atan": "arctan"}.get(name, name))
    for name in BOUNDS
    if name not in ("sigmoid", "erf", "erfc")
}


@pytest.mark.parametrize(("name", "dtype"), EVERY)
def test_special_values(name, dtype):
    """Zeros, infinities, NaN, ±1, the smallest and the largest numbers, as in NumPy or SciPy."""
    info = np.finfo(dtype)
    half = np.array([0, 0.5, 1, 2, 3, 1e6, info.tiny, info.smallest_subnormal, np.inf], dtype)
    if name not in ("sin", "cos", "tan"):
        half = np.append(half, [info.max, dtype(2) ** info.nmant + dtype(1)])
    x = np.concatenate([half, -half, [dtype(np.nan)]])
    args = [g.ravel().copy() for g in np.meshgrid(x, x)] if name in TWO else [x]
    got = apply(name, *args)
    with np.errstate(all="ignore"):
        want = NUMPY[name](*args)
    # a result that underflows may be zero or the smallest number
    np.testing.assert_allclose(got, want, rtol=8 * info.eps, atol=info.smallest_subnormal)
    plain = ~np.isnan(want)
    zero_sign = name != "logaddexp"  # NumPy's own is that of the last sum
    if zero_sign:
        np.testing.assert_array_equal(np.signbit(got)[plain], np.signbit(want)[plain])


@pytest.mark.parametrize(("name", "dtype"), EVERY)
def test_vector_and_scalar_code_agree(name, dtype):
    """The same bits from the body of a vectorised loop and from its remainder."""
    args = [a.astype(dtype)[:67] for a in Draw(dtype).of(name)]
    whole = apply(name, *args)
    single = [apply(name, *(a[i : i + 1] for a in args))[0] for i in range(len(whole))]
    assert whole.tobytes() == np.array(single).tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_overflow_edges(dtype):
    """Finite up to the last argument whose result is, infinite after it."""
    top = mpmath.mpf(float(np.finfo(dtype).max))
    edges = {"exp": mpmath.log(top), "expm1": mpmath.log1p(top), "sinh": mpmath.asinh(top)}
    edges |= {"cosh": mpmath.acosh(top)}
    for name, edge in edges.items():
        last = dtype(float(edge))
        x = last + np.spacing(last) * np.arange(-3, 4).astype(dtype)
        got = apply(name, x)
        want = [exact(name, mpmath.mpf(float(v))) <= top for v in x]
        np.testing.assert_array_equal(np.isfinite(got), want, err_msg=name)


@pytest.mark.parametrize(("dtype", "least"), [(np.float32, -86), (np.float64, -432)])
def test_decay(dtype, least):
    """Powers of two down to a share that no sum of shares shows, and then 0."""
    rng = np.random.default_rng(1)
    x = np.append(rng.uniform(least, 0, 2000), rng.uniform(-2, 0, 2000)).astype(dtype)
    want = [mpmath.mpf(2) ** mpmath.mpf(float(v)) for v in x]
    assert ulp_error(apply("decay", x), want, dtype) <= 1.0
    below = np.array([np.nextafter(dtype(least), dtype(-np.inf)), 3 * least, -1e9, -np.inf], dtype)
    np.testing.assert_array_equal(apply("decay", below), 0)
    np.testing.assert_array_equal(apply("decay", np.array([0, np.nan], dtype)), [1, np.nan])


def test_circular_functions_of_huge_arguments_stay_bounded():
    for dtype in (np.float32, np.float64):
        x = np.array([1e15, -1e20, np.finfo(dtype).max], dtype)
        for name in ("sin", "cos", "tan"):
            assert np.all(np.abs(apply(name, x)) <= 1)


LIBM = {form for name in [*BOUNDS, "log2", "exp2"] for form in (name, name + "f")}


def libm_calls(assembly):
    return set(re.findall(r"(?:movabsq\s+\$|call\w*\s+)(\w+)", assembly)) & LIBM


def assembly(loop):
    return loop.inspect_asm(loop.signatures[0])


vector_machine = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64")
    or not llvmlite.binding.get_host_cpu_features().get("fma"),
    reason="reads x86 assembly with fused multiply-adds",
)


@vector_machine
@pytest.mark.parametrize(("name", "dtype"), EVERY)
def test_every_function_vectorises(name, dtype):
    args = [np.ones(9, dtype)] * (2 if name in TWO else 1)
    apply(name, *args)
    text = assembly(compiled(name, dtype))
    kind = "ps" if dtype is np.float32 else "pd"
    assert re.search(rf"v(fn?m(add|sub)\d+|mul|sqrt){kind}\s.*%[yz]mm", text)
    assert not libm_calls(text)


@vector_machine
def test_the_search_for_libm_finds_it():
    @njit
    def loop(x, y):
        for i in range(len(x)):
            y[i] = math.tanh(x[i])

    loop(np.ones(9), np.ones(9))
    assert libm_calls(assembly(loop)) == {"tanh"}


def drift(x, t, p):
    y = math.tanh(x) + np.arctan(t) - math.pow(p, x) * math.erf(t)
    return y + scipy.special.expit(x) + np.power(p, t) + np.logaddexp(x, t) + bare(x)


bare = math.sin


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_drift_gets_these_functions(dtype):
    f = vmath.BY_WIDTH[np.dtype(dtype).name]
    kernel = Specialiser(dtype, f"vmath_{np.dtype(dtype).name}").scalar(drift)
    for x, t, p in np.array([(0.3, 1.7, 2.2), (-2.1, 0.4, 0.6)], dtype):
        y = {name: lambda *v, g=g: dtype(g(*v)) for name, g in f.items()}
        want = y["tanh"](x) + y["atan"](t) - y["pow"](p, x) * y["erf"](t)
        want = want + y["sigmoid"](x) + y["pow"](p, t) + y["logaddexp"](x, t) + y["sin"](x)
        assert dtype(kernel(x, t, p)).tobytes() == dtype(want).tobytes()
    assert not libm_calls(assembly(kernel))


def test_float_is_the_kernels_dtype():
    def f(k, x):
        return float(k) * x

    def g(x):
        return min(x, float("inf"))

    from numba import float32

    build = Specialiser("float32", "vmath_float")
    kernel = build.scalar(f)
    assert kernel(3, np.float32(0.5)) == 1.5
    assert kernel.nopython_signatures[0].return_type == float32
    assert build.scalar(g)(np.float32(0.5)) == 0.5


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
