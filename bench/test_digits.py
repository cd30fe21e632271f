"""A network trained on half of the digits, against the other half: minutes, so not without timing.

The energy distance of its samples to digits that it never saw, beside that between the two halves
and that of a Gaussian with the mean and covariance of the half that it saw.
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
    seen, unseen = points[order[: len(points) // 2]], points[order[len(points) // 2 :]]
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
    few = energy_in_space(samples[: len(seen)], unseen) / energy_in_space(seen, unseen)
    many = energy_in_space(samples, unseen) / energy_in_space(seen, unseen)
    own, normal = (energy_in_space(x, unseen, unbiased=True) for x in (samples, gaussian))
    benchmark.extra_info.update(seconds=seconds, few=few, many=many, of_gaussian=own / normal)
    benchmark.pedantic(lambda: None, rounds=1)
    print(
        f"\ndigits: trained in {seconds:.0f} s; energy distance to unseen digits {few:.2f} "
        f"({len(seen)} samples) and {many:.2f} ({len(samples)}) times that between halves; "
        f"unbiased, {own / normal:.2f} of the Gaussian's ({own:.5f} and {normal:.5f})"
    )
    assert seconds < 600
    assert max(few, many) < 3
    assert own < 0.5 * normal
