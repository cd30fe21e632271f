"""Bad input: one clear error that names the field, what came and what is allowed."""

import math

import numpy as np
import pytest

import fastrev as fr

P, X0 = fr.Brownian(0.5), fr.Gaussian(0, 1)
REVERSE = fr.reverse(P, P.score(fr.Point(0.0)))


def run(process=P, x0=X0, **options):
    return fr.simulate(process, x0, **({"n": 10, "steps": 5} | options))


def bad_drift(x, t, p):
    return undefined_name(x)  # noqa: F821


def returns_nothing(x, t, p):
    pass


def draws(x, t, p):
    return np.random.normal()


def too_small(x, t, p):
    return 1e-50 / (x * x + 1e-50)


def no_such_method(x, t, p):
    return x.upper()


CASES = {
    "n zero": (lambda: run(n=0), "n: .*greater than 0, got 0"),
    "n negative": (lambda: run(n=-5), "n: .*greater than 0, got -5"),
    "n fraction": (lambda: run(n=1.5), "n: .*integer.*got 1.5"),
    "steps zero": (lambda: run(steps=0), "steps: .*greater than 0, got 0"),
    "steps text": (lambda: run(steps="many"), "steps: .*integer.*got 'many'"),
    "dim zero": (lambda: run(dim=0), "dim: .*greater than 0, got 0"),
    "seed negative": (lambda: run(seed=-1), "seed: .*greater than or equal to 0, got -1"),
    "seed large": (lambda: run(seed=2**64), "seed: .*less than"),
    "dtype": (lambda: run(dtype="float16"), "dtype: .*'float32' or 'float64', got 'float16'"),
    "generator": (
        lambda: run(generator="mt19937"),
        "generator: .*'philox' or 'ars', got 'mt19937'",
    ),
    "method": (lambda: run(method="hoin"), "method: 'hoin' is not known: did you mean 'heun'"),
    "frames one": (lambda: run(frames=1), "frames: .*got 1"),
    "frames many": (lambda: run(frames=99), "frames must be at most steps \\+ 1 = 6, got 99"),
    "frames outside": (lambda: run(frames=[0.5, 7.0]), "frames must be times .*got 7.0"),
    "shard size": (lambda: run(shard_size=0), "shard_size: .*greater than 0, got 0"),
    "D": (lambda: fr.Brownian(-1), "Brownian.D must be positive, got -1"),
    "D text": (lambda: fr.Brownian("x"), "Brownian.D must be a finite number, got 'x'"),
    "D nan": (lambda: fr.Brownian(math.nan), "Brownian.D must be a finite number, got nan"),
    "beta": (lambda: fr.VP(beta_min=-0.1), "VP.beta_min must be positive, got -0.1"),
    "beta order": (lambda: fr.SubVP(2.0, 1.0), "beta_max must be at least beta_min = 2.0, got 1.0"),
    "sigma": (lambda: fr.VE(2.0, 1.0), "VE.sigma_max must exceed sigma_min = 2.0, got 1.0"),
    "theta": (lambda: fr.OrnsteinUhlenbeck(0, 1), "theta must be positive, got 0"),
    "std": (lambda: fr.Gaussian(0, -1), "Gaussian.std must be positive, got -1"),
    "weights": (lambda: fr.GaussianMixture([1, 1], [0], 1), "one entry per weight .2., got 1"),
    "uniform": (lambda: fr.Uniform(1, 0), "Uniform.high must exceed low"),
    "points": (lambda: fr.Empirical([]), "Empirical.points must be a non-empty"),
    "x0 nan": (
        lambda: run(x0=np.array([[1.0], [np.nan]]), n=None),
        "finite, got nan for particle 1",
    ),
    "x0 shape": (lambda: run(x0=np.zeros((10, 3)), dim=2), r"shape \(n, dim\) = \(10, 2\)"),
    "x0 rows": (lambda: run(x0=np.zeros((9, 1))), r"shape \(n, dim\) = \(10, 1\), got \(9, 1\)"),
    "x0 rank": (lambda: run(x0=np.zeros((2, 5, 1))), "x0 must have shape"),
    "x0 type": (lambda: run(x0="zero"), "x0 must be"),
    "x0 dim": (lambda: run(x0=fr.Gaussian([0, 0], 1), dim=3), "dim must be 2, as x0 has, got 3"),
    "process": (lambda: run(process="Brownian"), "process must be a process"),
    "time beyond": (lambda: run(fr.VP(), time=(0, 2)), "time must lie between 0 and T = 1"),
    "time negative": (lambda: run(time=(-1, 1)), "time must lie between 0 and infinity"),
    "time still": (lambda: run(time=(1, 1)), r"time must span an interval, got \(1.0, 1.0\)"),
    "time turns": (lambda: fr.TimeGrid([0, 1, 0.5]), "time must be strictly .* index 1"),
    "time down": (lambda: run(time=(1, 0)), "upwards for a forward process.*reverse"),
    "time up": (lambda: run(REVERSE, time=(0, 1)), "downwards for a reverse process"),
    "score": (lambda: fr.reverse(P, 3.0), "score must be a score"),
    "twice": (lambda: fr.reverse(REVERSE, P.score(X0)), "must be a forward process"),
    "noise": (lambda: fr.reverse(P, P.score(X0), noise=-1), "noise must not be negative, got -1"),
    "noise kind": (lambda: fr.SDE(lambda x, t, p: x, 1.0, noise="blue"), "SDE.noise must be"),
    "params": (lambda: fr.SDE(lambda x, t, p: x, 1.0, params=3), "SDE.params must be a NamedTuple"),
    "p0": (lambda: P.score(fr.Uniform(0, 1)), "Uniform has no closed-form marginal; allowed"),
    "singular": (
        lambda: run(REVERSE, time=fr.TimeGrid([1.0, 0.5, 1e-320, 0.0])),
        "singular on the time grid: drift.slope is not finite at t = 9.99.*; a score is singular",
    ),
    "singular in float32": (
        lambda: run(REVERSE, time=fr.TimeGrid([1.0, 1e-40, 0.0])),
        "singular on the time grid: drift.slope is not finite at t = 1e-40",
    ),
    "memory": (lambda: run(n=10**12), "GB of memory .* out="),
    "undefined name": (
        lambda: run(fr.SDE(bad_drift, 1.0)),
        "(?s)does not compile.*undefined_name.*test_errors.py.*return undefined_name",
    ),
    "returns nothing": (
        lambda: run(fr.SDE(returns_nothing, 1.0)),
        "does not compile: it must return one number",
    ),
    "own noise": (lambda: run(fr.SDE(draws, 1.0)), "must not draw random numbers of its own"),
    "literal": (lambda: run(fr.SDE(too_small, 1.0)), "1e-50 is out of the range of float32"),
    "not scalar": (
        lambda: run(fr.SDE(lambda x, t, p: x, lambda x, t, p: 0.4 * x)),
        "depends on x, but noise is 'scalar'.*noise='diagonal'",
    ),
    "builtin": (lambda: fr.SDE(math.sin, 1.0), "SDE.drift must be a Python function"),
    "class": (lambda: run(fr.Brownian), "process must be a process"),
    "score class": (lambda: fr.reverse(P, fr.Score), "score must be a score"),
    "D string": (lambda: fr.Brownian("0.5"), "Brownian.D must be a finite number, got '0.5'"),
    "D huge": (lambda: fr.Brownian(10**400), "Brownian.D must be a finite number"),
    "steps huge": (lambda: run(steps=10**9), "steps needs .* GB"),
    "three times": (lambda: run(time=(0, 1, 2)), r"time must be \(t0, t1\), got 3 times"),
    "corrections many": (
        lambda: run(steps=2**10, method=fr.PredictorCorrector(2**22 + 1)),
        "method: steps x corrections must be at most 4,294,967,296, got 1,024 x 4,194,305",
    ),
    "dim huge": (lambda: run(n=1, dim=2**24 + 1), "dim must be at most 16,777,216"),
    "out": (lambda: run(out=5), "out must be a file name, got 5"),
    "unsupported": (
        lambda: run(fr.SDE(no_such_method, 1.0)),
        "(?s)does not compile.*upper.*test_errors.py.*return x.upper",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_clear_error(name):
    call, message = CASES[name]
    with pytest.raises(fr.InputError, match=message) as caught:
        call()
    assert len(str(caught.value).splitlines()) < 10


@pytest.mark.parametrize("options", [{"n": -1}, {"dtype": "int"}, {"x0": np.full((10, 1), np.nan)}])
def test_no_file_is_left(options, tmp_path):
    with pytest.raises(fr.InputError):
        run(out=tmp_path / "a.h5", **options)
    with pytest.raises(fr.InputError):
        run(fr.SDE(bad_drift, 1.0), out=tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []
