"""What a particle-step costs as a run grows: particles, steps, coordinates, threads, shards.

Reverse Brownian motion in float32.  Each answer is checked by its final variance, 2D|h|.
"""

import statistics
import time

import numpy as np
import pytest

import fastrev as fr
from fastrev.bench import limit, measure
from fastrev.bench.models import D, T, brownian, scheme_law
from fastrev.engine import threads

MODEL = brownian()
REFERENCE = {"n": 10**6, "steps": 300}
"""What runs between all others: a tenth of a second."""
MOST = 2 * 10**10
"""Particle-steps of a case's runs together, but for one."""


def simulate(n, steps, **options):
    """Only what an observable counts is kept, so that memory stays the same."""
    options = {"frames": 0, "observe": fr.Moments([0.0])} | options
    return fr.simulate(MODEL.process, fr.Gaussian(), n=n, time=(T, 0), steps=steps, **options)


def nanoseconds(n, steps, **options):
    """Of a particle-step, and the run."""
    start = time.perf_counter()
    run = simulate(n, steps, **options)
    seconds = time.perf_counter() - start
    found, h = run.observables, T / steps
    variance = np.mean(found["moments"].variance[-1]) if found else run.x.var(dtype=np.float64)
    bar = 5.0 * (2.0 / (n * options.get("dim", 1))) ** 0.5 + 1e-4
    assert abs(variance / (2.0 * D * h) - 1.0) < bar
    return 1e9 * seconds / (n * steps * options.get("dim", 1))


def growth(name, cases, benchmark, rounds=5):
    """The cost of each case: the median of its ratio to the reference just before and after it,
    times the reference's median.

    The speed of a shared machine changes by a tenth and more from one second to the next.
    """
    rounds = 1 if benchmark.disabled else rounds
    for case in [REFERENCE, *cases]:
        nanoseconds(**(case | {"n": 3000, "steps": 20}))
    ratios, references = [[] for _ in cases], []

    def reference(repeats=1):
        case = REFERENCE | ({"n": 10**4} if benchmark.disabled else {})
        references.append(statistics.mean(nanoseconds(**case) for _ in range(repeats)))
        return references[-1]

    reference()
    references.clear()  # a first run finds the machine slower
    after = reference()
    for number in range(rounds):
        for found, case in zip(ratios, cases, strict=True):
            work = case["n"] * case["steps"]
            if number == 0 or number < MOST // work:
                fifth = max(1, min(10, work // (5 * REFERENCE["n"] * REFERENCE["steps"])))
                before = reference(fifth) if fifth > 1 else after
                own, after = nanoseconds(**case), reference(fifth)
                found.append(own / (0.5 * (before + after)))
    usual = statistics.median(references)
    costs = [usual * statistics.median(found) for found in ratios]
    for case, cost in zip(cases, costs, strict=True):
        print(f"{name}: {case}: {cost:.4f} ns a particle-step")
    benchmark.extra_info.update(cases=cases, nanoseconds=costs)
    benchmark.pedantic(lambda: None, rounds=1)
    return costs


def test_particles(benchmark):
    """Linear from 10^5 to 10^9 particles."""
    sizes = [10**5, 10**6, 10**7, 10**8, 10**9]
    if benchmark.disabled:
        sizes = sizes[:2]
    cases = [{"n": n, "steps": max(64, min(4000, 10**9 // n))} for n in sizes]
    costs = growth("particles", cases, benchmark)
    assert benchmark.disabled or max(costs) < 1.1 * min(costs)


def test_steps(benchmark):
    """Linear from 100 to 100,000 steps."""
    counts = [10**2, 10**3, 10**4, 10**5]
    work, least = 5 * 10**8, 16 * 960
    if benchmark.disabled:
        counts, work, least = counts[:2], 10**6, 1000
    last = {"frames": [0.0], "observe": ()}  # eleven observations of 100 steps would show
    cases = [{"n": max(least, work // k), "steps": k} | last for k in counts]
    costs = growth("steps", cases, benchmark)
    assert benchmark.disabled or max(costs) < 1.1 * min(costs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_coordinates(benchmark, dtype):
    total = 10**6 if not benchmark.disabled else 10**5
    cases = [
        {"n": total // d, "steps": 200, "dim": d, "dtype": dtype, "frames": [0.0], "observe": ()}
        for d in (1, 2, 3, 10, 100, 1000)
    ]
    growth(f"coordinates, {dtype}", cases, benchmark, rounds=2)


def test_shards(benchmark):
    """A shard is work enough that its beginning and end do not count."""
    n = 2 * 10**6 if not benchmark.disabled else 10**5
    cases = [{"n": n, "steps": 500, "shard_size": n // k} for k in (1, 4, 16, 64)]
    costs = growth("shards", cases, benchmark, rounds=3)
    assert benchmark.disabled or costs[2] < 1.1 * min(costs)


def test_threads(benchmark):
    """Two against one, beside what the C kernel makes of a second one in the same run."""
    if threads.count() < 2:
        pytest.skip("one thread only")
    n, steps, rounds = (2**20, 200, 9) if not benchmark.disabled else (2**16, 200, 1)
    law = scheme_law(MODEL, steps)
    ways = {"fastrev": lambda k: measure.ours(MODEL, "float32", n, steps)}
    try:
        c = limit.build()
        ways["C"] = lambda k: measure.Contender("C", lambda: c.run(n, steps, k), n)
    except limit.LimitError as error:
        print(f"no C kernel to compare with: {error}")

    def seconds(make, k):
        with measure.on_threads(k):
            return measure.interleaved([make(k)], law, steps, 1)[0].seconds

    ratios = {name: [] for name in ways}
    for _ in range(rounds):
        for name, make in ways.items():
            ratios[name].append(seconds(make, 1) / seconds(make, 2))
    found = {name: statistics.median(values) for name, values in ratios.items()}
    benchmark.extra_info.update(ratios=found)
    benchmark.pedantic(lambda: None, rounds=1)
    print(f"two threads are so many times one: {found}")
    assert benchmark.disabled or found["fastrev"] > 0.95 * min(2.0, found.get("C", 2.0))


def test_a_small_run(benchmark):
    """1,000 particles, 1,000 steps, in a warm process."""

    def small():
        return fr.simulate(MODEL.process, fr.Gaussian(), n=1000, time=(T, 0), steps=1000, seed=1)

    run = benchmark.pedantic(small, rounds=50 if not benchmark.disabled else 1, warmup_rounds=5)
    assert abs(run.x.var() / 1e-3 - 1.0) < 0.25
    if not benchmark.disabled:
        seconds = benchmark.stats.stats.median
        print(f"1,000 particles x 1,000 steps: {1e3 * seconds:.2f} ms")
        assert seconds < 2e-3
