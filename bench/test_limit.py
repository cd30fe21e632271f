"""The kernel against hand-written C of the same work: float32, 1-D reverse Brownian motion.

The C source is the package's own, fastrev/bench/limit.c, which `fastrev bench` builds too.  It
keeps all in registers; fastrev also emits the words of some particles among the normals of others.
"""

import shutil

import numpy as np
import pytest

import fastrev as fr
from fastrev.bench import limit, measure
from fastrev.bench.models import brownian, scheme_law
from fastrev.engine.prepare import build

N, STEPS = 2**20, 400


@pytest.fixture(scope="module", params=["philox", "ars"])
def c_kernel(request):
    if not any(map(shutil.which, limit.COMPILERS)):
        pytest.skip("no C compiler")
    if request.param not in measure.generators():
        pytest.skip("no instruction for rounds of AES in vectors")
    return limit.build(request.param)


@pytest.mark.parametrize("steps", [8, 99])
def test_same_paths(c_kernel, steps):
    """The same counters and key: path by path, but for the rounding of the drift."""
    grid = fr.TimeGrid(np.linspace(1.0, 0.0, STEPS + 1)[: steps + 1])
    run = fr.simulate(
        brownian().process, fr.Gaussian(), n=5000, time=grid, seed=7, generator=c_kernel.generator
    )
    key = int(build(run.specification).seed)
    x = c_kernel.run(5000, STEPS, threads=2, seed=key, taken=steps)
    np.testing.assert_allclose(x, run.x[:, 0], atol=1e-5)


def test_share_of_the_limit(benchmark, c_kernel):
    timed, model = not benchmark.disabled, brownian()
    n = N if timed else N // 64
    contenders = [
        measure.ours(model, "float32", n, STEPS, generator=c_kernel.generator),
        measure.by_c(c_kernel, n, STEPS),
    ]
    law = scheme_law(model, STEPS)
    ours, c = measure.interleaved(contenders, law, STEPS, 6 if timed else 1)
    benchmark.pedantic(contenders[1].run, rounds=1)
    if not timed:
        return
    ratio = ours.rate / c.rate
    benchmark.extra_info.update(
        ratio=ratio, ours=ours.rate, c=c.rate, lanes=c_kernel.lanes, compiler=c_kernel.compiler
    )
    print(
        f"\n{ours.name} {ours.rate / 1e6:,.0f}, {c.name} with {c_kernel.lanes} lanes "
        f"{c.rate / 1e6:,.0f} M particle-steps/s: {ratio:.2f} of the limit"
    )
