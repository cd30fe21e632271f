"""A network trained on four fifths of the digits, against the others: minutes, so only with timing.

The energy distance of its samples to digits that it never saw, beside that between two halves of
all digits, and that of a Gaussian with the mean and covariance of the digits that it saw.
"""

import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

import fastrev as fr
from fastrev.analysis.distance import energy_in_space

DATA = Path(__file__).parent.parent / "data"


def test_digits(benchmark):
    """Under 10 minutes; under 3 times the halves' distance; at most half of the Gaussian's."""
    pytest.importorskip("torch")
    if benchmark.disabled:
        pytest.skip("training takes minutes")
    config = tomllib.loads((DATA / "digits.toml").read_text())
    options, run = config["train"], config["run"]
    points = fr.Empirical(DATA / "digits.csv").points
    order = np.random.default_rng(0).permutation(len(points))
    seen, unseen = np.split(points[order], [len(points) * 4 // 5])
    halves = np.array_split(points[order], 2)
    process = fr.VP()
    grid = fr.TimeGrid.power(*run["time"], run["steps"], run["rho"])
    start = time.perf_counter()
    score = fr.learn.train(process, seen, time=grid, **options)
    seconds = time.perf_counter() - start
    samples = fr.simulate(
        fr.reverse(process, score), fr.Gaussian(), n=5000, dim=64, time=grid, seed=1
    ).x
    draw = np.random.default_rng(1).multivariate_normal
    gaussian = draw(seen.mean(axis=0), np.cov(seen.T), size=len(samples))
    apart = energy_in_space(*halves)
    few = energy_in_space(samples[: len(halves[0])], unseen) / apart
    many = energy_in_space(samples, unseen) / apart
    own, normal = (energy_in_space(x, unseen, unbiased=True) for x in (samples, gaussian))
    benchmark.extra_info.update(seconds=seconds, few=few, many=many, of_gaussian=own / normal)
    benchmark.pedantic(lambda: None, rounds=1)
    print(
        f"\ndigits: trained in {seconds:.0f} s; energy distance to unseen digits {few:.2f} "
        f"({len(halves[0])} samples) and {many:.2f} ({len(samples)}) times that between halves; "
        f"unbiased, {own / normal:.2f} of the Gaussian's ({own:.5f} and {normal:.5f})"
    )
    assert seconds < 600
    assert max(few, many) < 3
    assert own < 0.5 * normal
