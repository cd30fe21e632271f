"""The declared order of every method, from noise that exact solutions share with the run."""

import math
from typing import NamedTuple

import naive
import numpy as np
import pytest

import fastrev as fr

RNG = np.random.default_rng(7)
STEPS = (8, 16, 32, 64)


def increments(n, steps, seed, dim=1):
    """The Wiener increments (steps, n, dim) over [0, 1] that a float64 run draws."""
    ids = np.arange(n)
    z = [[naive.normals(ids, i, j, seed, np.float64) for j in range(dim)] for i in range(steps)]
    return np.moveaxis(np.array(z), 1, 2) / math.sqrt(steps)


def slope_and_band(errors):
    """Slope of log error against log h, and the band of 200 bootstraps over particles."""

    def slope(chosen):
        means = [e[chosen].mean() for e in errors]
        return np.polyfit(np.log([1 / s for s in STEPS]), np.log(means), 1)[0]

    n = len(errors[0])
    band = [slope(RNG.integers(n, size=n)) for _ in range(200)]
    return slope(np.arange(n)), np.quantile(band, [0.005, 0.995])


class Growth(NamedTuple):
    mu: float
    sigma: float


GROWTH = Growth(0.5, 0.8)
GBM = fr.SDE(lambda x, t, p: p.mu * x, lambda x, t, p: p.sigma * x, GROWTH, noise="diagonal")
GBM_TUPLE = fr.SDE(
    lambda x, t, p: (p.mu * x[0],), lambda x, t, p: (p.sigma * x[0],), GROWTH, dim=1,
    noise="diagonal",
)  # fmt: skip


def strong_errors(process, method):
    """|x - x_0 exp((mu - sigma^2/2) + sigma W)| at t = 1 for each number of steps."""
    errors = []
    for steps in STEPS:
        run = fr.simulate(
            process, fr.Point(1.0), n=20_000, steps=steps, seed=steps, dtype="float64",
            method=method,
        )  # fmt: skip
        w = increments(20_000, steps, steps)[..., 0].sum(axis=0)
        exact = np.exp(GROWTH.mu - 0.5 * GROWTH.sigma**2 + GROWTH.sigma * w)
        errors.append(np.abs(run.x[:, 0] - exact))
    return errors


@pytest.mark.parametrize(
    ("process", "method"),
    [(GBM, fr.EulerMaruyama()), (GBM, fr.Milstein()), (GBM_TUPLE, fr.Milstein())],
)
def test_strong_order_with_multiplicative_noise(process, method):
    slope, (low, high) = slope_and_band(strong_errors(process, method))
    assert abs(slope - method.strong_order) < 0.12 and high - low < 0.2
    other = 1.5 - method.strong_order
    assert not low - 0.12 < other < high + 0.12


def well(x, t, p):
    return x - x * x * x


def refined_solution(dw, x0, drift, refine=64):
    """dx = drift dt + 0.7 dw of these increments, on a grid `refine` times finer, by bridges."""
    steps, n = dw.shape
    h = 1.0 / steps / refine
    x = np.full(n, x0)
    for i in range(steps):
        fine = RNG.normal(size=(refine, n)) * math.sqrt(h)
        fine += (dw[i] - fine.sum(axis=0)) / refine  # a bridge: the sum is the coarse increment
        for step in fine:
            x = x + drift(x, 0.0, ()) * h + 0.7 * step
    return x


@pytest.mark.parametrize("method", ["euler-maruyama", "milstein", "heun", "exponential"])
def test_strong_order_with_additive_noise(method):
    errors, linear = [], method == "exponential"
    process = fr.OrnsteinUhlenbeck(2.0, 0.7) if linear else fr.SDE(well, 0.7)
    for steps in STEPS:
        run = fr.simulate(
            process, fr.Point(0.5), n=3000, steps=steps, seed=steps, dtype="float64",
            method=method,
        )  # fmt: skip
        drift = (lambda x, t, p: -2.0 * x) if linear else well
        exact = refined_solution(increments(3000, steps, steps)[..., 0], 0.5, drift)
        errors.append(np.abs(run.x[:, 0] - exact))
    slope, (low, high) = slope_and_band(errors)
    assert 0.9 < slope < (1.6 if method == "heun" else 1.1) and high - low < 0.2


