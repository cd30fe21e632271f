"""The Fokker-Planck equation on a grid: exact laws, orders, mass, and back to where it began."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from problems import MIXTURE
from scipy import special, stats

import fastrev as fr
from fastrev.analysis import fokker_planck


def centres(low, high, count):
    h = (high - low) / count
    return low + h * (np.arange(count) + 0.5)


def well(x, t, p):
    return 4.0 * x * (1.0 - x * x)


def no_drift(x, t, p):
    return 0.0 * x


def half_x(x, t, p):
    return 0.5 * x


def root(x, t, p):
    return np.sqrt(1.0 + x * x)


def root_score(x, t, p):
    return -math.asinh(x) / (t * math.sqrt(1.0 + x * x)) - x / (1.0 + x * x)


WELL = fr.SDE(well, 0.8)
SINH = fr.SDE(half_x, root, noise="diagonal")
"""x = sinh(w) by Ito's formula, so that P(x_t <= x) = Phi(asinh(x)/sqrt(t)) from 0."""
TURNING = fr.Linear([[-1.0, 2.0], [-2.0, -1.0]], 0.0, 0.9)
OVAL = fr.Gaussian([0.8, -0.3], cov=[[0.3, 0.1], [0.1, 0.2]])
TWO = fr.GaussianMixture([0.4, 0.6], [[-0.8, 0.3], [0.7, -0.4]], 0.4)
OU = fr.OrnsteinUhlenbeck(1.0, 1.0, mu=0.2)


def well_law(x):
    """exp(-2U/g^2), U = x^4 - 2x^2, of mass 1."""
    p = np.exp(2.0 / 0.64 * (2.0 * x**2 - x**4))
    return p / (p.sum() * (x[1] - x[0]))


def apart(density, exact, *axes):
    """The integral of |p - q|."""
    return np.abs(density - exact).sum() * np.prod([x[1] - x[0] for x in axes])


def on_plane(law, x, y):
    """A density at the points of a grid."""
    points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)
    return law.pdf(points.reshape(-1, 2)).reshape(len(x), len(y))


def slope(errors):
    """The order in what was halved from one error to the next."""
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


@pytest.mark.parametrize("process", [fr.OrnsteinUhlenbeck(1.5, 0.8, mu=0.4), fr.Brownian(0.05)])
def test_exact_laws_on_a_line(process):
    x = np.linspace(-3, 3, 601)
    law = fokker_planck.solve(process, fr.Gaussian(-0.5, 0.3), [0.5, 1.0], x, steps=1000)
    for row, t in enumerate(law.times):
        exact = process.marginal(fr.Gaussian(-0.5, 0.3), t)
        np.testing.assert_allclose(law.density[row], np.ravel(exact.pdf(x)), atol=3e-3)
        mean, variance = exact.moments()
        np.testing.assert_allclose(law.mean[row], mean, atol=1e-3)
        np.testing.assert_allclose(law.variance[row], variance, atol=1e-3)


@pytest.mark.parametrize(
    ("process", "p0", "y"),
    [
        (WELL, fr.Point(0.3), None),
        (fr.SDE(well, 0.0), fr.Gaussian(0.3, 0.2), None),
        (SINH, fr.Uniform(-1.0, 0.5), None),
        (TURNING, fr.Point([1.0, -1.0]), 20),
        (fr.VE(0.01, 0.5), fr.Uniform([-1.0, 0.0], [1.0, 1.0]), 20),
        (fr.reverse(OU, OU.score(TWO)), fr.Empirical([[0.1, 0.2], [-0.5, 1.0]]), 20),
    ],
)
@pytest.mark.parametrize("steps", [3, 60])
def test_mass_and_sign(process, p0, y, steps):
    """Whatever the step, the noise and the grid."""
    back = hasattr(process, "score") and hasattr(process, "noise")
    times = [1.0, 0.5, 0.0] if back and y else [0.2, 1.0]
    x = centres(-4, 4, 90)
    y = y and centres(-3, 3, y)
    law = fokker_planck.solve(process, p0, times, x, steps, y)
    assert law.density.shape == (len(times), *(len(axis) for axis in law.axes))
    np.testing.assert_allclose(law.mass, 1.0, rtol=1e-10)
    assert law.density.min() >= 0.0


