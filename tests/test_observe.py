"""Observables taken inside the kernel, against NumPy on the stored frames."""

import h5py
import numpy as np
import pytest

import fastrev as fr
from fastrev.model.moments import Moments, Sums
from fastrev.store.validate import damaged_shards

PROCESS = fr.OrnsteinUhlenbeck(1.0, 0.7, 2.0)


def make(**options):
    options = {"n": 20_011, "steps": 40, "seed": 3, "frames": 5, "observe": fr.Moments()} | options
    return fr.simulate(PROCESS, fr.Gaussian(1.0, 2.0), **options)


@pytest.mark.parametrize(("dim", "dtype"), [(1, "float64"), (2, "float32"), (5, "float64")])
def test_moments_of_stored_frames(dim, dtype):
    run = make(dim=dim, dtype=dtype)
    np.testing.assert_array_equal(run.frames, make(dim=dim, dtype=dtype, observe=()).frames)
    x, m = run.frames.astype(np.float64), run.observables["moments"]
    y = x - x.mean(axis=1, keepdims=True)
    assert m.mean.shape == m.stderr.shape == (5, dim) and m.cov.shape == (5, dim, dim)
    cov = [np.cov(frame, rowvar=False).reshape(dim, dim) for frame in x]
    for have, want, power in (
        (m.mean, x.mean(axis=1), 1),
        (m.cov, cov, 2),
        (m.third, (y**3).mean(axis=1), 3),
        (m.fourth, (y**4).mean(axis=1), 4),
        (m.variance, x.var(axis=1, ddof=1), 2),
    ):
        statistical = (y**power).std() / np.sqrt(run.n)
        rounding = 1e-6 * statistical if dtype == "float32" else 1e-11
        np.testing.assert_allclose(have, want, rtol=1e-9, atol=rounding)
    np.testing.assert_allclose(m.stderr**2 * run.n, m.variance, rtol=1e-12)
    np.testing.assert_array_equal(m.times, run.times)
    assert (m.n == run.n).all()
    swapped = np.array([np.cov(-frame[:, ::-1], rowvar=False).reshape(dim, dim) for frame in x])
    if dim > 1:
        assert not np.allclose(m.cov, swapped, rtol=1e-6)


def test_a_mean_far_away_costs_no_digits():
    x0 = 1e6 + 1e-3 * np.random.default_rng(1).normal(size=(9000, 2))
    run = fr.simulate(fr.Brownian(1e-9), x0, steps=5, seed=1, dtype="float64", observe=fr.Moments())
    want = [np.cov(frame - 1e6, rowvar=False) for frame in run.frames]
    have = run.observables["moments"].cov
    np.testing.assert_allclose(have, want, rtol=1e-6)
    naive = np.mean(run.frames**2, axis=1) - run.frames.mean(axis=1) ** 2
    assert not np.allclose(naive, np.einsum("fjj->fj", want), rtol=1e-2)


@pytest.mark.parametrize(("unit", "outlier"), [(1e-12, 0.0), (1.0, 1e12), (1e9, 0.0)])
def test_any_unit_in_float32(unit, outlier):
    """Fourth powers beyond float32's range, of all particles or of one."""
    x0 = unit * np.random.default_rng(1).normal(2.0, 1.0, size=(5000, 1))
    x0[4000] += outlier
    run = fr.simulate(fr.Brownian(1e-40), x0, steps=2, seed=1, observe=fr.Moments())
    x, m = run.frames.astype(np.float64)[:, :, 0], run.observables["moments"]
    y = x - x.mean(axis=1, keepdims=True)
    for have, want in (
        (m.mean[:, 0], x.mean(axis=1)),
        (m.variance[:, 0], x.var(axis=1, ddof=1)),
        (m.fourth[:, 0], (y**4).mean(axis=1)),
    ):
        np.testing.assert_allclose(have, want, rtol=1e-6)


