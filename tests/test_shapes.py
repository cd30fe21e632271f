"""Kernels of whole particles, noise of any shape, and their reversal, against oracles."""

import math
from typing import NamedTuple

import naive
import numpy as np
import pytest
from scipy import stats

import fastrev as fr


class P(NamedTuple):
    a: float
    m: np.ndarray


PARAMS = P(0.7, np.array([[0.1, 0.4], [-0.3, 0.2], [0.5, 0.0]]))


def coupled(x, t, p):
    return (x[1] - p.a * x[0], -x[0] * x[2] + t, 1.0 - p.a * x[2])


def full(x, t, p):
    return (
        (p.m[0, 0] + 0.1 * x[1], p.m[0, 1]),
        (p.m[1, 0], p.m[1, 1] + 0.2 * t),
        (p.m[2, 0] * x[2], p.m[2, 1]),
    )


DIFFUSIONS = {
    "scalar": (lambda x, t, p: 0.3 + 0.1 * t, lambda x, t: (0.3 + 0.1 * t) * np.eye(3)),
    "diagonal": (
        lambda x, t, p: (0.1 * x[1], 0.2, p.a * t),
        lambda x, t: np.diag([0.1 * x[1], 0.2, PARAMS.a * t]),
    ),
    "matrix": (PARAMS.m, lambda x, t: PARAMS.m),
    "general": (full, lambda x, t: np.array(full(x, t, PARAMS))),
}


def sde(noise, **options):
    return fr.SDE(coupled, DIFFUSIONS[noise][0], PARAMS, dim=3, noise=noise, **options)


@pytest.mark.parametrize("noise", DIFFUSIONS)
def test_against_the_oracle(noise):
    """Euler-Maruyama in float64 NumPy, particle by particle, with the same normals."""
    run = fr.simulate(sde(noise), fr.Gaussian(0.2, 0.5), n=50, steps=20, seed=9, dtype="float64")
    g_of, ids = DIFFUSIONS[noise][1], np.arange(50)
    m, h = g_of(np.zeros(3), 0.0).shape[1], 1 / 20
    x = run.frames[0].copy()
    for i in range(20):
        z = np.stack([naive.normals(ids, i, j, 9, np.float64) for j in range(m)], axis=1)
        for k in ids:
            f = np.array(coupled(x[k], i * h, PARAMS))
            x[k] = x[k] + f * h + g_of(x[k], i * h) @ z[k] * np.sqrt(h)
    np.testing.assert_allclose(run.x, x, rtol=1e-11, atol=1e-12)
    assert not np.allclose(run.x, x[:, ::-1], rtol=1e-3)


@pytest.mark.parametrize(("noise", "dtype"), [("diagonal", "float32"), ("general", "float64")])
def test_same_bits(monkeypatch, tmp_path, noise, dtype):
    options = {"n": 5003, "steps": 30, "seed": 2, "frames": 4, "dtype": dtype}
    runs = []
    for threads, size in (("1", None), ("2", 700), ("5", 1111)):
        monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
        run = fr.simulate(sde(noise), fr.Gaussian(), shard_size=size, **options)
        runs.append(run.frames.tobytes())
    assert len(set(runs)) == 1
    run = fr.simulate(sde(noise), fr.Gaussian(), out=tmp_path / "a.h5", **options)
    assert run.frames[:].tobytes() == runs[0]
    np.testing.assert_array_equal(run.trace([7])[-1, 0], run.frames[-1, 7])


def test_a_matrix_is_read_back(tmp_path):
    run = fr.simulate(sde("matrix"), fr.Gaussian(), n=100, steps=5, seed=1, out=tmp_path / "a.h5")
    again = fr.open(run.path, kernels={"process.drift": coupled})
    np.testing.assert_array_equal(again.trace([3])[-1, 0], run.frames[-1, 3])


def test_new_values_do_not_recompile():
    one = fr.simulate(sde("general"), fr.Gaussian(), n=10, steps=5)
    other = fr.SDE(coupled, full, PARAMS._replace(a=0.1), dim=3, noise="general")
    assert fr.simulate(other, fr.Gaussian(), n=10, steps=5).compile_seconds < 0.1
    assert not np.array_equal(one.x, fr.simulate(other, fr.Gaussian(), n=10, steps=5).x)


@pytest.mark.slow
def test_mixed_with_processes_and_scores_by_coordinate():
    """A score of tuples on VP, and one of coordinates on an SDE of tuples: the same run."""
    process, p0 = fr.VP(), fr.Gaussian(0.0, 1.0)
    by_tuple = fr.Score(lambda x, t, p: (-x[0], -x[1]), dim=2)
    by_coordinate = fr.Score(lambda x, t, p: -x)
    options = {"n": 2000, "steps": 50, "time": (1, 0), "seed": 3, "dtype": "float64"}
    one = fr.simulate(fr.reverse(process, by_tuple), p0, **options)
    two = fr.simulate(fr.reverse(process, by_coordinate), p0, dim=2, **options)
    np.testing.assert_allclose(one.x, two.x, rtol=1e-12, atol=1e-13)
    own = fr.SDE(lambda x, t, p: (-x[0], -x[1]), 1.0, dim=2)
    ring = fr.OrnsteinUhlenbeck(1.0, 1.0)
    mixture = fr.GaussianMixture([0.4, 0.6], [[1.0, 0.0], [-1.0, 0.5]], [0.5, 0.4])
    tiled = fr.simulate(fr.reverse(own, ring.score(mixture)), p0, **options)
    same = fr.simulate(fr.reverse(ring, ring.score(mixture)), p0, **options)
    np.testing.assert_allclose(tiled.x, same.x, rtol=1e-9, atol=1e-10)


