"""Scores on grids: interpolation against SciPy, densities, forward runs."""

import h5py
import numpy as np
import pytest
from problems import no_score
from scipy import interpolate, stats

import fastrev as fr
from fastrev.analysis import fokker_planck

X, Y = np.linspace(-2.0, 2.0, 41), np.linspace(-1.5, 2.5, 33)
TIMES = np.array([0.0, 0.4, 1.0])


def quadratic(x, t):
    return -x + 0.3 * x * x * (1 + t)


def step_of(score, x, t=0.2, dim=1):
    """The score at x, read off one reverse step of the probability flow of Brownian motion."""
    run = fr.simulate(
        fr.reverse(fr.Brownian(1.0), score, noise=0.0), x.reshape(-1, dim), time=(t, t - 0.01),
        steps=1, dtype="float64",
    )  # fmt: skip
    return (run.x - x.reshape(-1, dim)) / 0.01


@pytest.mark.parametrize(("kind", "order"), [("linear", 2), ("cubic", 3)])
def test_interpolation_on_a_line(kind, order):
    """Linear in t, exact for linear x; the error's order; SciPy's answer where it has one."""
    inside = np.random.default_rng(1).uniform(-2, 2, 500)
    values = np.stack([quadratic(X, t) for t in TIMES])
    score = fr.GridScore(TIMES, X, values, interpolation=kind)
    found = step_of(score, inside)[:, 0]
    if kind == "linear":
        rows = interpolate.RegularGridInterpolator((TIMES, X), values)
        np.testing.assert_allclose(found, rows(np.stack([0.2 + 0 * inside, inside], 1)), atol=1e-9)
    else:  # cubic convolution is exact for parabolas
        np.testing.assert_allclose(found, quadratic(inside, 0.2), atol=1e-9)
    errors = []
    for points in (41, 81, 161):
        x = np.linspace(-2, 2, points)
        fine = fr.GridScore([0.2], x, np.sin(2 * x)[None], interpolation=kind)
        errors.append(np.abs(step_of(fine, inside)[:, 0] - np.sin(2 * inside)).max())
    slope = -np.polyfit(np.log([40, 80, 160]), np.log(errors), 1)[0]
    assert slope > order - 0.1


@pytest.mark.parametrize("kind", ["linear", "cubic"])
def test_interpolation_on_a_plane(kind):
    def field(x, y):
        return np.stack([x * y - x, 0.5 * y + x * x * (kind == "cubic")], axis=-1)

    values = np.stack([field(*np.meshgrid(X, Y, indexing="ij"))] * 3)
    score = fr.GridScore(TIMES, X, values, Y, kind)
    points = np.random.default_rng(2).uniform([-2, -1.5], [2, 2.5], (500, 2))
    found = step_of(score, points, dim=2)
    np.testing.assert_allclose(found, field(*points.T), atol=1e-9)
    assert np.abs(found - field(*points.T)[:, ::-1]).max() > 0.1


def test_beyond_the_grid_it_is_linear_and_counted():
    score = fr.GridScore([0.0, 1.0], X, np.stack([-X, -X]), interpolation="cubic")
    far = np.array([-9.0, -2.0, 0.0, 2.0, 5.0])
    with pytest.warns(RuntimeWarning, match="2 of 5 particles were at some step beyond the score"):
        np.testing.assert_allclose(step_of(score, far)[:, 0], -far, atol=1e-9)


def drift(x, t, p):
    return 4.0 * x * (1.0 - x * x)


WELL, START = fr.SDE(drift, 0.8), fr.Gaussian(0.3, 0.2)
OPTIONS = {"n": 100_000, "steps": 500, "seed": 1}


def test_double_well_by_fokker_planck(tmp_path):
    """Forward from a Gaussian and back to it; without the score the law is another."""
    x, times = np.linspace(-2.5, 2.5, 501), np.linspace(0, 1, 201)
    law = fokker_planck.solve(WELL, START, times, x, steps=1000)
    np.testing.assert_allclose(law.density.sum(axis=1) * (x[1] - x[0]), 1.0, rtol=1e-10)
    assert law.density.min() >= 0.0
    forward = fr.simulate(WELL, START, **OPTIONS)
    assert stats.kstest(forward.x[:, 0], law.cdf(1.0)).statistic < 0.008
    assert [row.distance.equal for row in forward.compare(law)] == [True, True]
    score = fr.GridScore.from_density(times, x, law.density)
    options = OPTIONS | {"time": (1, 0), "seed": 2}
    back = fr.simulate(fr.reverse(WELL, score), forward.x, **options)
    assert stats.kstest(back.x[:, 0], START.cdf).statistic < 0.01
    with pytest.warns(RuntimeWarning, match="ended infinite"):
        naive = fr.simulate(fr.reverse(WELL, fr.Score(no_score)), forward.x, **options)
    assert stats.kstest(naive.x[:, 0], START.cdf).statistic > 0.1
    path = tmp_path / "a.h5"
    stored = fr.simulate(fr.reverse(WELL, score), forward.x, out=path, shard_size=7000, **options)
    assert stored.x.tobytes() == back.x.tobytes()
    with h5py.File(path, "r+") as file:
        file["/fastrev/shards"][3] = 0
    again = fr.resume(path, kernels={"process.drift": drift})
    assert again.x.tobytes() == back.x.tobytes() and "GridScore" in repr(again)


