"""Statistics of whole runs: the exact recursion of the scheme, exact laws, negative controls."""

import numpy as np
import pytest
from problems import GAUSSIAN_PROBLEMS, MIXTURE, naive_reversal
from scipy import stats

import fastrev as fr
from fastrev.analysis.compare import frame_moments, z_scores
from fastrev.analysis.exact import scheme_moments

N = 4_000_000
LIMIT = 4.5


def worst_z(run):
    z = z_scores(frame_moments(run.frames), scheme_moments(run.specification))
    return max(np.abs(z.mean).max(), np.abs(z.variance).max())


@pytest.mark.parametrize("name", GAUSSIAN_PROBLEMS)
def test_forward_moments(name):
    process, p0, T = GAUSSIAN_PROBLEMS[name]
    run = fr.simulate(process, p0, n=N, time=(0, T), steps=100, frames=6, seed=11)
    assert worst_z(run) < LIMIT


@pytest.mark.parametrize("name", GAUSSIAN_PROBLEMS)
def test_reverse_moments(name):
    process, p0, T = GAUSSIAN_PROBLEMS[name]
    reverse = fr.reverse(process, process.score(p0))
    common = {"n": N, "time": (T, 0), "steps": 200, "frames": 11, "seed": 12}
    run = fr.simulate(reverse, process.marginal(p0, T), **common)
    assert worst_z(run) < LIMIT
    # the process itself, not only the scheme: back where the forward one came from
    mean, variance = p0.moments()
    last = frame_moments(run.frames[-1:])
    np.testing.assert_allclose(last.mean[0], mean, atol=0.06)
    np.testing.assert_allclose(last.variance[0], variance, rtol=0.12)


@pytest.mark.parametrize("name", GAUSSIAN_PROBLEMS)
def test_naive_reversal_is_told_apart(name):
    process, p0, T = GAUSSIAN_PROBLEMS[name]
    run = fr.simulate(
        naive_reversal(process),
        process.marginal(p0, T),
        n=100_000,
        time=(T, 0),
        steps=200,
        frames=11,
        seed=12,
    )
    right = fr.simulate(
        fr.reverse(process, process.score(p0)),
        process.marginal(p0, T),
        n=1,
        time=(T, 0),
        steps=200,
        frames=11,
        seed=12,
    )
    z = z_scores(frame_moments(run.frames), scheme_moments(right.specification))
    assert np.abs(z.variance[1:]).min() > LIMIT  # at every frame but the first


def test_reverse_brownian_from_a_point():
    """v_{i+1} = (1 + h/t)^2 v_i + 2D|h|: the last sample is pure noise, variance 2D|h|."""
    process, p0 = fr.Brownian(0.5), fr.Point(0.0)
    reverse = fr.reverse(process, process.score(p0))
    run = fr.simulate(reverse, fr.Gaussian(), n=N, time=(1, 0), steps=200, frames=11, seed=5)
    assert worst_z(run) < LIMIT
    assert scheme_moments(run.specification).variance[-1, 0] == pytest.approx(1 / 200, rel=1e-9)