def test_fluxes_keep_mass_by_themselves():
    """Columns of sum 1, before the solver takes rounding out; no noise is upwind."""
    from fastrev.analysis.fokker_planck.chang_cooper import fluxes, stepped

    rng = np.random.default_rng(1)
    mass, v = rng.uniform(size=(7, 40)), rng.normal(size=(7, 39)) * 10.0 ** rng.integers(-9, 9, 39)
    for diffusivity in (np.zeros((7, 39)), 10.0 ** rng.uniform(-9, 3, (7, 39))):
        after = stepped(mass, v, diffusivity, 0.1, 0.01)
        np.testing.assert_allclose(after.sum(axis=1), mass.sum(axis=1), rtol=1e-10)
        assert after.min() >= 0.0
        up, down = fluxes(v, diffusivity, 0.1)
        assert up.min() >= 0.0 and down.min() >= 0.0
        np.testing.assert_allclose(up - down, v, rtol=1e-9, atol=1e-9 * up.max())


def test_stationary_laws():
    """That of a double well with second order in the cell; that of a linear drift exactly."""
    errors = []
    for count in (50, 100, 200):
        x = centres(-2.5, 2.5, count)
        law = fokker_planck.solve(WELL, fr.Gaussian(0.0, 0.3), [60.0], x, steps=200)
        errors.append(apart(law.density[0], well_law(x), x))
    assert errors[-1] < 1e-3 and np.all(np.abs(slope(errors) - 2.0) < 0.1)
    x = centres(-4, 4, 40)
    law = fokker_planck.solve(OU, fr.Gaussian(1.0, 0.3), [60.0], x, steps=100)
    p = np.exp(-((x - 0.2) ** 2))
    np.testing.assert_allclose(law.density[0], p / (p.sum() * 0.2), rtol=1e-8)


def test_noise_that_depends_on_x():
    """Ito's law at all times and its stationary one (Pearson's); another drift is another law."""
    x, t = centres(-30.025, 30.025, 1201), 0.8
    exact = special.ndtr(np.arcsinh(x) / math.sqrt(t))
    found = fokker_planck.solve(SINH, fr.Point(0.0), [t], x, steps=800).law(t).cdf(x)
    naive = fr.SDE(no_drift, root, noise="diagonal")
    other = fokker_planck.solve(naive, fr.Point(0.0), [t], x, steps=800).law(t).cdf(x)
    assert np.abs(found - exact).max() < 5e-4 < 0.03 < np.abs(other - exact).max()
    pearson = fr.SDE(lambda x, t, p: -2.0 * x, root, noise="diagonal")
    errors = []
    for count in (100, 200, 400):
        x = centres(-12, 12, count)
        law = fokker_planck.solve(pearson, fr.Gaussian(0.0, 0.5), [30.0], x, steps=100)
        p = (1.0 + x**2) ** -3
        errors.append(apart(law.density[0], p / (p.sum() * (x[1] - x[0])), x))
    assert errors[-1] < 2e-3 and np.all(np.abs(slope(errors) - 2.0) < 0.2)


def turned(count, steps, t=0.6):
    axes = centres(-3.2, 3.4, count), centres(-3.4, 3.2, count + 4)
    law = fokker_planck.solve(TURNING, OVAL, [t], axes[0], steps, axes[1])
    return apart(law.density[0], on_plane(TURNING.marginal(OVAL, t), *axes), *axes), law


def test_turning_on_a_plane():
    """First order in the step and second in the cell, against the exact Gaussian."""
    by_step = [turned(100, steps)[0] for steps in (5, 10, 20)]
    by_cell = [turned(count, steps)[0] for count, steps in ((20, 20), (40, 80), (80, 320))]
    assert np.all(np.abs(slope(by_step) - 1.0) < 0.2)
    assert by_cell[-1] < 0.02 and np.all(np.abs(slope(by_cell) - 2.0) < 0.2)
    law, exact = turned(80, 320)[1], TURNING.marginal(OVAL, 0.6)
    np.testing.assert_allclose(law.mean[0], exact.mean, atol=3e-3)
    np.testing.assert_allclose(law.variance[0], np.diag(exact.cov), atol=5e-3)
    one = law.marginal(1)
    normal = stats.norm(exact.mean[1], math.sqrt(exact.cov[1, 1]))
    np.testing.assert_allclose(one.law(0.6).cdf(one.x), normal.cdf(one.x), atol=3e-3)
    np.testing.assert_allclose(one.law(0.6).pdf(one.x), normal.pdf(one.x), atol=5e-3)


