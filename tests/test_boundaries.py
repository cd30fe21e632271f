"""Walls that reflect, absorb, or wrap, and the times of first passage."""

import math

import h5py
import naive
import numpy as np
import pytest
from scipy import stats

import fastrev as fr
from fastrev.store.validate import damaged_shards, validate

ALPHA = 1e-4
DRIFT, SIGMA, WALL = 0.8, 0.7, 1.0


def upwards(x, t, p):
    return 0.8


RISING = fr.SDE(upwards, SIGMA)


def inverse_gaussian(t1):
    """The law of the first passage of x + mu t + sigma w at a wall, given that it is before t1."""
    mean, shape = WALL / DRIFT, (WALL / SIGMA) ** 2
    law = stats.invgauss(mu=mean / shape, scale=shape)
    return law, lambda t: law.cdf(t) / law.cdf(t1)


def test_first_passage_is_inverse_gaussian():
    """At any step, here more than 1."""
    run = fr.simulate(
        RISING, fr.Point(0.0), n=200_000, time=(0, 6), steps=5, seed=3, frames=[2.4, 6.0],
        boundary=fr.Absorb(high=WALL), observe=fr.FirstPassage(),
    )  # fmt: skip
    tau, (law, cdf) = run.first_passage.astype(np.float64), inverse_gaussian(6.0)
    gone = np.isfinite(tau)
    assert stats.kstest(tau[gone], cdf).pvalue > ALPHA
    seen = run.observables["first_passage"]
    z = (seen.survival - law.sf(seen.times)) / seen.survival_stderr
    assert np.abs(z).max() < 4.5
    np.testing.assert_array_equal(seen.absorbed, [(tau <= t).sum() for t in seen.times])
    np.testing.assert_allclose(seen.mean[-1], tau[gone].mean(), rtol=1e-12)
    np.testing.assert_allclose(seen.variance[-1], tau[gone].var(ddof=1), rtol=1e-9)
    x = run.frames[-1, :, 0]
    assert (x[gone] == WALL).all() and (x[~gone] < WALL).all()


