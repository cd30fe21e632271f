"""Scores on grids: interpolation against SciPy, densities, forward runs."""

import warnings

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
        (lambda: fr.GridScore.from_density([0.0], [0.0], [[1.0]]), "x must be evenly spaced"),
        (lambda: fr.GridScore([0.0], X, np.full((1, 41), 1j)), "must be an array of numbers"),
        (
            lambda: fr.GridScore([0.0], X, np.ma.masked_less(np.zeros((1, 41)), 1.0)),
            r"must be finite, got nan at index \(0, 0\)",
        ),
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


def test_an_axis_rounded_to_float32_is_the_even_one_that_it_was():
    x = np.linspace(-3.0, 3.0, 601, dtype=np.float32)
    score = fr.GridScore([0.0], x, -np.asarray(x, np.float64)[None])
    np.testing.assert_allclose(score.x, np.linspace(-3.0, 3.0, 601), rtol=0, atol=1e-12)
    x[300] += 1e-5
    with pytest.raises(fr.InputError, match="evenly spaced"):
        fr.GridScore([0.0], x, np.zeros((1, 601)))


def with_images(kind, t, bandwidth, x):
    """The score of Brownian motion from 0.3 between walls at 0 and 1, by images."""
    shifts = 2.0 * np.arange(-20, 21)[:, None]
    if kind == "Periodic":
        images = [(0.3 + shifts / 2.0, 1.0)]
    else:
        images = [(0.3 + shifts, 1.0), (-0.3 + shifts, 1.0 if kind == "Reflect" else -1.0)]
    variance = t + bandwidth**2
    terms = [
        (w * np.exp(-((x - y) ** 2) / (2.0 * variance)), (y - x) / variance) for y, w in images
    ]
    return sum((p * s).sum(0) for p, s in terms) / sum(p.sum(0) for p, _ in terms)


@pytest.mark.parametrize("kind", ["Reflect", "Absorb", "Periodic"])
def test_a_score_between_walls(kind, tmp_path):
    """Of a run and of its file: the law's own images beyond a wall, and not another's."""
    run = fr.simulate(
        fr.Brownian(0.5), fr.Point(0.3), n=300_000, time=(0, 0.1), steps=200, frames=9, seed=1,
        boundary=getattr(fr, kind)(0.0, 1.0), out=tmp_path / "a.h5",
    )  # fmt: skip
    x, tolerance = np.linspace(0.02, 0.98, 49), 0.6
    for source in (run.loaded(), run.path):
        score = fr.GridScore.from_run(source, bandwidth=0.06, points=401)
        assert (score.x[0], score.x[-1]) == (0.0, 1.0)
        found = np.interp(x, score.x, score.values[-1])
        close = {
            other: np.all(np.abs(found - want) < tolerance * np.maximum(1.0, 0.03 * np.abs(want)))
            for other in ("Reflect", "Absorb", "Periodic")
            for want in [with_images(other, 0.1, 0.06, x)]
        }
        assert close == {other: other == kind for other in close}


def test_walls_of_one_side_and_of_one_coordinate():
    """Far from the wall nothing changes; along the other coordinate it is the free law."""
    walls = fr.Reflect([0.0, -np.inf], [np.inf, np.inf])
    run = fr.simulate(
        fr.Brownian(0.5), fr.Point([0.3, 1.0]), n=400_000, time=(0, 0.2), steps=100, frames=9,
        boundary=walls, seed=2,
    )  # fmt: skip
    score = fr.GridScore.from_run(run, bandwidth=0.15, points=101)
    assert score.x[0] == 0.0 and score.x[-1] > 2.0 and score.y[0] < -0.5
    v = 0.2 + 0.15**2
    x = score.x[:40]
    p = [np.exp(-((x - c) ** 2) / (2.0 * v)) for c in (0.3, -0.3)]
    along = (p[0] * (0.3 - x) + p[1] * (-0.3 - x)) / v / sum(p)
    middle = np.abs(score.y - 1.0) < 0.3
    found = score.values[-1][:40][:, middle]
    np.testing.assert_allclose(found[..., 0], np.repeat(along[:, None], middle.sum(), 1), atol=0.25)
    want = -(score.y[middle] - 1.0) / v
    np.testing.assert_allclose(found[..., 1], np.tile(want, (40, 1)), atol=0.25)


def test_a_narrow_bandwidth_keeps_its_slope():
    """Of half a cell: a kernel known at whole cells alone would find a slope 14 % too small."""
    run = fr.simulate(fr.Brownian(0.5), fr.Gaussian(), n=2_000_000, steps=1, frames=2, seed=1)
    with pytest.warns(RuntimeWarning, match="bandwidth 0.001 is less than half of"):
        score = fr.GridScore.from_run(run, bandwidth=1e-3, points=41)
    x = score.x[np.abs(score.x) < 2.0]
    slope = np.polyfit(x, score.values[-1][np.abs(score.x) < 2.0], 1)[0]
    assert abs(slope + 0.5) < 0.03


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


def test_a_reverse_run_that_absorbs_leaves_the_absorbed_out():
    """Its particles pass walls at falling times: those left at a time passed at earlier ones."""
    still = fr.reverse(fr.Brownian(0.5), fr.Score(lambda x, t, p: 0.0 * x))
    run = fr.simulate(
        still, fr.Point(0.3), n=300_000, time=(1.0, 0.9), steps=200, frames=9, seed=1,
        boundary=fr.Absorb(0.0, 1.0),
    )  # fmt: skip
    score = fr.GridScore.from_run(run, bandwidth=0.06, points=401)
    x = np.linspace(0.02, 0.98, 49)
    for frame, since in ((0, 0.1), (4, 0.05)):  # times increase: the last frame comes first
        assert score.times[frame] == pytest.approx(1.0 - since)
        wanted = with_images("Absorb", since, 0.06, x)
        found = np.interp(x, score.x, score.values[frame])
        assert np.all(np.abs(found - wanted) < 0.6 * np.maximum(1.0, 0.03 * np.abs(wanted)))


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("n", [300, 100_000])
def test_a_bandwidth_that_hides_modes_is_warned_of(n, dim):
    """Silverman's for modes far apart; no warning for a normal or uniform law, nor one's own."""

    def warned(p0, **given):
        run = fr.simulate(fr.Brownian(0.02), p0, n=n, dim=dim, steps=20, frames=9, seed=1)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            fr.GridScore.from_run(run, **given)
        return [str(w.message) for w in found]

    apart = fr.GaussianMixture([0.5, 0.5], [-10.0, 10.0], 0.1)
    (text,) = warned(apart)
    assert "Silverman's bandwidth is too wide for" in text
    assert not warned(apart, bandwidth=0.2)
    for near in (fr.Gaussian(), fr.Uniform(0.0, 1.0), fr.GaussianMixture([0.5, 0.5], [-1, 1], 0.7)):
        assert not warned(near)
