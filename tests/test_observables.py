"""Histograms, quantiles and means of one's own functions, against NumPy on the stored frames."""

import math
from typing import NamedTuple

import h5py
import numpy as np
import pytest
from scipy import stats

import fastrev as fr

PROCESS = fr.OrnsteinUhlenbeck(1.0, 0.7, 0.2)


class Weight(NamedTuple):
    a: float


def energy(x, t, p):
    return p.a * x * x + t


def radius(x, t, p):
    return math.sqrt(x[0] * x[0] + x[1] * x[1])


ON_A_LINE = {
    "histogram": fr.Histogram(-1, 1.5, 200),
    "quantiles": fr.Quantiles([0.001, 0.025, 0.5, 0.9]),
    "mean": fr.Mean(energy, Weight(2.0)),
}
ON_A_PLANE = ON_A_LINE | {
    "second": fr.Histogram(-2.5, 3, 77, coordinate=1),
    "plane": fr.Histogram((-1, -2), (3, 1.5), (30, 20), coordinate=(1, 0)),
    "radius": fr.Mean(radius, dim=2),
}


def make(**options):
    options = {"n": 50_003, "steps": 40, "seed": 3, "frames": 5, "observe": ON_A_LINE} | options
    return fr.simulate(PROCESS, fr.Gaussian(1.0, 1.0), **options)