def test_there_and_back_with_one_seed():
    """The way back has noise of its own, or it would undo what the way there did."""
    process, p0 = fr.Brownian(0.5), fr.Gaussian(0.0, 1.0)
    options = {"n": 1_000_000, "steps": 200, "seed": 7}
    there = fr.simulate(process, p0, **options)
    back = fr.simulate(fr.reverse(process, process.score(p0)), there.x, time=(1, 0), **options)
    np.testing.assert_allclose(back.x.var(), 1.0, atol=0.02)
    exact = np.corrcoef(there.frames[0, :, 0], back.x[:, 0])[0, 1]
    np.testing.assert_allclose(exact, 0.5, atol=0.02)  # of x_0 and another one with the same x_T
    on = fr.simulate(process, there.x, time=(1, 2), **options)
    np.testing.assert_allclose(on.x.var(), 3.0, atol=0.05)


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
def test_every_noise_factor_has_the_same_marginals(noise):
    process, p0, T = GAUSSIAN_PROBLEMS["vp"]
    reverse = fr.reverse(process, process.score(p0), noise=noise)
    common = {"n": N // 4, "time": (T, 0), "steps": 500, "frames": 6, "seed": 12}
    run = fr.simulate(reverse, process.marginal(p0, T), **common)
    assert worst_z(run) < LIMIT
    variance = frame_moments(run.frames).variance[:, 0]
    exact = [float(process.marginal(p0, t).moments()[1][0]) for t in run.times]
    np.testing.assert_allclose(variance, exact, rtol=0.1)


FINE = fr.TimeGrid.power(1.0, 1e-5, 1500, rho=3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mixture_returns(dtype):
    process = fr.VP()
    reverse = fr.reverse(process, process.score(MIXTURE))
    start = process.marginal(MIXTURE, 1.0)
    run = fr.simulate(reverse, start, n=200_000, time=FINE, seed=3, dtype=dtype)
    assert stats.kstest(run.x[:, 0].astype(np.float64), MIXTURE.cdf).pvalue > 1e-5
    naive = fr.simulate(naive_reversal(process), start, n=200_000, time=FINE, seed=3)
    assert stats.kstest(naive.x[:, 0].astype(np.float64), MIXTURE.cdf).pvalue < 1e-5


def test_mixture_returns_in_two_dimensions():
    """A joint mixture: both marginals and the covariance, which only joint shares give."""
    p0 = fr.GaussianMixture([0.4, 0.6], [[-1, -1], [1, 0.5]], [[0.2, 0.3], [0.3, 0.2]])
    process = fr.VP()
    start = process.marginal(p0, 1.0)
    run = fr.simulate(fr.reverse(process, process.score(p0)), start, n=200_000, time=FINE, seed=3)
    c = p0.components()
    for j in range(2):
        law = fr.GaussianMixture(c.weights, c.means[:, j], np.sqrt(c.variances[:, j]))
        assert stats.kstest(run.x[:, j].astype(np.float64), law.cdf).pvalue > 1e-5
    want = 0.4 * 0.6 * 2.0 * 1.5
    assert np.cov(run.x.T.astype(np.float64))[0, 1] == pytest.approx(want, abs=0.01)


def test_data_points_return():
    points = fr.Empirical([[-1.0, 0.0], [1.0, 1.0], [0.5, -1.0]])
    process = fr.VE(0.01, 10.0)
    run = fr.simulate(
        fr.reverse(process, process.score(points)),
        process.marginal(points, 1.0),
        n=30_000,
        time=fr.TimeGrid.power(1.0, 1e-4, 600, rho=3),
        seed=8,
    )
    distance = np.linalg.norm(run.x[:, None] - points.points[None], axis=2)
    assert np.median(distance.min(axis=1)) < 0.01
    share = np.bincount(distance.argmin(axis=1), minlength=3)
    assert stats.chisquare(share).pvalue > 1e-5


def test_users_own_sde_and_score():
    """dx = -x dt + sqrt(2) dw from N(0, 1) is stationary, forward and back."""
    from collections import namedtuple

    params = namedtuple("P", ["rate"])

    def drift(x, t, p):
        return -p.rate * x

    def score(x, t, p):
        return -x

    sde = fr.SDE(drift, 2.0**0.5, params(1.0))
    forward = fr.simulate(sde, fr.Gaussian(), n=400_000, time=(0, 1), steps=400, seed=1)
    back = fr.simulate(fr.reverse(sde, fr.Score(score)), forward.x, time=(1, 0), steps=400, seed=2)
    for run in (forward, back):
        assert stats.kstest(run.x[:, 0].astype(np.float64), "norm").pvalue > 1e-5
    wrong = fr.simulate(
        fr.reverse(sde, fr.Score(lambda x, t, p: x)), forward.x, time=(1, 0), steps=400, seed=2
    )
    assert stats.kstest(wrong.x[:, 0].astype(np.float64), "norm").pvalue < 1e-5


def test_geometric_brownian_motion_in_the_mean():
    """dx = mu x dt + sigma x dw (Itô): E x_t = x_0 e^{mu t}, E x_t^2 = x_0^2 e^{(2mu+sigma^2)t}."""
    sde = fr.SDE(lambda x, t, p: 0.3 * x, lambda x, t, p: 0.4 * x, noise="diagonal")
    x = fr.simulate(sde, fr.Point(1.5), n=N, time=(0, 1), steps=500, seed=4).x[:, 0]
    x = x.astype(np.float64)
    for power, rate in ((1, 0.3), (2, 0.6 + 0.16)):
        sample = x**power
        z = (sample.mean() - 1.5**power * np.exp(rate)) / (sample.std() / np.sqrt(N))
        assert abs(z) < LIMIT