def test_absorption_as_an_oracle_does_it():
    """Without the bridge: straight lines between steps; two walls, two coordinates, float64."""
    steps, n, seed = 30, 3000, 9
    low, high = np.array([-0.9, -0.6]), np.array([0.5, math.inf])
    run = fr.simulate(
        fr.Brownian(0.5), np.zeros((n, 2)), steps=steps, seed=seed, dtype="float64", frames=31,
        boundary=fr.Absorb(low, high, bridge=False),
    )  # fmt: skip
    x, tau, h = np.zeros((n, 2)), np.full(n, np.inf), 1.0 / steps
    for i in range(steps):
        z = [naive.normals(np.arange(n), i, j, seed, np.float64) for j in range(2)]
        end = x + math.sqrt(h) * np.stack(z, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            walls = np.stack([(low - x) / (end - x), (high - x) / (end - x)])
        walls[0][end > low], walls[1][end < high] = np.inf, np.inf
        first = walls.min(axis=(0, 2))
        leaving = np.isinf(tau) & np.isfinite(first)
        part = np.where(leaving, first, 1.0)[:, None]
        x = np.where(np.isfinite(tau)[:, None], x, x + part * (end - x))
        tau[leaving] = (i + first[leaving]) * h
        np.testing.assert_allclose(run.frames[i + 1], x, atol=1e-9)
    np.testing.assert_allclose(run.first_passage, tau, atol=1e-9)
    assert 0.3 < np.isfinite(tau).mean() < 0.95


def test_without_the_bridge_passages_are_missed():
    """Brownian motion at a wall: Levy's law, and a step of 0.1."""
    run = fr.simulate(
        fr.Brownian(0.5), np.zeros((20_000, 1)), steps=10, seed=1, dtype="float64",
        boundary=fr.Absorb(high=0.5, bridge=False),
    )  # fmt: skip
    law, tau = stats.levy(scale=0.25), run.first_passage
    missed = law.cdf(1.0) - np.isfinite(tau).mean()
    assert missed > 20 * math.sqrt(0.25 / run.n)


def test_correlated_noise_meets_a_wall():
    """dx = G dw: coordinate 0 alone is Brownian with the variance of its row of G."""
    g = np.array([[0.5, 0.6], [-0.3, 0.8]])
    process = fr.SDE(lambda x, t, p: (0.0, 0.0), g, dim=2, noise="matrix")
    walls = fr.Absorb([-math.inf, -math.inf], [0.4, math.inf])
    run = fr.simulate(process, fr.Point(0.0), n=200_000, dim=2, steps=4, seed=5, boundary=walls)
    scale = 0.4**2 / (g[0] @ g[0])
    law = stats.levy(scale=scale)
    gone = run.first_passage[np.isfinite(run.first_passage)]
    share = len(gone) / run.n
    assert abs(share - law.cdf(1.0)) < 4.5 * math.sqrt(share * (1 - share) / run.n)
    assert stats.kstest(gone, lambda t: law.cdf(t) / law.cdf(1.0)).pvalue > ALPHA
    wrong = stats.levy(scale=0.4**2 / g[0, 0] ** 2)
    assert stats.kstest(gone, lambda t: wrong.cdf(t) / wrong.cdf(1.0)).pvalue < ALPHA


def test_exit_between_two_walls():
    """Where, by the scale function exp(-2 mu x/sigma^2); when, since E x = mu E tau."""
    a, b = 0.5, WALL
    run = fr.simulate(
        RISING, fr.Point(0.0), n=100_000, time=(0, 12), steps=1200, seed=2,
        boundary=fr.Absorb(-a, b), observe=fr.FirstPassage(),
    )  # fmt: skip
    k = -2 * DRIFT / SIGMA**2
    above = (1 - math.exp(-k * a)) / (math.exp(k * b) - math.exp(-k * a))
    seen = run.observables["first_passage"]
    assert seen.absorbed[-1] > 0.999 * run.n
    share = (run.x[:, 0] == b).mean()
    assert abs(share - above) < 4.5 * math.sqrt(above * (1 - above) / run.n)
    mean = (b * above - a * (1 - above)) / DRIFT
    assert abs(seen.mean[-1] - mean) < 4.5 * seen.stderr[-1]


def folded(x, low, high):
    """By whole reflections."""
    period = 2 * (high - low)
    y = np.mod(x - low, period)
    return low + np.minimum(y, period - y)


@pytest.mark.parametrize("kind", [fr.Reflect, fr.Periodic])
def test_reflected_and_periodic_brownian_motion(kind):
    """Step by step or at the end alone: for Brownian motion folding commutes with walking."""
    low, high = np.array([0.0, -2.0]), np.array([1.0, 3.0])
    start = np.tile([0.2, 2.5], (20_000, 1))
    options = {"steps": 40, "seed": 4, "dtype": "float64"}
    run = fr.simulate(fr.Brownian(0.5), start, boundary=kind(low, high), **options)
    free = fr.simulate(fr.Brownian(0.5), start, **options)
    assert ((run.x >= low) & (run.x <= high)).all()
    if kind is fr.Periodic:
        np.testing.assert_allclose(run.x, low + np.mod(free.x - low, high - low), atol=1e-10)
    else:
        for j in range(2):
            law = folded(free.x[:, j], low[j], high[j])
            assert stats.ks_2samp(run.x[:, j], law).pvalue > ALPHA
            assert stats.ks_2samp(run.x[:, j], free.x[:, j]).pvalue < ALPHA


def test_one_wall_and_starts_outside():
    run = fr.simulate(
        fr.Brownian(1e-12), np.array([[-1.5], [0.25], [7.0]]), steps=2, seed=1, frames=3,
        boundary=fr.Reflect(low=0.0), dtype="float64",
    )  # fmt: skip
    np.testing.assert_allclose(run.frames[0, :, 0], [1.5, 0.25, 7.0], atol=1e-6)
    run = fr.simulate(
        fr.Brownian(0.5), np.array([[-1.5], [0.25], [7.0]]), steps=2, seed=1, time=(0.5, 0.6),
        boundary=fr.Absorb(-1.0, 5.0, bridge=False), dtype="float64",
    )  # fmt: skip
    np.testing.assert_array_equal(run.first_passage == 0.5, [True, False, True])
    np.testing.assert_array_equal(run.x[[0, 2], 0], [-1.5, 7.0])


def test_bits_files_and_traces(monkeypatch, tmp_path):
    options = {
        "n": 5003, "time": (0, 3), "steps": 30, "seed": 2, "frames": 4, "keep": 3,
        "boundary": fr.Absorb(high=WALL), "observe": fr.FirstPassage(),
    }  # fmt: skip
    runs = set()
    for threads, size in (("1", None), ("2", 701)):
        monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
        run = fr.simulate(RISING, fr.Point(0.0), shard_size=size, **options)
        runs.add(run.frames.tobytes() + run.first_passage.tobytes())
    path = tmp_path / "a.h5"
    run = fr.simulate(RISING, fr.Point(0.0), out=path, shard_size=700, **options)
    assert {run.frames[:].tobytes() + run.first_passage.tobytes()} == runs
    stored = fr.open(path, kernels={"process.drift": upwards})
    np.testing.assert_array_equal(stored.trace(9)[-1, 0], run.frames[-1, 3])
    assert "Absorb" in repr(stored) and not damaged_shards(path)
    seen = stored.observables["first_passage"]
    assert seen.n[-1] == 5003 and 0 < seen.absorbed[-1] < 5003
    with h5py.File(path, "r+") as file:
        file["/fastrev/first_passage"][300] = 0.125
    assert damaged_shards(path) == [1]
    fr.resume(path, kernels={"process.drift": upwards}, repair=True)
    assert fr.open(path).first_passage.tobytes() == run.first_passage.tobytes()
    longer = fr.extend(path, 6000, tmp_path / "b.h5", kernels={"process.drift": upwards})
    np.testing.assert_array_equal(longer.first_passage[: run.n], run.first_passage)


def test_a_periodic_box_in_the_file(tmp_path):
    path = tmp_path / "a.h5md"
    fr.simulate(
        fr.Brownian(0.5), np.zeros((100, 3)), steps=5, out=path, dtype="float64",
        boundary=fr.Periodic([-1.0, -2.0, -3.0], 4.0),
    )  # fmt: skip
    with h5py.File(path) as file:
        box = file["/particles/trajectory/box"]
        assert box.attrs["boundary"].tolist() == [b"periodic"] * 3
        np.testing.assert_array_equal(box["edges"], [5.0, 6.0, 7.0])
    assert all(finding.level != "error" for finding in validate(path))
    assert fr.open(path).specification.boundary.walls(3)[0].tolist() == [-1.0, -2.0, -3.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fr.Reflect(1.0, 0.0), "Reflect.low must be below high"),
        (lambda: fr.Periodic(0.0, math.inf), "Periodic.high"),
        (lambda: fr.Absorb(math.nan, 0.0), "Absorb.low must be a number"),
        (lambda: fr.Absorb(0.0, 1.0, bridge="yes"), "Absorb.bridge must be True or False"),
        (lambda: fr.Reflect([0.0, 1.0], [1.0, 2.0, 3.0]), "one length"),
    ],
)
def test_bad_boundaries(make, message):
    with pytest.raises(fr.InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"boundary": (0, 1)}, "boundary must be Reflect, Periodic or Absorb"),
        ({"boundary": fr.Reflect([0.0, 0.0], 1.0)}, "dim must be 2, as boundary has"),
        ({"observe": fr.FirstPassage()}, "needs walls that absorb"),
    ],
)
def test_bad_runs(options, message):
    with pytest.raises(fr.InputError, match=message):
        fr.simulate(fr.Brownian(1.0), fr.Point(0.0), n=10, dim=1, steps=2, **options)


def test_no_law_of_free_space_is_held_against_walls():
    from fastrev.analysis.compare import variance_table

    run = fr.simulate(
        fr.Brownian(0.5), np.zeros((100, 1)), steps=5, seed=1, dtype="float64",
        boundary=fr.Reflect(0.0, 1.0),
    )  # fmt: skip
    assert all(math.isnan(row.exact) and math.isnan(row.scheme) for row in variance_table(run))


def test_passages_need_walls():
    run = fr.simulate(fr.Brownian(1.0), fr.Point(0.0), n=10, steps=2)
    with pytest.raises(fr.InputError, match="no absorbing boundary"):
        _ = run.first_passage