class GBM(NamedTuple):
    """Geometric Brownian motion dx = mu x dt + sigma x dw from ln x_0 ~ N(m, s^2)."""

    mu: float
    sigma: float
    m: float
    s: float


G = GBM(0.3, 0.4, 0.1, 0.2)


def log_normal_score(x, t, p):
    mean = p.m + (p.mu - 0.5 * p.sigma * p.sigma) * t
    variance = p.s * p.s + p.sigma * p.sigma * t
    return -(1.0 + (math.log(x) - mean) / variance) / x


def log_normal_score_2(x, t, p):
    mean = p.m + (p.mu - 0.5 * p.sigma * p.sigma) * t
    variance = p.s * p.s + p.sigma * p.sigma * t
    return (
        -(1.0 + (math.log(x[0]) - mean) / variance) / x[0],
        -(1.0 + (math.log(x[1]) - mean) / variance) / x[1],
    )


def growth(x, t, p):
    return p.mu * x


SHAPES = {
    "coordinate": (fr.SDE(growth, lambda x, t, p: p.sigma * x, G, noise="diagonal"), None),
    "own divergence": (
        fr.SDE(
            growth,
            lambda x, t, p: p.sigma * x,
            G,
            noise="diagonal",
            divergence=lambda x, t, p: 2.0 * p.sigma * p.sigma * x,
        ),
        None,
    ),
    "tuple": (
        fr.SDE(
            lambda x, t, p: (p.mu * x[0], p.mu * x[1]),
            lambda x, t, p: (p.sigma * x[0], p.sigma * x[1]),
            G,
            dim=2,
            noise="diagonal",
        ),
        2,
    ),
    "general": (
        fr.SDE(
            lambda x, t, p: (p.mu * x[0], p.mu * x[1]),
            lambda x, t, p: ((p.sigma * x[0], 0.0), (0.0, p.sigma * x[1])),
            G,
            dim=2,
            noise="general",
        ),
        2,
    ),
}


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ("coordinate", "float32"),
        ("own divergence", "float64"),
        ("tuple", "float64"),
        ("general", "float32"),
    ],
)
def test_geometric_brownian_motion_returns(shape, dtype):
    """Forward to the log-normal law at t = 1, back to p_0 with its exact score and div a."""
    process, dim = SHAPES[shape]
    score = fr.Score(log_normal_score_2 if dim else log_normal_score, G, dim=dim)
    x0 = np.exp(np.random.default_rng(1).normal(G.m, G.s, (60_000, dim or 1)))
    forward = fr.simulate(process, x0, steps=300, seed=1, dtype=dtype)
    log_mean, log_std = G.m + G.mu - 0.5 * G.sigma**2, math.hypot(G.s, G.sigma)
    assert stats.kstest(np.log(forward.x[:, -1]), stats.norm(log_mean, log_std).cdf).pvalue > 1e-4
    back = fr.simulate(
        fr.reverse(process, score), forward.x, time=(1, 0), steps=600, seed=2, dtype=dtype
    )
    law = stats.norm(G.m, G.s).cdf
    assert stats.kstest(np.log(back.x[:, -1]), law).pvalue > 1e-4
    if shape == "own divergence":  # the same without the divergence is rejected
        without = fr.SDE(
            growth, process.diffusion, G, noise="diagonal", divergence=lambda x, t, p: 0.0 * x
        )
        wrong = fr.simulate(
            fr.reverse(without, score), forward.x, time=(1, 0), steps=600, seed=2, dtype=dtype
        )
        assert stats.kstest(np.log(wrong.x[:, -1]), law).pvalue < 1e-10


def test_numeric_divergence_against_exact():
    """A G that mixes coordinates: sum_j d a_ij/dx_j by hand and by differences give one path."""

    def g(x, t, p):
        return ((1.0 + 0.3 * x[1], 0.2 * x[0]), (0.1 * x[0] * x[1], 1.0))

    def divergence(x, t, p):
        # a_00 = (1 + .3 y)^2 + .04 x^2, a_01 = (1 + .3 y) .1 x y + .2 x, a_11 = .01 x^2 y^2 + 1
        return (
            0.08 * x[0] + 0.1 * x[0] + 0.06 * x[0] * x[1],
            0.1 * x[1] + 0.03 * x[1] * x[1] + 0.2 + 0.02 * x[0] * x[0] * x[1],
        )

    def drift(x, t, p):
        return (-x[0], -x[1])

    score = fr.Score(lambda x, t, p: (-x[0], -2.0 * x[1]), dim=2)
    options = {"n": 500, "steps": 40, "time": (1, 0), "seed": 5, "dtype": "float64"}
    paths = [
        fr.simulate(
            fr.reverse(fr.SDE(drift, g, dim=2, noise="general", divergence=d), score),
            fr.Gaussian(),
            **options,
        ).x
        for d in (divergence, None, lambda x, t, p: divergence(x, t, p)[::-1])
    ]
    np.testing.assert_allclose(paths[1], paths[0], rtol=1e-8, atol=1e-8)
    assert not np.allclose(paths[2], paths[0], rtol=1e-3, atol=1e-3)