@pytest.mark.parametrize(("method", "order"), [("euler-maruyama", 1), ("heun", 2)])
def test_weak_order(method, order):
    """The error of the mean and the second moment of an Ornstein-Uhlenbeck process."""
    process, errors = fr.OrnsteinUhlenbeck(1.0, 0.5), []
    exact = process.marginal(fr.Point(8.0), 1.0)
    for steps in (4, 8, 16):
        run = fr.simulate(
            process, fr.Point(8.0), n=2_000_000, steps=steps, seed=1, frames=0, method=method,
            observe=fr.Moments(),
        )  # fmt: skip
        m = run.observables["moments"]
        second = exact.moments()[0] ** 2 + exact.moments()[1]
        errors.append(
            [
                abs(m.mean[-1, 0] - exact.mean[()]),
                abs(m.mean[-1, 0] ** 2 + m.cov[-1, 0, 0] - second[0]),
            ]
        )
    slopes = np.polyfit(np.log([1 / 4, 1 / 8, 1 / 16]), np.log(errors), 1)[0]
    assert np.all(np.abs(slopes - order) < 0.3), slopes


@pytest.mark.parametrize(("method", "order"), [("euler-maruyama", 1), ("heun", 2)])
@pytest.mark.parametrize("law", ["by coordinate", "tile", "tuple"])
def test_order_of_the_probability_flow(method, order, law):
    """Without noise: the map of the flow, against a run of 2,048 steps."""
    process = fr.VP(0.1, 4.0)
    p0 = {
        "by coordinate": fr.Gaussian(1.0, 0.5),
        "tile": fr.GaussianMixture([0.4, 0.6], [-1.0, 1.0], [0.5, 0.6]),
        "tuple": fr.Gaussian([1.0, 0.0], cov=[[0.5, 0.2], [0.2, 0.3]]),
    }[law]
    flow = fr.reverse(process, process.score(p0), noise=0.0)
    start = np.random.default_rng(1).normal(size=(200, p0.dim or 1))

    def end(steps):
        options = {"time": (1, 0.1), "steps": steps, "dtype": "float64", "method": method}
        return fr.simulate(flow, start, **options).x

    exact = end(2048)
    errors = [np.abs(end(steps) - exact).mean() for steps in STEPS]
    slope = np.polyfit(np.log([1 / s for s in STEPS]), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.2


@pytest.mark.parametrize(("method", "dim"), [("milstein", None), ("heun", None), ("heun", 2)])
def test_bits_and_files(monkeypatch, tmp_path, method, dim):
    if dim:
        process = fr.SDE(lambda x, t, p: (-x[1], x[0]), lambda x, t, p: 0.5 + 0.1 * t, dim=2)
    else:
        process = fr.SDE(lambda x, t, p: -x * t, lambda x, t, p: 0.5 + 0.1 * t)
    options = {"n": 5003, "steps": 30, "seed": 2, "frames": 4, "method": method}
    runs = set()
    for threads, size in (("1", None), ("2", 700)):
        monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
        run = fr.simulate(process, fr.Gaussian(), shard_size=size, **options)
        runs.add(run.frames.tobytes())
    run = fr.simulate(process, fr.Gaussian(), out=tmp_path / "a.h5", **options)
    assert {run.frames[:].tobytes()} == runs
    np.testing.assert_array_equal(run.trace([7])[-1, 0], run.frames[-1, 7])
    plain = fr.simulate(process, fr.Gaussian(), **(options | {"method": "euler-maruyama"}))
    assert np.array_equal(plain.x, run.x) == (method == "milstein")


def test_the_last_step_to_zero_is_eulers():
    """A score singular at 0 is not asked for there."""
    process = fr.Brownian(0.5)
    own = fr.Score(lambda x, t, p: -x / t)
    run = fr.simulate(
        fr.reverse(process, own), fr.Gaussian(), n=1000, time=(1, 0), steps=20, method="heun"
    )
    assert np.isfinite(run.x).all() and run.x.std() < 0.5


@pytest.mark.parametrize(
    ("process", "method", "message"),
    [
        (GBM, "heun", "'heun' is for noise that does not depend on x"),
        (fr.Linear(np.eye(2), 0.0, np.eye(2)), "milstein", "'milstein' is for scalar or diagonal"),
        (GBM, "huen", "did you mean 'heun'"),
        (GBM, fr.Heun, "method: .* is not known"),
    ],
)
def test_bad_methods(process, method, message):
    with pytest.raises(fr.InputError, match=message):
        fr.simulate(process, fr.Point(1.0), n=10, steps=4, method=method)