@pytest.mark.parametrize(("dim", "dtype"), [(1, "float32"), (2, "float64")])
def test_observables_of_stored_frames(dim, dtype):
    run = make(dim=dim, dtype=dtype, observe=ON_A_PLANE if dim == 2 else ON_A_LINE)
    np.testing.assert_array_equal(run.frames, make(dim=dim, dtype=dtype, observe=()).frames)
    seen, x = run.observables, run.frames.astype(np.float64)
    line, q, mean = seen["histogram"], seen["quantiles"], seen["mean"]
    np.testing.assert_array_equal(line.times, run.times)
    np.testing.assert_array_equal(line.edges, np.linspace(-1, 1.5, 201))
    assert q.values.shape == q.stderr.shape == (5, 4, dim) and mean.mean.shape == (5, dim)
    for f in range(5):
        np.testing.assert_array_equal(line.counts[f], np.histogram(x[f, :, 0], line.edges)[0])
        assert line.below[f] == (x[f, :, 0] < -1).sum() > 0
        assert line.above[f] == (x[f, :, 0] > 1.5).sum() > 0
        wanted = np.quantile(x[f], q.q, axis=0)
        assert (np.abs(q.values[f] - wanted) < q.stderr[f]).all()
        assert (np.abs(q.values[f] - wanted)[1:] < 0.01).all()
        phi = 2.0 * x[f] ** 2 + run.times[f]
        np.testing.assert_allclose(mean.mean[f], phi.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(mean.variance[f], phi.var(axis=0, ddof=1), rtol=1e-5)
        if dim == 2:
            columns, plane = x[f, :, ::-1].T, seen["plane"]
            counts = np.histogram2d(*columns, bins=plane.edges)[0]
            np.testing.assert_array_equal(plane.counts[f], counts)
            assert plane.lost[f] == run.n - counts.sum() > 0
            assert not np.array_equal(plane.counts[f].T.reshape(30, 20), counts)
            own = np.histogram(x[f, :, 1], seen["second"].edges)[0]
            np.testing.assert_array_equal(seen["second"].counts[f], own)
            r = np.hypot(*columns)
            np.testing.assert_allclose(seen["radius"].mean[f], [r.mean()], rtol=1e-6)
    for result in seen.values():
        assert (result.n == run.n).all()
    area = line.density.sum(axis=1) * (2.5 / 200)
    np.testing.assert_allclose(area, 1.0 - line.outside / run.n)


@pytest.mark.parametrize("ends", [(-1.0, 2.0), (-0.1, 0.23), (1000.0, 1000.3)])
def test_histograms_are_exact_at_edges_in_float32(ends):
    """Each edge's neighbours among float32, and some all over."""
    edges = np.linspace(*ends, 61)
    near = edges.astype(np.float32)
    both = [np.nextafter(near, np.float32(side)) for side in (-np.inf, np.inf)]
    wide = np.random.default_rng(1).uniform(ends[0] - 1, ends[1] + 1, 20_000).astype(np.float32)
    x0 = np.concatenate([near, *both, wide, np.float32([3e38, -3e38, 0.0])])
    run = fr.simulate(
        fr.Brownian(1e-30), x0, steps=1, frames=2, seed=1, observe=fr.Histogram(*ends, 60)
    )
    result = run.observables["histogram"]
    np.testing.assert_array_equal(result.counts[0], np.histogram(x0.astype(float), edges)[0])
    outside = [(x0.astype(float) < ends[0]).sum(), (x0.astype(float) > ends[1]).sum()]
    assert [result.below[0], result.above[0], result.lost[0]] == [*outside, 0]


def test_histograms_are_exact_at_edges():
    """Values on edges, beside them, at both ends, NaN and infinite."""
    edges = np.linspace(-1.0, 2.0, 61)
    x0 = np.concatenate([edges, np.nextafter(edges, -9), np.nextafter(edges, 9), [1e300, -1e300]])
    run = fr.simulate(
        fr.Brownian(1e-300), x0, steps=1, frames=2, dtype="float64", seed=1,
        observe=fr.Histogram(-1, 2, 60),
    )  # fmt: skip
    result = run.observables["histogram"]
    np.testing.assert_array_equal(result.counts[0], np.histogram(x0, edges)[0])
    assert (result.below[0], result.above[0], result.lost[0]) == (2, 2, 0)
    naive = np.bincount(np.clip(((x0 + 1.0) * 20.0), 0, 59).astype(int), minlength=60)
    assert not np.array_equal(result.counts[0], naive)


def test_nan_is_counted_apart():
    x0 = np.zeros((100, 1), np.float32)
    x0[3] = 3e38

    def drift(x, t, p):
        return 30.0 * x - x * x

    with pytest.warns(RuntimeWarning):
        run = fr.simulate(
            fr.SDE(drift, lambda x, t, p: 0.0), x0, steps=50, seed=1,
            observe=[fr.Histogram(-1, 1, 10), fr.Quantiles(0.5), fr.Mean(energy, Weight(1.0))],
        )  # fmt: skip
    seen = run.observables
    assert seen["histogram"].lost[-1] == np.isnan(run.x).sum() == 1
    assert np.isfinite(seen["quantiles"].values[0]).all()
    assert np.isnan(seen["quantiles"].values[-1]).all() and np.isnan(seen["mean"].mean[-1]).all()


def still(x0, q):
    """Quantiles of given states that hardly move."""
    return fr.simulate(
        fr.Brownian(1e-12), x0, steps=1, seed=2, dtype="float64", observe=fr.Quantiles(q)
    )


@pytest.mark.parametrize("scale", [(0.0, 1e-3), (1e4, 0.1), (0.0, 1e6)])
def test_quantiles_at_any_scale(scale):
    mean, std = scale
    run = still(np.random.default_rng(1).normal(mean, std, 100_000), [0.01, 0.5, 0.99])
    result = run.observables["quantiles"]
    wanted = np.quantile(run.x[:, 0], result.q)
    assert (np.abs(result.values[-1, :, 0] - wanted) < result.stderr[-1, :, 0]).all()
    np.testing.assert_allclose(
        result.stderr[-1, 1, 0], std * math.sqrt(np.pi / 2 / run.n), rtol=0.2
    )


def test_quantiles_of_atoms():
    atoms = still(np.repeat([1.0, 2.0, 5.0], 10_000), [0.1, 0.5, 0.9])
    np.testing.assert_allclose(atoms.observables["quantiles"].values[0, :, 0], [1, 2, 5], atol=0.15)
    point = still(np.full(1000, 3.0), 0.5)
    assert point.observables["quantiles"].values[0, 0, 0] == pytest.approx(3.0, rel=1e-6)


def test_a_pilot_compiles_nothing():
    from fastrev.engine.outcome import make_rows
    from fastrev.engine.prepare import build
    from fastrev.engine.simulate import specified

    spec = specified(
        fr.Brownian(1e-12), np.zeros(3000), steps=1, dtype="float64", observe=fr.Quantiles()
    )
    program = build(spec)
    program.run_range(make_rows(spec, spec.n), 0, spec.n, 0)
    assert len(program.kernel.overloads) == 1


def test_the_same_whoever_counts(tmp_path, monkeypatch):
    """Threads, shards, file, resume, other functions of the file not given."""
    wanted = make(dim=2, dtype="float64", observe=ON_A_PLANE, shard_size=7000)
    for threads in ("1", "5"):
        monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
        run = make(dim=2, dtype="float64", observe=ON_A_PLANE, shard_size=7000)
        for name in ON_A_PLANE:
            assert same(run.observables[name], wanted.observables[name])
    path = tmp_path / "a.h5"
    make(dim=2, dtype="float64", observe=ON_A_PLANE, shard_size=7000, out=path)
    with h5py.File(path, "r+") as file:
        file["fastrev/shards"][3] = 0
        for node in file["fastrev/observables"].values():
            node["numbers"][3] = 0
    assert (fr.open(path).observables["histogram"].n == 43_003).all()
    fr.resume(path, {"observe.mean.kernel": energy, "observe.radius.kernel": radius})
    for name in ON_A_PLANE:
        assert same(fr.open(path).observables[name], wanted.observables[name])
    other = make(dim=2, dtype="float64", observe=ON_A_PLANE, shard_size=50_003)
    for name in ("histogram", "plane", "quantiles"):  # whole numbers: whatever the shards
        assert same(other.observables[name], wanted.observables[name])
    with pytest.raises(fr.InputError, match=r"observe.mean.kernel: the function given differs"):
        fr.resume(path, {"observe.mean.kernel": radius, "observe.radius.kernel": radius})


def test_more_particles_are_counted_in_the_same_bins(tmp_path):
    """Also where the first run had fewer than a pilot has."""
    observe = {"m": fr.Moments(), "q": fr.Quantiles()}
    options = {"observe": observe, "shard_size": 20, "n": 20, "out": tmp_path / "a.h5"}
    make(**options)
    longer = fr.extend(tmp_path / "a.h5", 3000, tmp_path / "b.h5")
    wanted = make(**(options | {"n": 3000, "out": None}))
    for name in observe:
        assert same(longer.observables[name], wanted.observables[name])


def same(a, b):
    arrays = [np.asarray(v) for one in (a, b) for k, v in sorted(vars(one).items()) if k != "edges"]
    half = len(arrays) // 2
    return all(
        x.tobytes() == y.tobytes() for x, y in zip(arrays[:half], arrays[half:], strict=True)
    )


def test_intervals_cover_the_true_mean():
    """Over 400 seeds, 95 % intervals hold the truth in 92 to 98 %; half of them, far less often."""
    law = PROCESS.marginal(fr.Gaussian(1.0, 1.0), 1.0)
    mean, variance = (float(v[0]) for v in law.moments())
    quantile = (0.025, 0.5)
    wanted = mean + np.sqrt(variance) * stats.norm.ppf(quantile)
    hits = np.zeros((2, 4))
    for seed in range(400):
        run = fr.simulate(
            PROCESS, fr.Gaussian(1.0, 1.0), n=1500, steps=200, seed=seed, frames=0,
            observe={
                "m": fr.Moments([1.0]), "phi": fr.Mean(energy, Weight(1.0), times=[1.0]),
                "q": fr.Quantiles(quantile, times=[1.0]),
            },
        ).observables  # fmt: skip
        errors = (
            (run["m"].mean[-1, 0] - mean) / run["m"].stderr[-1, 0],
            (run["phi"].mean[-1, 0] - (variance + mean**2 + 1.0)) / run["phi"].stderr[-1, 0],
            *((run["q"].values[-1, :, 0] - wanted) / run["q"].stderr[-1, :, 0]),
        )
        hits += np.abs(errors) < np.array([[1.96], [0.98]])
    assert (hits[0] / 400 >= 0.92).all() and (hits[0] / 400 <= 0.98).all(), hits
    assert (hits[1] / 400 < 0.8).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fr.Histogram(1, 0, 5), "low must be below high"),
        (lambda: fr.Histogram(0, 1, 0), "bins must be 1 or more"),
        (lambda: fr.Histogram(0, 1, 2.5), "bins must be 1 or more"),
        (lambda: fr.Histogram((0, 0, 0), (1, 1, 1), 5), "numbers, or pairs"),
        (lambda: fr.Histogram(0, np.inf, 5), "high must be finite"),
        (lambda: fr.Histogram(0, 1, 5, coordinate=(0, 1)), "coordinate must be one of them"),
        (lambda: make(observe=fr.Histogram(0, 1, 5, coordinate=1)), "coordinate must be below 1"),
        (lambda: make(observe=fr.Histogram((0, 0), (1, 1), 5)), "coordinate must be below 1"),
        (lambda: fr.Quantiles([0.5, 1.0]), "must lie between 0 and 1, got 1"),
        (lambda: fr.Quantiles("half"), "must be an array of numbers"),
        (lambda: fr.Mean(3), "Mean.kernel must be a Python function"),
        (lambda: fr.Mean(lambda x: x), "must be a function"),
        (lambda: make(observe=fr.Mean(radius, dim=2)), "Mean.dim must be 1, as the run has"),
    ],
)
def test_bad_observables(call, message):
    with pytest.raises(fr.InputError, match=message):
        call()