def test_from_a_forward_run(tmp_path):
    path = tmp_path / "forward.h5"
    forward = fr.simulate(WELL, START, frames=101, out=path, **OPTIONS)
    score = fr.GridScore.from_run(path)
    options = OPTIONS | {"time": (1, 0), "seed": 2}
    back = fr.simulate(fr.reverse(WELL, score), forward.x, **options)
    assert stats.kstest(back.x[:, 0], START.cdf).statistic < 0.03


@pytest.fixture(scope="module")
def plane():
    """Brownian motion from a Gaussian on a plane: process, p0, run."""
    p0, process = fr.Gaussian([1.0, 0.0], cov=[[0.5, 0.2], [0.2, 0.3]]), fr.Brownian(0.5)
    return process, p0, fr.simulate(process, p0, n=200_000, steps=50, frames=6, seed=1)


def test_from_a_forward_run_on_a_plane(plane):
    process, p0, forward = plane
    score = fr.GridScore.from_run(forward, bandwidth=0.3, points=81)
    exact, x = process.marginal(p0, 1.0), np.array([[1.0, 0.0], [0.0, 0.5], [2.0, -0.6]])
    smoothed = np.array([[1.59, 0.2], [0.2, 1.39]])
    want = -(x - exact.mean) @ np.linalg.inv(smoothed)
    np.testing.assert_allclose(step_of(score, x, t=1.0, dim=2), want, atol=0.06)


def test_a_run_is_compared_with_a_solution(plane):
    """By coordinate, in any order of times; coordinates exchanged are told apart."""
    process, p0, run = plane
    x, y = np.linspace(-5.0, 7.0, 121), np.linspace(-5.6, 5.6, 113)
    law = fokker_planck.solve(process, p0, run.times, x, 50, y)
    for solution in (law, fokker_planck.Densities(run.times[::-1], x, law.density[::-1], y)):
        rows = run.compare(exact=solution)
        assert [(row.t, row.coordinate) for row in rows] == [
            (t, j) for t in run.times for j in (0, 1)
        ]
        assert all(row.distance.equal for row in rows)
    swapped = fokker_planck.Densities(law.times, y, law.density.swapaxes(1, 2), x)
    assert not any(row.distance.equal for row in run.compare(swapped))
    with pytest.raises(fr.InputError, match=r"holds no t = 0; the nearest .* is 0.001"):
        run.compare(fokker_planck.Densities(law.times + 0.001, *law[1:]))
    with pytest.raises(fr.InputError, match="a run of 2 coordinates, but a solution of 1"):
        run.compare(law.marginal(0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fr.GridScore([0.0, 0.0], X, np.zeros((2, 41))), "times must increase"),
        (lambda: fr.GridScore([0.0], X**3, np.zeros((1, 41))), "x must be evenly spaced"),
        (lambda: fr.GridScore([0.0], X, np.zeros((1, 40))), r"shape \(1, 41\), got \(1, 40\)"),
        (lambda: fr.GridScore([0.0], X, np.full((1, 41), np.nan)), "GridScore.values"),
        (lambda: fr.GridScore([0.0], X, np.zeros((1, 41)), None, "cubik"), "'linear' or 'cubic'"),
        (lambda: fr.GridScore.from_density([0.0], X, np.ones((1, 9))), "density must have shape"),
        (
            lambda: fr.GridScore.from_run(
                fr.simulate(fr.Brownian(1.0), fr.Point(0.0), n=5, steps=2, dim=3)
            ),
            "in 1-D or 2-D, got 2 frames of 5 particles in 3-D",
        ),
    ],
)
def test_bad_requests(make, message):
    with pytest.raises(fr.InputError, match=message):
        make()


def test_a_grid_that_does_not_cover_the_times():
    score = fr.GridScore([0.2, 1.0], X, np.zeros((2, 41)))
    with pytest.raises(fr.InputError, match=r"covers t from 0.2 to 1; .* at t = 0.1"):
        fr.simulate(fr.reverse(fr.Brownian(1.0), score), fr.Gaussian(), n=5, time=(1, 0), steps=10)


def test_a_table_that_does_not_fit_is_refused(monkeypatch):
    from fastrev.engine import memory

    monkeypatch.setattr(memory, "available", lambda: 2**30)
    x = np.linspace(-2, 2, 300)
    score = fr.GridScore([0.0], x, np.zeros((1, 300, 300, 2)), x)
    for steps, fits in ((40, True), (4000, False)):
        process = fr.reverse(fr.Brownian(1.0), score)
        if fits:
            fr.simulate(process, fr.Gaussian(), n=5, dim=2, time=(1, 0), steps=steps)
            continue
        with pytest.raises(fr.InputError, match=r"table of the score, grid x steps, needs 2\d"):
            fr.simulate(process, fr.Gaussian(), n=5, dim=2, time=(1, 0), steps=steps)


def test_frames_of_a_run_that_do_not_make_a_score():
    run = fr.simulate(fr.Brownian(1.0), fr.Gaussian(), n=2000, steps=20, frames=2)
    with pytest.warns(RuntimeWarning, match="2 frames in which particles differ"):
        score = fr.GridScore.from_run(run)
    assert repr(score) == "GridScore(2 times, 801 points, linear)"
    for points in (100.5, "100", 3):
        with pytest.raises(fr.InputError, match="points must be a whole number"):
            fr.GridScore.from_run(run, points=points)
    run.frames[1, 3] = np.inf
    with pytest.raises(fr.InputError, match="every particle is finite"):
        fr.GridScore.from_run(run)