def test_linear_process_with_full_noise():
    """Covariance against the exact recursion of the scheme, forward and back."""
    a = np.array([[-1.0, 0.8], [-0.5, -0.6]])
    g = np.array([[0.7, 0.2], [-0.3, 0.5]])

    def drift(x, t, p):
        return (-1.0 * x[0] + 0.8 * x[1], -0.5 * x[0] - 0.6 * x[1])

    steps, n, h = 50, 400_000, 1 / 50
    run = fr.simulate(
        fr.SDE(drift, g, dim=2, noise="matrix"), fr.Gaussian(0.0, 0.5), n=n, steps=steps, seed=4,
        frames=0, observe=fr.Moments({"every": 10}),
    )  # fmt: skip
    cov, factor = 0.25 * np.eye(2), np.eye(2) + a * h
    want = {0: cov}
    for i in range(steps):
        cov = factor @ cov @ factor.T + g @ g.T * h
        want[i + 1] = cov
    have = run.observables["moments"].cov
    for f, i in enumerate(range(0, 51, 10)):
        assert np.abs(z_of(have[f], want[i], n)).max() < 4.5
    assert np.abs(z_of(have[-1], want[40], n)).max() > 4.5


def z_of(have, want, n):
    """Standard error of a Gaussian covariance: sqrt((v_ii v_jj + v_ij^2)/n)."""
    return (have - want) / np.sqrt((np.outer(np.diag(want), np.diag(want)) + want**2) / n)


def bursts(x, t, p):
    return (x[1] * 0.0, x[0] / (0.6875 - t) if t > 0.68 else -x[1])


@pytest.mark.parametrize("where", ["memory", "file"])
def test_lost_particles_are_told(tmp_path, where):
    """NaN and infinity at t = 0.6875, step 44 of 64, of the particles that do not sit at 0."""
    x0 = np.zeros((3000, 2))
    x0[[1234, 2000], 0] = 1.0
    process = fr.SDE(bursts, 0.0, dim=2)
    out = tmp_path / "a.h5" if where == "file" else None
    with pytest.warns(RuntimeWarning, match=r"particle \d+ first at step 45, t = 0.703125") as seen:
        run = fr.simulate(process, x0, steps=64, seed=1, out=out, shard_size=500)
    message = str(seen[0].message)
    lost = int(message.split("particle ")[1].split(maxsplit=1)[0])
    path = run.trace(lost)[:, 0]
    assert np.isfinite(path[44]).all() and not np.isfinite(path[45]).all()
    assert message.startswith(f"{run.non_finite:,} of 6,000 coordinates")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sde("scalar", divergence=3), "SDE.divergence must be a Python function"),
        (lambda: fr.SDE(coupled, 1.0, dim=0), "SDE.dim must be None or a whole number"),
        (lambda: fr.SDE(coupled, 1.0, noise="general"), "needs dim"),
        (lambda: fr.SDE(coupled, np.eye(2), dim=3, noise="matrix"), "must have dim = 3 rows"),
        (lambda: fr.Score(coupled, dim=1.5), "Score.dim must be None or a whole number"),
    ],
)
def test_bad_models(make, message):
    with pytest.raises(fr.InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("process", "message"),
    [
        (
            fr.SDE(lambda x, t, p: (x[0], x[1]), 1.0, dim=3),
            "the drift must return 3 numbers, got 2",
        ),
        (
            fr.SDE(coupled, lambda x, t, p: (1.0, 2.0), PARAMS, dim=3, noise="diagonal"),
            "the diffusion must return 3 numbers, got 2",
        ),
        (
            fr.SDE(coupled, lambda x, t, p: ((1.0,), (2.0,)), PARAMS, dim=3, noise="general"),
            "must return 3 rows of numbers",
        ),
        (fr.SDE(lambda x, t, p: x[0], 1.0, dim=2), "the drift must return 2 numbers, got one"),
        (
            fr.SDE(coupled, lambda x, t, p: x[0], PARAMS, dim=3),
            "depends on x, but noise is 'scalar'",
        ),
    ],
)
def test_wrong_returns(process, message):
    with pytest.raises(fr.InputError, match=message):
        fr.simulate(process, fr.Gaussian(), n=10, steps=5)
    with pytest.raises(fr.InputError, match="dim must be"):
        fr.simulate(process, fr.Gaussian(), n=10, steps=5, dim=7)