def test_bins_that_miss_the_data_are_told():
    with pytest.warns(RuntimeWarning, match=r"miss 100% of the particles at t = 0"):
        make(n=1000, observe=fr.Histogram(100, 101, 10))


def test_a_function_that_does_not_compile():
    with pytest.raises(fr.engine.messages.KernelError, match="absent"):
        make(n=10, observe=fr.Mean(lambda x, t, p: x + absent))  # noqa: F821


@pytest.mark.parametrize(("away", "std"), [(10.0, 0.05), (10.0, 0.5), (100.0, 0.1)])
def test_errors_of_quantiles_hold_what_wide_bins_add(away, std):
    """Narrow modes far apart lie in a few bins; of a normal law the bins add next to nothing."""
    rng = np.random.default_rng(3)
    x = rng.choice([-away, away], 100_000) + std * rng.standard_normal(100_000)
    result = still(x, [0.1, 0.25, 0.4, 0.6, 0.9]).observables["quantiles"]
    wrong = np.abs(result.values[0, :, 0] - np.quantile(x, result.q))
    assert (wrong < 3.0 * result.stderr[0, :, 0]).all()
    smooth = still(rng.standard_normal(400_000), 0.5).observables["quantiles"].stderr[0, 0, 0]
    assert smooth == pytest.approx(math.sqrt(np.pi / 2 / 400_000), rel=0.05)
