"""The score of a mixture within a kernel, against its formula in float64."""

import numpy as np
import pytest

import fastrev as fr
from fastrev.engine.prepare import build
from fastrev.engine.simulate import specified

VP, T, H = fr.VP(), 0.5, 1e-3


def law_of(components, dim, coupled):
    rng = np.random.default_rng(components + 10 * dim)
    weights, means = rng.uniform(0.2, 1.0, components), 3.0 * rng.normal(size=(components, dim))
    if not coupled:
        return fr.GaussianMixture(weights, means, rng.uniform(0.2, 1.0, (components, dim)))
    roots = rng.normal(size=(components, dim, dim))
    return fr.GaussianMixture(weights, means, covs=roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(dim))


def score_of(law, x, dtype):
    """Read off a step of the probability flow, dx = (f - g^2 s/2) dt."""
    flow = fr.reverse(VP, VP.score(law), noise=0.0)
    moved = fr.simulate(flow, x, time=(T, T - H), steps=1, dtype=dtype).x.astype(np.float64)
    beta = VP.beta_min + T * (VP.beta_max - VP.beta_min)
    return ((moved - x) / -H + 0.5 * beta * x) / (-0.5 * beta)


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("dim", [1, 2, 3, 5])
@pytest.mark.parametrize("components", [2, 3, 8])
def test_of_the_formula(components, dim, coupled):
    """Also where all shares but one underflow."""
    if coupled and dim == 1:
        pytest.skip("one coordinate has no covariance")
    law = law_of(components, dim, coupled)
    x = np.random.default_rng(1).normal(size=(203, dim)) * np.geomspace(0.1, 60.0, 203)[:, None]
    want = VP.marginal(law, T).score(x)
    scale = 1.0 + np.abs(want)
    assert np.all(np.abs(score_of(law, x, "float64") - want) < 1e-8 * scale)
    x = x.astype(np.float32).astype(np.float64)
    found = score_of(law, x, "float32")
    rounding = np.spacing(np.abs(x).astype(np.float32)) / (H * VP.beta_min)
    want = VP.marginal(law, T).score(x)
    assert np.all(np.abs(found - want) < 1e-3 * (1.0 + np.abs(want)) + rounding)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("dim", "coupled"), [(1, False), (2, False), (2, True)])
def test_makes_no_masked_stores(dim, coupled, dtype):
    """AMD's processors without AVX-512 take twenty cycles for one."""
    back = fr.reverse(VP, VP.score(law_of(3, dim, coupled)))
    spec = specified(back, fr.Gaussian(), n=100, dim=dim, time=(T, 0.1), steps=2, dtype=dtype)
    code = "".join(build(spec, stored=False).kernel.inspect_asm().values())
    assert "sqrt" in code and "maskmov" not in code
