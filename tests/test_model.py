"""Laws and scores: against finite differences, moments and the Fokker-Planck equation."""

import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from problems import GAUSSIAN_PROBLEMS, MIXTURE
from scipy import integrate, stats

import fastrev as fr

PROCESSES = {name: problem[0] for name, problem in GAUSSIAN_PROBLEMS.items()}
LAWS = {
    "point": fr.Point(0.7),
    "gaussian": fr.Gaussian(-0.4, 0.8),
    "mixture": MIXTURE,
    "empirical": fr.Empirical([-1.0, 0.2, 0.3, 2.0]),
}


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@given(t=st.floats(0.02, 0.98))
@settings(max_examples=25, deadline=None)
def test_transition_solves_its_moment_equations(process, t):
    """da/dt = A a, db/dt = A b + B, dv/dt = 2 A v + g^2."""
    e = 1e-5
    now, after, before = (process.transition(np.array(s)) for s in (t, t + e, t - e))
    f = process.affine(np.array(t))
    slopes = [(x - y) / (2 * e) for x, y in zip(after, before, strict=True)]
    wanted = (
        f.slope * now.scale,
        f.slope * now.shift + f.offset,
        2 * f.slope * now.variance + f.g**2,
    )
    for got, want in zip(slopes, wanted, strict=True):
        assert got == pytest.approx(float(want), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_transition_starts_at_the_identity(process):
    start = process.transition(np.array(0.0))
    assert [float(v) for v in start] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("p0", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@given(t=st.floats(0.3, 1.0), x=st.floats(-2.5, 2.5))
@settings(max_examples=15, deadline=None)
def test_score_is_the_gradient_of_log_density(process, p0, t, x):
    law, e = process.marginal(p0, t), 1e-5
    near = np.array([x - e, x + e])
    if law.pdf(near).min() < 1e-250:
        return
    slope = np.diff(np.log(law.pdf(near)))[0] / (2 * e)
    assert law.score(np.array(x)) == pytest.approx(slope, rel=1e-4, abs=1e-4)
    assert law.score(np.array(x)) != pytest.approx(-slope - 1.0, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("p0", LAWS.values(), ids=LAWS)
def test_marginal_is_a_law(p0):
    law = fr.VP().marginal(p0, 0.4)
    assert integrate.quad(lambda x: float(law.pdf(np.array(x))), -8, 8, limit=200)[0] == (
        pytest.approx(1.0, abs=1e-8)
    )
    x = np.linspace(-2, 2, 9)
    slopes = (law.cdf(x + 1e-5) - law.cdf(x - 1e-5)) / 2e-5
    np.testing.assert_allclose(slopes, law.pdf(x), rtol=1e-6)
    sample = law.sample(100_000, seed=1)
    assert stats.kstest(sample[:, 0], law.cdf).pvalue > 1e-5
    assert stats.kstest(sample[:, 0] + 0.05, law.cdf).pvalue < 1e-5


def test_joint_score_in_two_dimensions():
    p0 = fr.GaussianMixture([1, 2], [[-1, 0.5], [1, 2]], [[0.3, 0.4], [0.5, 0.2]])
    law, e = fr.VP().marginal(p0, 0.3), 1e-5
    x = np.random.default_rng(2).normal(size=(20, 2))
    for j in range(2):
        step = np.zeros(2)
        step[j] = e
        slope = (np.log(law.pdf(x + step)) - np.log(law.pdf(x - step))) / (2 * e)
        np.testing.assert_allclose(law.score(x)[:, j], slope, rtol=1e-4, atol=1e-6)


def test_time_grids():
    uniform = fr.TimeGrid.uniform(1.0, 0.0, 4)
    np.testing.assert_allclose(uniform.times, [1, 0.75, 0.5, 0.25, 0])
    power = fr.TimeGrid.power(80.0, 0.002, 18, rho=7)
    want = (80 ** (1 / 7) + np.arange(19) / 18 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    np.testing.assert_allclose(power.times, want, rtol=1e-12)
    np.testing.assert_allclose(fr.TimeGrid.log(1, 100, 2).times, [1, 10, 100])
    assert fr.TimeGrid.power(1.0, 0.0, 5).end == 0.0
    assert fr.TimeGrid([0.0, 0.1, 0.5]).steps == 2
    for bad in ([0.0], [0.0, 1.0, 0.5], [0.0, 0.0], [0.0, np.nan]):
        with pytest.raises(fr.InputError, match="time"):
            fr.TimeGrid(bad)


@pytest.mark.parametrize(
    "law",
    [
        fr.Gaussian([0.0, 0.0], cov=np.eye(2)),
        fr.Gaussian([0.0, 0.0], [1.0, 1.0]),
        fr.GaussianMixture([1, 1], [[0.0, 0.0], [1.0, 1.0]], covs=[np.eye(2)] * 2),
        fr.Uniform([0.0, 0.0], [1.0, 2.0]),
    ],
)
@pytest.mark.parametrize("x", [[0.5, 1.0], [[0.5], [1.0]], np.zeros((4, 3))])
def test_points_must_have_the_coordinates_of_the_law(law, x):
    with pytest.raises(fr.InputError, match=r"x must have shape \(N, 2\)"):
        law.pdf(x)
    assert law.pdf([[0.5, 1.0]]).shape == (1,)


def test_a_far_start_is_forgotten_to_all_digits():
    mean, _ = fr.OrnsteinUhlenbeck(1.0, 1e-8).marginal(fr.Point(1e10), 30.0).moments()
    assert mean[0] == pytest.approx(1e10 * np.exp(-30.0), rel=1e-12)
    with pytest.raises(fr.InputError, match="Linear.b must have 2 entries"):
        fr.Linear(A=-np.eye(2), b=[1.0, 2.0, 3.0], G=1.0)


def test_a_score_of_another_process_is_warned_of():
    """Of another kind or with other numbers; none for equal laws stated in two ways."""
    vp, p0 = fr.VP(), fr.Gaussian()
    others = fr.Brownian(0.5), fr.VP(0.1, 10.0), fr.OrnsteinUhlenbeck(1.0, 1.0)
    for other in others:
        with pytest.warns(RuntimeWarning, match=r"process is .* but the score is of VP"):
            fr.reverse(other, vp.score(p0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for process in (
            *others,
            vp,
            fr.SubVP(),
            fr.VE(),
            fr.Linear(-np.eye(2), np.zeros(2), np.eye(2)),
        ):
            fr.reverse(process, process.score(p0))
        by_matrix = fr.Linear(-np.eye(2), np.zeros(2), np.eye(2))
        fr.reverse(fr.OrnsteinUhlenbeck(1.0, 1.0), by_matrix.score(p0))
        fr.reverse(fr.SDE(drift=lambda x, t, p: -x, diffusion=1.0), vp.score(p0))
        fr.reverse(fr.Brownian(0.5), fr.Score(lambda x, t, p: -x))