RNG = np.random.default_rng(5)
MESH = np.tile(np.linspace(-1.0, 1.0, 512), 64)
ODD = {
    "a mesh in a tiny unit": 1e-12 * MESH,
    "a mesh in a tinier unit": 1e-25 * MESH,
    "most at zero": np.where(RNG.random(30_000) < 0.01, 1e-12 * RNG.normal(size=30_000), 0.0),
    "outliers at even distances": np.where(np.arange(50_000) % (50_000 // 32), 0.3, 1e6),
    "a few outliers": np.where(RNG.random(30_000) < 0.03, 1e6, 0.3),
    "two values": np.where(RNG.random(30_000) < 0.5, -0.7, 1.3),
    "Cauchy": RNG.standard_cauchy(30_000),
    "near the largest number": 2.5e38 + 1e37 * RNG.normal(size=30_000),
    "far from zero": 1e5 + RNG.normal(size=30_000),
    "all but one equal": np.where(np.arange(30_000) == 777, 5.0, 0.3),
}


@pytest.mark.parametrize("storage", ["float32", "float16"])
@pytest.mark.parametrize("name", ODD)
def test_moments_of_odd_particles_in_float32(name, storage):
    x0 = ODD[name].astype(np.float32)[:, None]
    run = fr.simulate(
        fr.Brownian(1e-76), x0, steps=1, seed=1, storage=storage, observe=fr.Moments()
    )
    m, x = run.observables["moments"], x0[:, 0].astype(np.float64)
    y = x - x.mean()
    for have, want, power in (
        (m.mean[0, 0], x.mean(), 1),
        (m.variance[0, 0], x.var(ddof=1), 2),
        (m.third[0, 0], (y**3).mean(), 3),
        (m.fourth[0, 0], (y**4).mean(), 4),
    ):
        statistical = np.sqrt((y ** (2 * power)).mean() / len(y))
        assert abs(have - want) < 1e-6 * max(abs(want), statistical)


def test_joining_is_the_whole():
    rng, moments = np.random.default_rng(2), Moments()

    def numbers(x):
        y = x - point
        one = Sums(
            np.array([float(x.shape[1])]),
            point.T,
            y.sum(axis=1)[None],
            (y @ y.T)[None],
            (y**3).sum(axis=1)[None],
            (y**4).sum(axis=1)[None],
        )
        return one.packed()

    x = rng.gamma(1.0, size=(3, 1000)) + 5.0
    point = x[:, :1]
    whole = moments.result(numbers(x), [0.0])
    parts = moments.result(moments.joined(numbers(x[:, :7]), numbers(x[:, 7:])), [0.0])
    empty = moments.joined(np.zeros((1, moments.width(3))), numbers(x))
    for other in (parts, moments.result(empty, [0.0])):
        for name in ("mean", "cov", "third", "fourth"):
            np.testing.assert_allclose(getattr(other, name), getattr(whole, name), rtol=1e-10)
    np.testing.assert_allclose(whole.skewness, 2.0, atol=0.8)
    bad = moments.result(moments.joined(numbers(x[:, :7]), numbers(x[:, 8:])), [0.0])
    assert not np.allclose(bad.fourth, whole.fourth, rtol=1e-10)


@pytest.mark.parametrize("dim", [1, 3])
def test_threads_do_not_change_a_bit(monkeypatch, dim):
    results = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
        run = make(n=200_003, dim=dim, steps=100, frames=0)
        results.append(run.observables["moments"].cov.tobytes())
    assert len(set(results)) == 1


def test_every_step_and_other_times():
    every = make(frames=41).observables["moments"]
    run = make(observe={"all": fr.Moments({"every": 1}), "some": fr.Moments([0.5, 1.0])})
    np.testing.assert_array_equal(run.observables["all"].cov, every.cov)
    np.testing.assert_array_equal(run.observables["some"].cov, every.cov[[20, 40]])
    np.testing.assert_array_equal(run.observables["some"].times, [0.5, 1.0])
    assert len(make(frames=0).observables["moments"].times) == 11


def test_reverse_runs_too():
    p0 = fr.Gaussian(0.0, 0.5)
    back = fr.reverse(PROCESS, PROCESS.score(p0))
    run = fr.simulate(
        back, PROCESS.marginal(p0, 1.0), n=50_000, time=(1, 0), seed=1, observe=fr.Moments()
    )
    m = run.observables["moments"]
    assert list(m.times) == [1.0, 0.0]
    assert abs(m.variance[-1, 0] - 0.25) < 5 * m.variance_stderr[-1, 0] + 2e-3


@pytest.mark.parametrize("frames", [0, 5])
def test_in_a_file(tmp_path, frames):
    memory = make(frames=frames, dim=2, shard_size=3000)
    run = make(frames=frames, dim=2, shard_size=3000, out=tmp_path / "a.h5")
    again = fr.open(tmp_path / "a.h5")
    for one in (run, again):
        m = one.observables["moments"]
        assert m.cov.tobytes() == memory.observables["moments"].cov.tobytes()
    assert again.frames.shape == (frames, 20_011, 2) and again.n == 20_011
    if not frames:
        with pytest.raises(fr.InputError, match="keeps no frames"):
            _ = again.x
    sum_before = again.observables["moments"].mean
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["fastrev/shards"][2] = 0
        file["fastrev/observables/moments/numbers"][2] = np.nan
        file["fastrev/observables/moments/numbers"][4, 1, 3] += 1e-9
    assert (fr.open(tmp_path / "a.h5").observables["moments"].n == 17_011).all()
    assert damaged_shards(tmp_path / "a.h5") == [4]
    mended = fr.resume(tmp_path / "a.h5", repair=True)
    assert mended.observables["moments"].mean.tobytes() == sum_before.tobytes()
    longer = fr.extend(tmp_path / "a.h5", 25_000, tmp_path / "b.h5")
    want = make(n=25_000, frames=frames, dim=2, shard_size=3000).observables["moments"]
    assert longer.observables["moments"].cov.tobytes() == want.cov.tobytes()


def test_without_frames_everything_else_works(tmp_path):
    from fastrev.analysis.compare import variance_table, verdict
    from fastrev.analysis.figures import save_overview
    from fastrev.store.validate import validate

    run = make(n=100_000, frames=0, out=tmp_path / "a.h5")
    rows = variance_table(run)
    assert len(rows) == 11 and "agrees" in verdict(rows, run.n)
    assert save_overview({"a": run}, tmp_path / "a.png").stat().st_size > 10_000
    assert not [f for f in validate(run.path, deep=True) if f.level == "error"]
    assert run.trace(7).shape == (41, 1, 1)
    assert "moments" in repr(run)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"observe": fr.Moments}, "observe must be observables such as Moments"),
        ({"observe": "moments"}, "observe must be observables such as Moments"),
        ({"observe": [fr.Moments(), fr.Moments()]}, "two of the name 'moments'"),
        ({"observe": {"a/b": fr.Moments()}}, "name must be letters"),
        ({"observe": fr.Moments([0.5, 2.0])}, r"observe.moments.times must be times between 0 and"),
        ({"observe": fr.Moments(99)}, "observe.moments.times must be at most steps"),
        ({"observe": fr.Moments("x")}, "observe.moments.times: "),
        ({"observe": (), "frames": 0}, "frames = 0 keeps nothing"),
        ({"frames": 1}, "frames"),
    ],
)
def test_bad_requests(options, message):
    with pytest.raises(fr.InputError, match=message):
        make(**options)


def test_non_finite_particles_show():
    x0 = np.zeros((100, 1), np.float32)
    x0[3] = 3e38
    blow = fr.SDE(drift=lambda x, t, p: 10.0 * x, diffusion=lambda x, t, p: 1.0)
    with pytest.warns(RuntimeWarning):
        run = fr.simulate(blow, x0, steps=50, seed=1, observe=fr.Moments())
    m = run.observables["moments"]
    assert np.isfinite(m.mean[0]).all() and not np.isfinite(m.mean[-1]).any()
