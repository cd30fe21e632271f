"""Linear processes with full matrices, and laws with covariances, against independent formulas."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.stats import multivariate_normal
from test_shapes import z_of

import fastrev as fr
from fastrev.analysis.compare import variance_table, verdict

A = np.array([[-0.3, 1.2], [-1.0, -0.2]])  # a rotation, damped
B, G = np.array([0.3, -0.1]), np.array([[0.7, 0.2, 0.0], [-0.3, 0.5, 0.1]])
COV = np.array([[0.5, 0.3], [0.3, 0.4]])
PROCESS = fr.Linear(A, B, G)
GAUSS = fr.Gaussian([1.0, -0.5], cov=COV)
MIX = fr.GaussianMixture([0.4, 0.6], [[1.5, 0.0], [-1.0, 0.5]], covs=[0.2 * COV, 0.3 * np.eye(2)])


@pytest.mark.parametrize("t", [1e-6, 0.3, 2.0, 40.0])
def test_flow_against_the_ordinary_differential_equation(t):
    """dQ/dt = A Q + Q A^T + G G^T and dc/dt = A c + b, by an adaptive solver."""

    def right(_, y):
        q, c = y[:4].reshape(2, 2), y[4:]
        return np.concatenate([(A @ q + q @ A.T + G @ G.T).ravel(), A @ c + B])

    f, c, q = (value[0] for value in PROCESS.flow(np.array([t])))
    y = solve_ivp(right, (0, t), np.zeros(6), rtol=1e-11, atol=1e-14, method="DOP853").y[:, -1]
    np.testing.assert_allclose(f, expm(A * t), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(q, y[:4].reshape(2, 2), rtol=1e-7, atol=1e-13)
    np.testing.assert_allclose(c, y[4:], rtol=1e-7, atol=1e-13)
    if t < 10.0:  # later it stands still
        assert not np.allclose(PROCESS.flow(np.array([1.1 * t]))[2][0], q, rtol=1e-3)


def test_densities_and_scores():
    x = np.random.default_rng(1).normal(size=(50, 2))
    np.testing.assert_allclose(GAUSS.pdf(x), multivariate_normal([1.0, -0.5], COV).pdf(x))
    for law in (GAUSS, MIX, PROCESS.marginal(MIX, 0.7), fr.VP().marginal(MIX, 0.3)):
        e = 1e-5
        for j in range(2):
            step = e * np.eye(2)[j]
            slope = (np.log(law.pdf(x + step)) - np.log(law.pdf(x - step))) / (2 * e)
            np.testing.assert_allclose(law.score(x)[:, j], slope, rtol=1e-5, atol=1e-6)
        s = law.sample(200_000, seed=2)
        c = law.components()
        mean = c.weights @ c.means
        away = c.means - mean
        cov = np.einsum("k,kij->ij", c.weights, c.covs + away[:, :, None] * away[:, None])
        assert np.abs(np.cov(s.T) - cov).max() < 0.02 and np.abs(s.mean(0) - mean).max() < 0.01
    diagonal = fr.GaussianMixture([1, 1], [[0, 1], [2, 3]], [[0.5, 1.0], [1.5, 2.0]])
    full = fr.GaussianMixture(
        [1, 1], [[0, 1], [2, 3]], covs=[np.diag([0.25, 1.0]), np.diag([2.25, 4.0])]
    )
    np.testing.assert_allclose(full.pdf(x), diagonal.pdf(x), rtol=1e-12)
    np.testing.assert_allclose(full.score(x), diagonal.score(x), rtol=1e-10)


@pytest.mark.parametrize("law", [GAUSS, MIX], ids=["gaussian", "mixture"])
def test_draws(law):
    run = fr.simulate(
        fr.Brownian(1e-12), law, n=400_000, steps=1, seed=1, frames=0, observe=fr.Moments()
    )
    c, m = law.components(), run.observables["moments"]
    mean = c.weights @ c.means
    away = c.means - mean
    cov = np.einsum("k,kij->ij", c.weights, c.covs + away[:, :, None] * away[:, None])
    assert np.abs((m.mean[0] - mean) / m.stderr[0]).max() < 4.5
    assert np.abs(z_of(m.cov[0], cov, 400_000)).max() < 4.5
    assert np.abs(z_of(m.cov[0], cov * [[1, -1], [-1, 1]], 400_000)).max() > 4.5


def test_forward_and_back_by_the_exact_recursion():
    n, steps = 300_000, 100
    options = {"n": n, "steps": steps, "frames": 6, "seed": 3}
    forward = fr.simulate(PROCESS, GAUSS, time=(0, 1), **options)
    back = fr.simulate(
        fr.reverse(PROCESS, PROCESS.score(GAUSS)), PROCESS.marginal(GAUSS, 1.0), time=(1, 0),
        observe=fr.Moments(), **options,
    )  # fmt: skip
    for run in (forward, back):
        rows = variance_table(run, 1)
        assert not np.isnan([row.z for row in rows]).any() and "agrees" in verdict(rows, n)
    cov = back.observables["moments"].cov[-1]
    assert np.abs(z_of(cov, COV, n)).max() < 12.0  # and the scheme's error, of order h
    naive = fr.simulate(
        fr.reverse(PROCESS, fr.Score(lambda x, t, p: 0.0 * x)), PROCESS.marginal(GAUSS, 1.0),
        time=(1, 0), observe=fr.Moments(), **options,
    )  # fmt: skip
    assert np.abs(z_of(naive.observables["moments"].cov[-1], COV, n)).max() > 50.0


@pytest.mark.parametrize("process", [PROCESS, fr.VP(0.1, 8.0)], ids=["Linear", "VP"])
def test_mixtures_with_covariances_return(process):
    back = fr.simulate(
        fr.reverse(process, process.score(MIX)), process.marginal(MIX, 1.0), n=100_000,
        time=(1, 0), steps=400, seed=4,
    )  # fmt: skip
    want = MIX.sample(100_000, seed=5)
    assert np.abs(np.cov(back.x.T) - np.cov(want.T)).max() < 0.03
    assert np.abs(back.x.mean(0) - want.mean(0)).max() < 0.02
    turned = back.x @ np.array([1.0, 1.0]) / np.sqrt(2), want @ np.array([1.0, 1.0]) / np.sqrt(2)
    assert abs(np.mean(turned[0] ** 4) / np.mean(turned[1] ** 4) - 1) < 0.05


def test_files(tmp_path):
    run = fr.simulate(PROCESS, MIX, n=2000, steps=20, seed=1, out=tmp_path / "a.h5", frames=3)
    np.testing.assert_array_equal(fr.open(run.path).trace([9])[-1, 0], run.frames[-1, 9])
    back = fr.simulate(
        fr.reverse(PROCESS, PROCESS.score(MIX)), PROCESS.marginal(MIX, 1.0), n=2000, steps=20,
        time=(1, 0), out=tmp_path / "b.h5",
    )  # fmt: skip
    np.testing.assert_array_equal(fr.open(back.path).trace([9])[-1, 0], back.frames[-1, 9])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fr.Linear(np.ones((2, 3)), 0.0, 1.0), "Linear.A must be square"),
        (lambda: fr.Linear(A, 0.0, np.ones((3, 2))), "Linear.G must have 2 rows"),
        (lambda: fr.Gaussian(0.0, cov=[[1.0, 2.0], [2.0, 1.0]]), "must be positive definite"),
        (lambda: fr.Gaussian(0.0, cov=[[1.0, 0.2], [0.1, 1.0]]), "must be symmetric"),
        (lambda: fr.Gaussian([0.0] * 3, cov=COV), r"Gaussian.cov must be \(3, 3\)"),
        (lambda: fr.Gaussian(0.0, 2.0, cov=COV), "std or cov, got both"),
        (lambda: fr.GaussianMixture([1.0], [0.0]), "stds or covs"),
        (lambda: fr.GaussianMixture([1, 1], [[0, 0]], covs=[COV]), "need weights"),
        (lambda: PROCESS.marginal(GAUSS, -1.0), "t must not be negative"),
        (
            lambda: fr.simulate(PROCESS, fr.Gaussian(), n=10, dim=3, steps=2),
            "dim must be 2, as process has",
        ),
    ],
)
def test_bad_requests(make, message):
    with pytest.raises(fr.InputError, match=message):
        make()
