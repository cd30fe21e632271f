"""What observables cost a run: at eleven times little, at every step less than half."""

import time

import numpy as np
import pytest

import fastrev as fr

N, STEPS = 2**20, 1000
PROCESS = fr.Brownian(0.5)
LAW = fr.Gaussian()
EVERY = {"every": 1}
HISTOGRAM = fr.Histogram(-5, 5, 200)


def run(observe):
    start = time.perf_counter()
    made = fr.simulate(
        fr.reverse(PROCESS, PROCESS.score(LAW)), PROCESS.marginal(LAW, 1.0), n=N, steps=STEPS,
        time=(1, 0), seed=1, frames=11, observe=observe,
    )  # fmt: skip
    return made, time.perf_counter() - start


CASES = {
    "moments and a histogram at 11 times": ([fr.Moments(), HISTOGRAM], 1.03, 7),
    "moments at every step": (fr.Moments(EVERY), 1.40, 3),
    "a histogram at every step": (fr.Histogram(-5, 5, 200, times=EVERY), None, 1),
    "quantiles at 11 times": (fr.Quantiles(), None, 1),
}


@pytest.mark.parametrize("name", CASES)
def test_cost(benchmark, name):
    """The median over rounds of the ratio to the same run without, each first in turns."""
    observe, bar, rounds = CASES[name]
    made, _ = run(observe)
    frames = made.frames.astype(np.float64)
    if "moments" in made.observables:
        mean = made.observables["moments"].mean
        rows = [int(np.argmin(np.abs(made.observables["moments"].times - t))) for t in made.times]
        np.testing.assert_allclose(mean[rows, 0], frames.mean(axis=(1, 2)), rtol=1e-6, atol=1e-9)
    if "histogram" in made.observables:
        counted = made.observables["histogram"]
        np.testing.assert_array_equal(
            counted.counts[-1], np.histogram(frames[-1], counted.edges)[0]
        )
    if benchmark.disabled:
        return
    run(())
    seconds = np.empty((rounds, 2))
    for number in range(rounds):
        for k in (0, 1) if number % 2 else (1, 0):
            seconds[number, k] = run((observe, ())[k])[1]
    ratio = float(np.median(seconds[:, 0] / seconds[:, 1]))
    best = float(np.divide(*seconds.min(axis=0)))
    benchmark.extra_info.update(ratio=ratio, best=best)
    benchmark.pedantic(lambda: None, rounds=1)
    print(f"\n{name}: {100 * (ratio - 1):+.1f} % (of the best times {100 * (best - 1):+.1f} %)")
    assert bar is None or min(ratio, best) < bar