def test_other_forms_of_one_process():
    """Tuples, a diagonal and a matrix give what the linear process gives."""

    def drift(x, t, p):
        return -x[0] + 2.0 * x[1], -x[1] - 2.0 * x[0]

    x, y = centres(-3.2, 3.4, 30), centres(-3.4, 3.2, 34)
    wanted = fokker_planck.solve(TURNING, OVAL, [0.3], x, 20, y).density
    for diffusion, noise in (
        (0.9, "scalar"),
        (lambda x, t, p: 0.9, "scalar"),
        (lambda x, t, p: (0.9, 0.9 + 0.0 * x[0]), "diagonal"),
        ([[0.54, 0.72], [0.72, -0.54]], "matrix"),
        (lambda x, t, p: ((0.9, 0.0), (0.0, 0.9 + 0.0 * x[1])), "general"),
    ):
        process = fr.SDE(drift, diffusion, dim=2, noise=noise)
        found = fokker_planck.solve(process, OVAL, [0.3], x, 20, y).density
        np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_coordinates_that_do_not_meet():
    """On a plane each has the law that it has alone, and p is their product."""
    x, y = centres(-4, 4, 60), centres(-3, 3, 50)
    p0 = fr.Gaussian([0.5, -0.2], [0.4, 0.3])
    law = fokker_planck.solve(fr.VP(), p0, [0.3, 1.0], x, 50, y)
    alone = [
        fokker_planck.solve(fr.VP(), fr.Gaussian(m, s), [0.3, 1.0], axis, 50).density
        for m, s, axis in ((0.5, 0.4, x), (-0.2, 0.3, y))
    ]
    np.testing.assert_allclose(law.density, np.einsum("fx,fy->fxy", *alone), atol=1e-12)


def test_back_on_a_line():
    """From p_T to p_0 with the exact score for every noise, not with its opposite or none."""
    x = centres(-5, 5, 400)
    end, start = OU.marginal(MIXTURE, 1.5), MIXTURE.pdf(x)

    def error(score, noise=1.0, steps=400):
        back = fr.reverse(OU, score, noise=noise)
        law = fokker_planck.solve(back, end, [1.5, 0.7, 0.0], x, steps)
        np.testing.assert_allclose(law.mass, 1.0, rtol=1e-10)
        return apart(law.density[-1], start, x)

    exact = OU.score(MIXTURE)
    errors = [error(exact, steps=steps) for steps in (200, 400, 800)]
    assert errors[-1] < 0.03 and np.all(np.abs(slope(errors) - 1.0) < 0.3)
    assert error(exact, noise=0.5) < 0.1 and error(exact, noise=0.0) < 0.15

    def opposite(x, t, p):
        return -OU.marginal(MIXTURE, t).score(x)

    assert error(fr.Score(opposite)) > 0.5
    assert error(fr.Score(no_drift)) > 0.5


def test_back_with_noise_that_depends_on_x():
    """div a counts: the law of sinh(w) at a quarter of the time, and not without the score's."""
    x = centres(-30.025, 30.025, 1201)
    forward = fokker_planck.solve(SINH, fr.Point(0.0), [0.2, 0.8], x, steps=800)
    back = fr.reverse(SINH, fr.Score(root_score))
    law = fokker_planck.solve(back, forward.law(0.8), [0.8, 0.2], x, steps=400)
    assert np.abs(law.law(0.2).cdf(x) - special.ndtr(np.arcsinh(x) / math.sqrt(0.2))).max() < 0.03
    own = fr.SDE(half_x, root, noise="diagonal", divergence=lambda x, t, p: 2.0 * x)
    same = fokker_planck.solve(
        fr.reverse(own, fr.Score(root_score)), forward.law(0.8), [0.8, 0.2], x, steps=400
    )
    np.testing.assert_allclose(same.density, law.density, atol=1e-3)


def test_back_on_a_plane():
    x, y = centres(-3.5, 3.5, 70), centres(-3.2, 3.2, 64)
    for process, p0, t in ((OU, TWO, 0.5), (TURNING, OVAL, 0.4)):
        back = fr.reverse(process, process.score(p0))
        law = fokker_planck.solve(back, process.marginal(p0, t), [t, 0.0], x, 100, y)
        assert apart(law.density[-1], on_plane(p0, x, y), x, y) < 0.05
        np.testing.assert_allclose(law.mass, 1.0, rtol=1e-10)
    naive = fr.reverse(OU, fr.Score(no_drift))
    law = fokker_planck.solve(naive, OU.marginal(TWO, 0.5), [0.5, 0.0], x, 100, y)
    assert apart(law.density[-1], on_plane(TWO, x, y), x, y) > 0.3


@pytest.mark.parametrize("plane", [False, True])
def test_back_with_the_score_of_the_forward_solution(plane):
    """Forward, its score on the grid, and back; the opposite score goes elsewhere."""
    x = centres(-2.6, 2.6, 44 if plane else 260)
    y = x if plane else None
    p0 = (
        fr.Gaussian([0.3, -0.2], cov=[[0.1, 0.04], [0.04, 0.1]]) if plane else fr.Gaussian(0.3, 0.3)
    )
    times = np.linspace(0.0, 0.5, 26)
    forward = fokker_planck.solve(WELL, p0, times, x, 150, y)
    score = forward.score()
    opposite = fr.GridScore(score.times, score.x, -score.values, score.y)
    assert isinstance(score, fr.GridScore)
    errors = []
    for one in (score, opposite):
        back = fr.reverse(WELL, one)
        law = fokker_planck.solve(back, forward.law(0.5), times[::-1], x, 150, y)
        errors.append(apart(law.density[-1], forward.density[0], *law.axes))
    assert errors[0] < 0.1 < 0.5 < errors[1]


@pytest.mark.parametrize("plane", [False, True])
def test_discretisation(plane):
    """It is more than the true distance, and of its size."""
    x, steps = centres(-4, 4, 60 if plane else 200), 40
    y = x if plane else None
    p0 = OVAL if plane else fr.Gaussian(-1.0, 0.4)
    process = TURNING if plane else OU
    bound = fokker_planck.discretisation(process, p0, [0.3, 0.6], x, steps, y)
    law = fokker_planck.solve(process, p0, [0.3, 0.6], x, steps, y)
    fine = np.linspace(-4, 4, 4001)
    for row, t in enumerate(law.times):
        mean, variance = process.marginal(p0, t).moments()
        true = max(
            np.abs(law.marginal(k).law(t).cdf(fine) - stats.norm.cdf(fine, m, v**0.5)).sum() * 0.002
            for k, (m, v) in enumerate(zip(mean, variance, strict=True))
        )
        assert true < bound[row] < 10.0 * true


