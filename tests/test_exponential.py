"""The exponential integrator and the predictor-corrector: exact cases, recursions, orders."""

import itertools
from dataclasses import replace

import naive
import numpy as np
import pytest
from problems import GAUSSIAN_PROBLEMS, MIXTURE

import fastrev as fr
from fastrev.analysis.compare import frame_moments, z_scores
from fastrev.analysis.exact import Moments, scheme_covariances, scheme_moments
from fastrev.engine.prepare import noise_key


def moments_of(process, p0, times):
    laws = [process.marginal(p0, t).moments() for t in times]
    return Moments(*(np.array([m[k] for m in laws]).reshape(-1, 1) for k in (0, 1)))


@pytest.mark.parametrize("name", GAUSSIAN_PROBLEMS)
def test_forward_it_is_exact(name):
    """Three steps give the exact law; three Euler-Maruyama steps do not, where f is not 0."""
    process, p0, end = GAUSSIAN_PROBLEMS[name]
    options = {"n": 200_000, "time": (0, end), "steps": 3, "frames": 4, "seed": 1}
    run = fr.simulate(process, p0, method="exponential", **options)
    exact = moments_of(process, p0, run.times)
    z = z_scores(frame_moments(run.frames), exact)
    assert max(np.abs(z.mean).max(), np.abs(z.variance).max()) < 4.5
    euler = z_scores(frame_moments(fr.simulate(process, p0, **options).frames), exact)
    assert (np.abs(euler.variance).max() > 4.5) == (name != "brownian")


@pytest.mark.parametrize("name", GAUSSIAN_PROBLEMS)
def test_the_flow_to_a_point_is_exact(name):
    """DDIM: x_t - m(t) shrinks by sigma(t)/sigma(T) at any number of steps."""
    process, _, end = GAUSSIAN_PROBLEMS[name]
    flow = fr.reverse(process, process.score(fr.Point(0.7)), noise=0.0)
    start = np.array([[-1.0], [0.5], [2.0]])
    options = {"time": (end, 0.1), "steps": 3, "dtype": "float64"}
    first, last = (process.marginal(fr.Point(0.7), t) for t in (end, 0.1))
    exact = last.mean + (start - first.mean) * (last.std / first.std)
    run = fr.simulate(flow, start, method=fr.Exponential(), **options)
    np.testing.assert_allclose(run.x, exact, rtol=1e-9)
    assert np.abs(fr.simulate(flow, start, **options).x - exact).max() > 1e-3


@pytest.mark.parametrize(
    "method", [fr.Exponential(), fr.PredictorCorrector(), fr.PredictorCorrector(3, snr=0.3)]
)
@pytest.mark.parametrize("noise", [1.0, 0.0])
def test_reverse_runs_follow_the_recursion(method, noise):
    process, p0 = fr.VP(), fr.Gaussian(0.5, 0.5)
    run = fr.simulate(
        fr.reverse(process, process.score(p0), noise), process.marginal(p0, 1.0), n=300_000,
        time=(1, 0), steps=40, frames=5, seed=3, method=method,
    )  # fmt: skip
    measured = frame_moments(run.frames)
    z = z_scores(measured, scheme_moments(run.specification))
    assert max(np.abs(z.mean).max(), np.abs(z.variance).max()) < 4.5
    euler = replace(run.specification, method=fr.EulerMaruyama())
    wrong = z_scores(measured, scheme_moments(euler))
    assert np.abs(wrong.variance[1:]).max() > 4.5


def test_recursion_with_a_full_covariance():
    p0 = fr.Gaussian([1.0, 0.0], cov=[[0.5, 0.3], [0.3, 0.4]])
    process = fr.VP()
    run = fr.simulate(
        fr.reverse(process, process.score(p0)), process.marginal(p0, 1.0), n=200_000,
        time=(1, 0), steps=30, seed=3, method="predictor-corrector",
    )  # fmt: skip
    _, covs = scheme_covariances(run.specification)
    have = np.cov(run.x.astype(np.float64), rowvar=False)
    v = np.diag(covs[-1])
    error = np.sqrt((np.outer(v, v) + covs[-1] ** 2) / run.n)
    assert np.abs((have - covs[-1]) / error).max() < 4.5


def test_weak_order_of_the_exponential_integrator():
    """From the exact recursion: the error of the variance is of first order."""
    process, p0, errors = fr.VP(), fr.Gaussian(0.5, 0.5), []
    for steps in (50, 100, 200, 400):
        run = fr.simulate(
            fr.reverse(process, process.score(p0)), process.marginal(p0, 1.0), n=2,
            time=(1, 0.1), steps=steps, method="exponential",
        )  # fmt: skip
        exact = process.marginal(p0, 0.1).std ** 2
        errors.append(abs(scheme_moments(run.specification).variance[-1, 0] - exact))
    slope = np.polyfit(np.log([1 / 50, 1 / 100, 1 / 200, 1 / 400]), np.log(errors), 1)[0]
    assert abs(slope - 1) < 0.15


