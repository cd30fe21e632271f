"""Ratios to the peers on the same work, interleaved in one process.

1-D reverse Brownian motion from N(0, 2DT), 2^20 particles, 200 steps, no
output; compile time apart.  Each answer is checked: final variance 2D|h|.
"""

import time

import numpy as np
import peers
import pytest

import fastrev as fr

N, STEPS, D, T = 2**20, 200, 0.5, 1.0
VARIANCE = 2 * D * T / STEPS


def check(x, n):
    assert abs(np.var(x, dtype=np.float64) / VARIANCE - 1) < 6 * np.sqrt(2 / n)


def best_seconds(calls, rounds):
    """The best time of each call, in turns."""
    best = dict.fromkeys(calls, np.inf)
    for number in range(rounds):
        for name, (call, n) in calls.items():
            if number >= 2 and name.startswith("numpy"):
                continue  # seconds each, and steady
            start = time.perf_counter()
            x = call()
            best[name] = min(best[name], (time.perf_counter() - start) * N / n)
            check(x, n)
    return best


@pytest.fixture(scope="module")
def ratios(request):
    timed = not request.config.getoption("benchmark_disable")
    process = fr.Brownian(D)
    reverse = fr.reverse(process, process.score(fr.Point(0.0)))
    start = np.random.default_rng(1).standard_normal(N) * np.sqrt(2 * D * T)

    def ours(dtype, n=N):
        law = process.marginal(fr.Point(0.0), T)
        return fr.simulate(reverse, law, n=n, time=(T, 0), steps=STEPS, dtype=dtype).x

    for dtype in ("float32", "float64"):
        ours(dtype, 10)
    peers.numba_fused(start[:10], D, T, STEPS)
    part = N if timed else N // 64
    calls = {
        "float32": (lambda: ours("float32"), N),
        "float64": (lambda: ours("float64"), N),
        "numba fused": (lambda: peers.numba_fused(start[:part], D, T, STEPS), part),
        "numpy": (lambda: peers.numpy_loop(start[:part], D, T, STEPS), part),
        "numpy float32": (lambda: peers.numpy_float32(start[:part], D, T, STEPS), part),
    }
    best = best_seconds(calls, 7 if timed else 1)
    for name, seconds in best.items():
        rate, ratio = N * STEPS / seconds / 1e6, seconds / best["float32"]
        print(f"{name:14s} {rate:8,.0f} M particle-steps/s   fastrev float32 is {ratio:6.1f} x")
    return best, timed


@pytest.mark.parametrize(
    ("dtype", "peer", "least"),
    [("float32", "numba fused", 20), ("float32", "numpy", 50), ("float64", "numba fused", 5)],
)
def test_ratio(ratios, dtype, peer, least):
    best, timed = ratios
    if timed:
        assert best[peer] / best[dtype] > least