X, P0 = centres(-4, 4, 40), fr.Gaussian(0.0, 0.5)
LAW = fokker_planck.Densities(np.array([0.0, 1.0]), X, np.full((2, 40), 0.125))
PLANE = fokker_planck.Densities(np.array([0.0]), X, np.full((1, 40, 40), 1 / 64), X)
OBLIQUE = fr.Linear(-np.eye(2), 0.0, [[1.0, 0.5], [0.0, 1.0]])
NOWHERE = fr.SDE(lambda x, t, p: np.sqrt(x), 1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fokker_planck.solve(OU.score(P0), P0, [1.0], X), "must be a forward process, or"),
        (lambda: fokker_planck.solve(TURNING, OVAL, [1.0], X), "dim = 2: x alone is for one"),
        (lambda: fokker_planck.solve(fr.SDE(well, 1.0, dim=3), P0, [1.0], X, 9, X), "no solver"),
        (lambda: fokker_planck.solve(OBLIQUE, OVAL, [1.0], X, 9, X), "0.5 beside its diagonal"),
        (lambda: fokker_planck.solve(SINH, 0.0, [1.0], X), "p0 must be a distribution"),
        (lambda: fokker_planck.solve(OU, OVAL, [1.0], X), "dim must be 2"),
        (lambda: fokker_planck.solve(OU, fr.Gaussian(9.0, 0.1), [1.0], X), "x must cover p0"),
        (
            lambda: fokker_planck.solve(
                TURNING, fr.Gaussian([0, 0], cov=1e-4 * np.eye(2)), [1.0], X, 9, X
            ),
            "x and y must cover p0",
        ),
        (lambda: fokker_planck.solve(OU, P0, [1.0, 0.5], X), "times must increase"),
        (
            lambda: fokker_planck.solve(fr.reverse(OU, OU.score(P0)), P0, [0.0, 1.0], X),
            "times of a reverse process must decrease",
        ),
        (lambda: fokker_planck.solve(fr.VP(), P0, [1.5], X), "times must be at most T = 1"),
        (lambda: fokker_planck.solve(OU, P0, [1.0], X**3), "x must be evenly spaced"),
        (lambda: fokker_planck.solve(OU, P0, [1.0], X, 0), "steps must be a whole number"),
        (lambda: fokker_planck.solve(fr.SDE(well, root), P0, [1.0], X), "noise='diagonal'"),
        (lambda: fokker_planck.solve(NOWHERE, P0, [1.0], X), "must be finite on the grid: at x = "),
        (lambda: fokker_planck.discretisation(OU, P0, [1, 2, 3], X, 3), "take more steps"),
        (lambda: fokker_planck.discretisation(OU, P0, [1.0], X[16:24:2], 9), "halves the cells"),
        (lambda: LAW.law(0.5), "the solution holds no t = 0.5"),
        (lambda: LAW.marginal(1), "coordinate must be less than 1, got 1"),
        (lambda: PLANE.law(0.0).cdf(0.0), "cdf is for one coordinate: take that of a marginal"),
    ],
)
def test_bad_requests(make, message):
    with pytest.raises(fr.InputError, match=message):
        make()


def reduced(x, t, p):
    r = np.linalg.norm(np.array([x[0], x[1]]))
    return -x[0] * r, -x[1] * r


def spelled(x, t, p):
    r = math.sqrt(x[0] * x[0] + x[1] * x[1])
    return -x[0] * r, -x[1] * r


def in_place(x, t, p):
    x -= 1.0
    return -x if x > 0 else -2 * x


def not_in_place(x, t, p):
    return -(x - 1.0) if x - 1.0 > 0 else -2 * (x - 1.0)


class Pull(NamedTuple):
    k: float
    mu: float


def unpacked(x, t, p):
    k, mu = p
    return -k * (x - mu)


def test_functions_that_do_not_take_all_points_as_they_take_one():
    x = centres(-4, 4, 40)
    p0 = fr.Gaussian([1.0, 0.0], [0.5, 0.5])
    one, other = (
        fokker_planck.solve(fr.SDE(f, 0.5, dim=2), p0, [0.5], x, 20, x).density
        for f in (reduced, spelled)
    )
    np.testing.assert_allclose(one, other, atol=1e-12)
    line = centres(-6, 6, 120)
    for pair in (
        (fr.SDE(in_place, 0.7), fr.SDE(not_in_place, 0.7)),
        (fr.SDE(unpacked, 0.5, params=Pull(1.0, 0.5)), fr.SDE(lambda x, t, p: 0.5 - x, 0.5)),
        (
            fr.SDE(lambda x, t, p: max(-5.0, min(5.0, 1 / x)), 0.5),
            fr.SDE(lambda x, t, p: np.clip(1 / x, -5.0, 5.0), 0.5),
        ),
        (
            fr.SDE(lambda x, t, p: 1.0 / (1 + math.exp(200 * x * x)), 0.5),
            fr.SDE(lambda x, t, p: 1.0 / (1 + np.exp(200 * x * x)), 0.5),
        ),
    ):
        one, other = (fokker_planck.solve(p, fr.Gaussian(), [0.5], line, 20).density for p in pair)
        np.testing.assert_allclose(one, other, atol=1e-12)
