"""Ratios to the peers on the same work, interleaved in one process.

1-D reverse Brownian motion from N(0, 2DT), 2^20 particles, 200 steps, no
output; compile time apart.  Each answer is checked: final variance 2D|h|.
"""

import pytest

from fastrev.bench import measure
from fastrev.bench.models import brownian, scheme_law

N, STEPS = 2**20, 200


@pytest.fixture(scope="module")
def ratios(request):
    timed = not request.config.getoption("benchmark_disable")
    model, few = brownian(), N // (4 if timed else 64)
    contenders = [
        *(measure.ours(model, "float32", N, STEPS, generator=g) for g in measure.generators()),
        measure.ours(model, "float64", N, STEPS),
        measure.by_numba(model, few, STEPS, most=2),
        measure.by_numpy(model, few // 2, STEPS, most=1),  # seconds, and steady
        measure.by_numpy_float32(few, STEPS, most=2),
    ]
    law = scheme_law(model, STEPS)
    best = {m.name: m.rate for m in measure.interleaved(contenders, law, STEPS, 5 if timed else 1)}
    for name, rate in best.items():
        ratio = best["fastrev float32"] / rate
        print(
            f"{name:20s}{rate / 1e6:8,.0f} M particle-steps/s   fastrev float32 is {ratio:6.1f} x"
        )
    return best, timed


@pytest.mark.parametrize(
    ("dtype", "peer", "least"),
    [("float32", "Numba", 20), ("float32", "NumPy", 50), ("float64", "Numba", 5)],
)
def test_ratio(ratios, dtype, peer, least):
    best, timed = ratios
    if timed:
        assert best[f"fastrev {dtype}"] / best[peer] > least
