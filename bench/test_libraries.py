"""Ratios to torch, JAX, diffrax and torchsde on the same work, interleaved in one process.

As in test_peers.py: 1-D reverse Brownian motion, 200 steps, no output, compile time apart, and
every answer checked against the scheme's exact variance.  pip install ".[peers]"
"""

import importlib.util

import pytest
from libraries import LIBRARIES, by_library

from fastrev.bench import measure
from fastrev.bench.models import brownian, scheme_law

N, OURS, STEPS = 2**20, 2**22, 200  # each library has its own n too


@pytest.fixture(scope="module")
def rates(request):
    timed, model = not request.config.getoption("benchmark_disable"), brownian()
    there = [
        name
        for name, (_, packages, _) in LIBRARIES.items()
        if all(importlib.util.find_spec(package) for package in packages)
    ]
    if not there:
        pytest.skip('needs the peers: pip install ".[peers]"')
    if not timed:
        there = [name for name in there if "compiled" not in name]  # a C++ compiler's minute
    n = OURS if timed else N // 64
    contenders = [
        *(
            measure.ours(model, dtype, n, STEPS, generator=generator)
            for dtype in ("float32", "float64")
            for generator in measure.generators()
        ),
        measure.by_numba(model, N if timed else N // 64, STEPS, most=3),
        *(by_library(name, STEPS, 1.0 if timed else 2.0**-6) for name in there),
    ]
    found = measure.interleaved(contenders, scheme_law(model, STEPS), STEPS, 5 if timed else 1)
    best = {m.name: m.rate for m in found}
    for name, rate in best.items():
        ours = (f"fastrev float32{measure.SUFFIX[of]}" for of in measure.generators())
        ratios = ", ".join(f"{one} is {best[one] / rate:6.1f} x" for one in ours)
        print(f"{name:20s}{rate / 1e6:8,.0f} M particle-steps/s   {ratios}")
    return best, timed


@pytest.mark.parametrize(
    ("dtype", "generator", "least"),
    [
        ("float32", "philox", 20),
        ("float32", "ars", 20),
        ("float64", "philox", 6),
        ("float64", "ars", 6),
    ],
)
def test_ratio(benchmark, rates, dtype, generator, least):
    """To the best of any dtype; beside it the best of its own, Numba in both."""
    if generator not in measure.generators():
        pytest.skip("no instruction for rounds of AES in vectors")
    best, timed = rates
    peers = {name: rate for name, rate in best.items() if not name.startswith("fastrev")}
    double = dtype == "float64"
    alike = [v for k, v in peers.items() if k == "Numba" or ("float64" in k) == double]
    ours = best[f"fastrev {dtype}{measure.SUFFIX[generator]}"]
    ratio, like_for_like = ours / max(peers.values()), ours / max(alike)
    benchmark.extra_info.update(rates=best, ratio=ratio, like_for_like=like_for_like)
    benchmark.pedantic(lambda: None, rounds=1)
    print(
        f"\n{dtype}, {generator}: {ratio:.1f} times the best, "
        f"{like_for_like:.1f} times that of its dtype"
    )
    if timed:
        assert ratio > least