@pytest.mark.parametrize("generator", ["philox", "ars"])
@pytest.mark.parametrize("shape", ["coordinate", "tile", "tuple"])
def test_corrector_against_an_oracle(shape, generator):
    """Every shape of a score, step by step; noise of its own stream, two corrections a step."""
    process, n, steps, seed, method = fr.VP(), 100, 11, 5, fr.PredictorCorrector(2, snr=0.2)
    start = np.random.default_rng(1).normal(size=(n, 2))
    score = {
        "coordinate": fr.Score(lambda x, t, p: -x / (0.2 + t)),
        "tuple": fr.Score(lambda x, t, p: (-x[0] / (0.2 + t), -x[1] / (0.2 + t)), dim=2),
        "tile": process.score(MIXTURE),
    }[shape]

    def s(x, t):
        return mixture_score(x, process, t) if shape == "tile" else -x / (0.2 + t)

    run = fr.simulate(
        fr.reverse(process, score), start, time=(1, 0.2), steps=steps, dtype="float64", seed=seed,
        method=method, generator=generator,
    )  # fmt: skip
    x, times, ids = start.copy(), run.specification.grid.times, np.arange(n)

    def normals(step, stream):
        key = noise_key(run.specification)
        z = [naive.normals(ids, step, j, key, "float64", stream, generator) for j in range(2)]
        return np.stack(z, axis=1)

    for i, (t, u) in enumerate(itertools.pairwise(times)):
        beta = 0.1 + 19.9 * t
        drift = -0.5 * beta * x - beta * s(x, t)
        x = x + drift * (u - t) + np.sqrt(beta * (t - u)) * normals(i, 1)
        e = 2 * method.snr**2 * float(process.transition(u).variance)
        for r in range(2):
            z = normals(8 * (i // 8 * 2 + r) + i % 8, 2)
            x = x + e * s(x, u) + np.sqrt(2 * e) * z
    np.testing.assert_allclose(run.x, x, rtol=1e-9)


def mixture_score(x, process, t):
    """One component for all coordinates of a particle."""
    law, weights, pulls = process.marginal(MIXTURE, t), [], []
    for w, m, s in zip(law.weights, law.means, law.stds, strict=True):
        far = ((x - m) ** 2).sum(axis=1, keepdims=True)
        weights.append(w * np.exp(-far / 2 / s**2) / s ** x.shape[1])
        pulls.append((m - x) / s**2)
    return sum(w * p for w, p in zip(weights, pulls, strict=True)) / sum(weights)


def test_a_singular_score_at_zero_is_not_asked():
    process = fr.VP()
    run = fr.simulate(
        fr.reverse(process, fr.Score(lambda x, t, p: -x / t)), fr.Gaussian(), n=1000, time=(1, 0),
        steps=20, method="predictor-corrector",
    )  # fmt: skip
    assert np.isfinite(run.x).all()


def test_methods_in_files(monkeypatch, tmp_path):
    process, p0 = fr.VP(), fr.Gaussian(0.5, 0.5)
    reverse, start = fr.reverse(process, process.score(p0)), process.marginal(p0, 1.0)
    options = {"n": 5003, "time": (1, 0), "steps": 30, "seed": 2, "frames": 4}
    for method in (fr.Exponential(), fr.PredictorCorrector(2, 0.2)):
        runs = set()
        for threads, size in (("1", None), ("2", 701)):
            monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
            run = fr.simulate(reverse, start, shard_size=size, method=method, **options)
            runs.add(run.frames.tobytes())
        path = tmp_path / f"{method.name}.h5"
        run = fr.simulate(reverse, start, out=path, method=method, **options)
        assert {run.frames[:].tobytes()} == runs
        stored = fr.open(path)
        assert stored.specification.method == method and method.name in repr(stored)
        np.testing.assert_array_equal(stored.trace([7])[-1, 0], run.frames[-1, 7])


@pytest.mark.parametrize(
    ("method", "process", "message"),
    [
        ("exponential", fr.SDE(lambda x, t, p: -x, 1.0), "'exponential' is for a drift linear"),
        ("exponential", fr.Linear(-np.eye(2), 0.0, 1.0), "'exponential' is for a drift linear"),
        ("predictor-corrector", fr.VP(), "corrects by the score of a reverse process"),
        (
            "predictor-corrector",
            fr.reverse(fr.SDE(lambda x, t, p: -x, 1.0), fr.Score(lambda x, t, p: -x)),
            "needs the variance of x_t given x_0",
        ),
    ],
)
def test_processes_they_are_not_for(method, process, message):
    time = (1, 0) if isinstance(process, fr.Reverse) else (0, 1)
    with pytest.raises(fr.InputError, match=message):
        fr.simulate(process, fr.Point(1.0), n=10, time=time, steps=4, method=method)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fr.PredictorCorrector(0), "PredictorCorrector.corrections"),
        (lambda: fr.PredictorCorrector(snr=-1.0), "PredictorCorrector.snr must be"),
        (lambda: methods({"kind": "exponential", "order": 2}), "method.order is not known"),
        (lambda: methods({"kind": "exponentail"}), "did you mean 'exponential'"),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(fr.InputError, match=message):
        make()


def methods(table):
    return fr.simulate(fr.VP(), fr.Point(1.0), n=1, steps=2, method=table)


@pytest.mark.parametrize(
    "process",
    [fr.OrnsteinUhlenbeck(300.0, 1.0, 5.0), fr.VP(0.1, 200.0), fr.SubVP(), fr.VE(0.01, 50.0)],
)
@pytest.mark.parametrize("steps", [1, 2, 30])
def test_forward_it_is_exact_in_steps_of_any_length(process, steps):
    """Mean and variance of the recursion, to rounding: drift h may be 300."""
    grid = fr.TimeGrid.uniform(0.0, 1.0, steps)
    run = fr.simulate(process, fr.Point(2.0), n=1, time=grid, method="exponential")
    made = scheme_moments(run.specification, run.times)
    exact = moments_of(process, fr.Point(2.0), run.times)
    np.testing.assert_allclose(made.mean, exact.mean, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(made.variance, exact.variance, rtol=1e-12)
