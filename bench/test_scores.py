"""Scores that have no formula, against what their users would write: torch, NumPy, the callable.

Each side does the same work, reverse VP with noise, and is checked to give the same score.
"""

import itertools
import statistics
import time
from pathlib import Path

import numpy as np
import pytest

import fastrev as fr

DATA = Path(__file__).parent.parent / "data"
DIM, STEPS = 64, 20
VP = fr.VP()


@pytest.fixture(autouse=True)
def _only_timed(benchmark):
    """The answers are checked in tests/ too; without timing there is nothing more to see here."""
    if benchmark.disabled:
        pytest.skip("a ratio needs timing")


def seconds(work, repeats=3):
    """Median of several, after one to warm up."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def rate_once(score, n):
    """From given states, as `step_of` is: so both are one kernel."""
    grid = fr.TimeGrid.uniform(1.0, 1e-3, STEPS)
    start = np.random.default_rng(3).standard_normal((n, DIM), dtype=np.float32)
    return fr.simulate(fr.reverse(VP, score), start, time=grid, seed=1).throughput


def own_rate(score, n):
    """Particle-steps a second of a run."""
    return statistics.median(rate_once(score, n) for _ in range(3))


def coefficients(t):
    """Scale, variance and beta of VP at t."""
    scale, _, variance = (float(v) for v in VP.transition(t))
    return scale, variance, VP.beta_min + t * (VP.beta_max - VP.beta_min)


def torch_rate(score, sizes):
    """The best over batch sizes of a reverse step in torch, and which size it was."""
    torch = pytest.importorskip("torch")
    _, _, beta = coefficients(0.5)
    h, best = -0.01, (0.0, 0)
    for size in sizes:
        x = torch.randn(size, DIM)

        def steps(x=x, size=size):
            with torch.inference_mode():
                for _ in range(max(2, 8192 // size)):
                    noise = (beta * -h) ** 0.5 * torch.randn_like(x)
                    x + (-0.5 * beta * x - beta * score(x)) * h + noise

        best = max(best, (size * max(2, 8192 // size) / seconds(steps, 3), size))
    return best


def step_of(score, x, t=0.5, h=1e-3):
    """A score at x, read off one step of the probability flow, but for noise that is no more than
    rounding.
    """
    flow = fr.reverse(VP, score, noise=1e-9)
    moved = fr.simulate(flow, x, time=(t, t - h), steps=1).x
    _, _, beta = coefficients(t)
    return (moved - x + 0.5 * beta * x * -h) / (0.5 * beta * h)


def test_network(benchmark):
    """A network of 3 x 128 units against torch at its best batch size: bar 1.0, aim 1.3."""
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(1)
    widths = [DIM + 1, 128, 128, 128]
    parts = [p for pair in itertools.pairwise(widths) for p in (nn.Linear(*pair), nn.SiLU())]
    module = nn.Sequential(*parts, nn.Linear(128, DIM))
    score = fr.NeuralScore.from_torch(module, form="noise", process=VP)
    _, variance, _ = coefficients(0.5)

    def by_torch(x):
        return -module(torch.cat([x, torch.full((len(x), 1), 0.5)], 1)) / variance**0.5

    x = np.random.default_rng(1).normal(size=(100, DIM)).astype(np.float32)
    with torch.inference_mode():
        wanted = by_torch(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(step_of(score, x), wanted, atol=0.02)
    own = own_rate(score, 16_384)
    peer, size = torch_rate(by_torch, [128, 256, 512, 1024, 2048, 4096])
    report(benchmark, "network", own, {f"torch, batch {size}": peer}, bar=1.0)


def test_data_points(benchmark):
    """1,797 points in 64 dimensions against torch and NumPy: bar 1.3, aim 2."""
    digits = fr.Empirical(DATA / "digits.csv").points
    score = VP.score(fr.Empirical(digits))
    scale, variance, beta = coefficients(0.5)
    points = digits.astype(np.float32)
    norms = np.float32(scale**2 / variance) * 0.5 * (points**2).sum(1)

    def by_numpy(x):
        logits = np.float32(scale / variance) * (x @ points.T) - norms
        logits -= logits.max(1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(1, keepdims=True)
        return (np.float32(scale) * (logits @ points) - x) / np.float32(variance)

    x = np.random.default_rng(1).normal(size=(100, DIM)).astype(np.float32)
    np.testing.assert_allclose(step_of(score, x), by_numpy(x), atol=0.02)
    peers, best = {}, (0.0, 0)
    rng = np.random.default_rng(2)
    for size in (128, 256, 512, 1024):
        batch = rng.standard_normal((size, DIM), dtype=np.float32)

        def steps(x=batch, size=size):
            for _ in range(max(2, 4096 // size)):
                noise = rng.standard_normal(x.shape, dtype=np.float32)
                h = np.float32(-0.01)
                x + (-0.5 * beta * x - beta * by_numpy(x)) * h + np.sqrt(beta * -h) * noise

        best = max(best, (size * max(2, 4096 // size) / seconds(steps, 3), size))
    peers[f"NumPy, batch {best[1]}"] = best[0]
    try:
        import torch
    except ImportError:
        pass
    else:
        rows, weights = torch.from_numpy(points), torch.from_numpy(norms)

        def by_torch(x):
            logits = torch.addmm(-weights, x, rows.T, alpha=scale / variance)
            return (scale * (torch.softmax(logits, 1) @ rows) - x) / variance

        rate, size = torch_rate(by_torch, [64, 128, 256, 512, 1024])
        peers[f"torch, batch {size}"] = rate
    report(benchmark, "data points", own_rate(score, 8192), peers, bar=1.3)


def test_callable(benchmark):
    """What a run adds to the callable's own time, on the same blocks from as many threads: 10 %."""
    from concurrent.futures import ThreadPoolExecutor

    from fastrev.engine import threads

    rng = np.random.default_rng(1)
    shapes = ((64, 128), (128, 128), (128, 64))
    layers = [0.1 * rng.normal(size=shape).astype(np.float32) for shape in shapes]

    def network(x, t):
        for weight in layers[:-1]:
            x = np.tanh(x @ weight)
        return -(x @ layers[-1])

    score, n = fr.BatchedScore(network, block=1024), 16_384
    x = rng.normal(size=(100, DIM)).astype(np.float32)
    np.testing.assert_allclose(step_of(score, x), network(x, 0.5), atol=0.02)
    block = rng.normal(size=(1024, DIM)).astype(np.float32)
    calls, ratios = n // 1024 * STEPS, []
    for _ in range(5):
        with threads.libraries_on_one(), ThreadPoolExecutor(threads.count()) as pool:
            start = time.perf_counter()
            list(pool.map(lambda _: [network(block, 0.5) for _ in range(calls // 16)], range(16)))
            alone = time.perf_counter() - start
        ratios.append(n * STEPS / rate_once(score, n) / alone)
    added = statistics.median(ratios) - 1.0
    benchmark.extra_info.update(added=added)
    benchmark.pedantic(lambda: None, rounds=1)
    print(f"\ncallable: a run adds {added:+.1%} to its own time, {alone:.3f} s")
    assert added < 0.10


def test_grid(benchmark):
    """A table on a line against the exact Gaussian score, in turns: bar 0.5."""
    p0 = fr.Gaussian(0.5, 0.3)
    x, times = np.linspace(-6, 6, 801), np.linspace(1e-3, 1, 201)
    grid = fr.GridScore(times, x, np.array([VP.marginal(p0, t).score(x) for t in times]))
    best, n = {}, 500_000
    for _ in range(8):
        for name, score in {"grid": grid, "exact": VP.score(p0)}.items():
            run = fr.simulate(
                fr.reverse(VP, score), fr.Gaussian(), n=n, time=(1.0, 1e-3), steps=500, seed=1
            )
            assert abs(run.x.std() - 0.3) < 0.006
            best[name] = max(best.get(name, 0.0), run.throughput)
    report(benchmark, "grid", best["grid"], {"exact Gaussian score": best["exact"]}, bar=0.5)


def report(benchmark, name, own, peers, bar):
    """Print the ratios, record them, and hold the least of them against the bar."""
    ratios = {peer: own / rate for peer, rate in peers.items()}
    benchmark.extra_info.update(own=own, peers=peers, ratios=ratios)
    benchmark.pedantic(lambda: None, rounds=1)
    told = ", ".join(f"{ratio:.2f} x {peer}" for peer, ratio in ratios.items())
    print(f"\n{name}: {own / 1e6:,.2f} M particle-steps/s; {told}")
    assert min(ratios.values()) >= bar
