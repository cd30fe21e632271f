"""Particle-steps per second: process x direction x dtype x dim."""

import numpy as np
import pytest

import fastrev as fr
from fastrev.analysis.compare import frame_moments, z_scores
from fastrev.analysis.exact import scheme_moments

pytestmark = pytest.mark.benchmark(min_rounds=3, max_time=0.1)

STEPS = 200
PROCESSES = {
    "brownian": fr.Brownian(0.5),
    "ou": fr.OrnsteinUhlenbeck(1.0, 1.0),
    "vp": fr.VP(),
    "sub-vp": fr.SubVP(),
    "ve": fr.VE(0.01, 5.0),
}
MIXTURE = fr.GaussianMixture(np.ones(8), np.linspace(-3, 3, 8), np.full(8, 0.2))


@pytest.mark.parametrize("dim", [1, 3, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("name", PROCESSES)
def test_linear(benchmark, record, name, direction, dtype, dim):
    process, p0 = PROCESSES[name], fr.Gaussian(0.5, 0.5)
    n = 2**18 // dim
    common = {"n": n, "steps": STEPS, "dtype": dtype, "dim": dim, "seed": 1}
    if direction == "forward":
        call = (process, p0)
        common["time"] = (0, 1)
    else:
        call = (fr.reverse(process, process.score(p0)), process.marginal(p0, 1.0))
        common["time"] = (1, 0)
    fr.simulate(*call, **(common | {"n": 10}))  # compile apart
    run = benchmark(fr.simulate, *call, **common)
    z = z_scores(frame_moments(run.frames), scheme_moments(run.specification))
    assert max(np.abs(z.mean).max(), np.abs(z.variance).max()) < 5.0
    record(n * dim * STEPS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_eight_component_mixture(benchmark, record, dtype):
    process, n = fr.VP(), 2**16
    reverse, start = fr.reverse(process, process.score(MIXTURE)), process.marginal(MIXTURE, 1.0)
    common = {"time": fr.TimeGrid.power(1.0, 1e-4, STEPS, 3), "dtype": dtype, "seed": 1}
    fr.simulate(reverse, start, n=10, **common)
    run = benchmark(fr.simulate, reverse, start, n=n, **common)
    mean, variance = MIXTURE.moments()
    assert abs(run.x.mean() - mean[0]) < 0.05
    assert abs(run.x.var() - variance[0]) < 0.2
    record(n * STEPS)
