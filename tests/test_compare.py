"""Distances against SciPy's and against laws of known distance; runs against laws and runs."""

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

import fastrev as fr
from fastrev.analysis.comparison import compare, judgement, share_noise
from fastrev.analysis.distance import between_samples, energy_in_space, from_law
from fastrev.cli import app

RNG = np.random.default_rng(3)


def test_against_scipy():
    x, y = RNG.normal(size=700), RNG.gamma(2.0, size=900)
    d = between_samples(x, y)
    assert d.w1 == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-12)
    assert d.ks == pytest.approx(stats.ks_2samp(x, y).statistic, rel=1e-12)
    assert d.energy == pytest.approx(stats.energy_distance(x, y) ** 2, rel=1e-9)
    one = from_law(x, stats.norm.cdf)
    exact = stats.ks_1samp(x, stats.norm.cdf, method="asymp")
    assert one.ks == pytest.approx(exact.statistic, rel=1e-5)
    assert one.ks_p == pytest.approx(exact.pvalue, rel=1e-4)


@pytest.mark.parametrize("shift", [0.3, 20.0])
def test_known_distance(shift):
    """A law moved by c lies at W1 = c, wherever the sample ends."""
    x = RNG.normal(size=100_000)
    assert from_law(x, stats.norm(shift).cdf).w1 == pytest.approx(shift, rel=0.02)
    assert not from_law(x, stats.norm(shift).cdf).equal


def test_a_sample_on_a_point():
    for place in (0.0, 3.0):
        x = np.full(1000, place)
        assert from_law(x, fr.Point(place).cdf).equal
        assert not from_law(x, fr.Point(place + 0.1).cdf).equal


def test_noise_floors():
    """The floors are the means under equality, and the laws of unequal samples are told apart."""
    two = [between_samples(RNG.normal(size=400), RNG.normal(size=300)) for _ in range(400)]
    one = [from_law(RNG.normal(size=300), stats.norm.cdf) for _ in range(400)]
    for many in (two, one):
        for value, floor in ((2, 3), (4, 5)):
            mean = np.mean([d[value] for d in many])
            assert mean == pytest.approx(np.mean([d[floor] for d in many]), rel=0.1)
        assert np.mean([d.equal for d in many]) > 0.98
        assert stats.kstest([d.ks_p for d in many], "uniform").pvalue > 1e-4
    assert not from_law(RNG.normal(scale=1.2, size=3000), stats.norm.cdf).equal


def make(reverse=True, naive=False, **options):
    process, p0 = fr.VP(), fr.GaussianMixture([0.3, 0.7], [-1.5, 0.5], [0.3, 0.4])
    options = {"n": 50_000, "steps": 500, "frames": 5, "seed": 4} | options
    if not reverse:
        return fr.simulate(process, p0, time=(0, 1), **options)
    score = process.score(p0)
    back = fr.reverse(process, score, noise=1.0)
    if naive:
        back = fr.reverse(process, fr.Score(lambda x, t, p: 0.0 * x))
    grid = fr.TimeGrid(np.linspace(1.0, 0.0, options["steps"] + 1))
    return fr.simulate(back, process.marginal(p0, 1.0), time=grid, **options)


def test_runs_and_laws():
    back, forward = make(), make(reverse=False)
    assert all(row.distance.equal for row in compare(forward))
    rows = back.compare()
    assert len(rows) == 5 and rows[0].t == 1.0 and rows[0].distance.equal
    assert rows[0].n == 50_000 and "within noise" in judgement(
        compare(make(reverse=False, n=9_000))
    )
    assert all(row.distance.w1 < 0.02 for row in rows)
    both = back.compare(forward)
    assert [row.t for row in both] == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert all(row.distance.w1 < 0.03 for row in both)
    wrong = make(naive=True).compare(forward)
    assert not any(row.distance.equal for row in wrong[1:])
    assert "DIFFERENT at 4 of 5" in judgement(wrong)


def test_every_coordinate_and_a_point():
    run = fr.simulate(fr.Brownian(0.5), fr.Point([0.1, 5.0]), n=20_000, steps=20, seed=1, frames=3)
    rows = run.compare()
    assert [row.coordinate for row in rows] == [0, 1] * 3
    assert all(row.distance.equal for row in rows)
    moved = run.compare(lambda t: fr.Gaussian([0.1, 5.1], max(t, 0.0) ** 0.5 or 1e-9))
    assert [row.distance.equal for row in moved] == [True, False] * 3


def test_bad_requests(tmp_path):
    one, two = make(n=100), fr.simulate(fr.Brownian(0.5), fr.Point(0.0), n=100, dim=2, steps=5)
    with pytest.raises(fr.InputError, match="unlike dimension"):
        one.compare(two)
    own = fr.simulate(fr.SDE(lambda x, t, p: -x, 1.0), fr.Point(0.0), n=100, steps=5)
    with pytest.raises(fr.InputError, match="no exact law"):
        own.compare()
    with pytest.raises(fr.InputError, match="share no time"):
        one.compare(fr.simulate(fr.Brownian(0.5), fr.Point(0.0), n=100, time=(2, 3), steps=5))
    with pytest.raises(fr.InputError, match="compare with"):
        one.compare("other.h5")
    empty = fr.simulate(
        fr.Brownian(0.5), fr.Point(0.0), n=99, steps=9, frames=0, observe=fr.Moments()
    )
    with pytest.raises(fr.InputError, match="keeps no frames"):
        empty.compare()


def test_command(tmp_path):
    make(n=5000, out=tmp_path / "a.h5")
    make(n=5000, reverse=False, out=tmp_path / "b.h5")
    for arguments in ([], [str(tmp_path / "b.h5")]):
        said = CliRunner().invoke(app, ["compare", str(tmp_path / "a.h5"), *arguments])
        assert said.exit_code == 0 and "W1" in said.output, said.output


def test_energy_distance_in_space():
    """Against all pairs one by one; blocks of rows; 0 on average without bias, more for a shift."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(25, 3)) + 0.2

    def mean(a, b, pairs):
        return np.mean([np.linalg.norm(p - q) for i, p in enumerate(a) for j, q in enumerate(b)
                        if pairs or i != j])  # fmt: skip

    for unbiased in (False, True):
        wanted = 2 * mean(x, y, True) - mean(x, x, not unbiased) - mean(y, y, not unbiased)
        assert energy_in_space(x, y, unbiased) == pytest.approx(wanted)
    found = [
        energy_in_space(rng.normal(size=(60, 3)), rng.normal(size=(60, 3)) + shift, unbiased=True)
        for shift in (0.0, 1.0)
        for _ in range(50)
    ]
    assert abs(np.mean(found[:50])) < 4 * np.std(found[:50]) / np.sqrt(50)
    assert np.mean(found[50:]) > 10 * np.std(found[:50])


def test_a_law_with_atoms():
    points = np.random.default_rng(0).standard_normal(20)
    law = fr.Empirical(points)
    for moved in (0.0, 0.05):
        x = points[np.random.default_rng(1).integers(20, size=20_000)] + moved
        found = from_law(x, law.cdf)
        assert found.w1 == pytest.approx(stats.wasserstein_distance(x, points), rel=0.01)
        assert found.equal == (moved == 0.0)


def test_what_two_runs_do_not_share_is_told():
    first = fr.simulate(fr.Brownian(0.5), fr.Point(0.0), n=100, steps=10, frames=3, seed=1)
    second = fr.simulate(fr.Brownian(0.5), fr.Point(0.0), n=100, steps=10, frames=2, seed=2)
    with pytest.warns(RuntimeWarning, match="only at t = 0, 1: 1 and 0 frames of the two runs"):
        assert len(first.compare(second)) == 2
    assert share_noise(first, first) and not share_noise(first, second)
