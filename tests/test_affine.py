"""Steps of linear processes: eight at once to the bits of one by one, and their oracle."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import naive
import numpy as np
import pytest

import fastrev as fr
from fastrev.engine.prepare import build
from fastrev.model.kernel import Affine, remembering

BROWNIAN, OU = fr.Brownian(0.5), fr.OrnsteinUhlenbeck(2.0, 0.7, mu=1.5)
P0 = fr.Gaussian([0.5, -1.0, 2.0], [0.3, 1.0, 0.1])
PROCESSES = {
    "without offset": (fr.reverse(BROWNIAN, BROWNIAN.score(fr.Point(0.0))), (1.0, 0.0)),
    "with offset": (OU, (0.0, 1.0)),
    "each coordinate its own": (fr.reverse(OU, OU.score(P0), noise=0.5), (1.0, 0.0)),
    "exponential": (fr.reverse(OU, OU.score(P0)), (1.0, 0.0)),
}
each = pytest.mark.parametrize("name", PROCESSES)


def simulated(name, frames, steps=83, **options):
    process, time = PROCESSES[name]
    method = "exponential" if name == "exponential" else "euler-maruyama"
    options = {"n": 1999, "dim": 3, "seed": 5, **options}
    given = {"time": time, "steps": steps, "method": method, "frames": frames}
    return fr.simulate(process, fr.Gaussian(0.5, 2.0), **given, **options)


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_eight_steps_at_once(name, dtype):
    """Frames, observables and the last steps of a grid come between blocks, or within them."""
    by_blocks = simulated(name, 2, dtype=dtype)
    assert build(by_blocks.specification).recipe.affine
    every = simulated(name, 84, dtype=dtype)
    np.testing.assert_array_equal(by_blocks.x, every.x)
    some = simulated(name, 12, dtype=dtype, observe=fr.Moments({"every": 13}))
    rows = np.searchsorted(np.abs(every.times - every.times[0]), np.abs(some.times - some.times[0]))
    np.testing.assert_array_equal(some.frames[:], every.frames[:][rows])
    assert not np.array_equal(every.frames[-1], every.frames[-2])


@each
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 5e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("generator", ["philox", "ars"])
def test_steps_match_the_oracle(name, dtype, tolerance, generator):
    """x + slope x + offset + spread z with the noise that its address gives."""
    run = simulated(name, 84, dtype=dtype, generator=generator)
    program = build(run.specification)
    (slopes, offsets), (spreads,) = program.tables[:2]
    assert (len(offsets) == 0) == (name == "without offset")
    x = run.frames[0].astype(np.float64)
    ids, key = np.arange(1999), int(program.seed)
    for i in range(83):
        noise = [naive.normals(ids, i, j, key, dtype, generator=generator) for j in range(3)]
        drift = slopes[i] * x + (offsets[i] if len(offsets) else 0.0)
        x = x + drift + spreads[i] * np.stack(noise, axis=1)
    assert np.max(np.abs(x - run.x)) < tolerance
    assert np.max(np.abs(x - drift - run.x)) > 10 * tolerance  # a step's drift is seen


def test_what_else_is_done_in_a_step_is_no_affine_step():
    """Walls, correctors, and a mixture's score."""
    walls = simulated("with offset", 2, boundary=fr.Reflect(-5.0, 5.0))
    corrected = fr.simulate(
        PROCESSES["with offset"][0], fr.Gaussian(), n=10, time=(0, 1), steps=8, method="heun"
    )
    mixture = fr.GaussianMixture([1, 1], [-1.0, 1.0], 0.3)
    mixed = fr.simulate(
        fr.reverse(OU, OU.score(mixture)), fr.Gaussian(), n=10, time=(1, 0.1), steps=8
    )
    for run in (walls, corrected, mixed):
        assert not build(run.specification).recipe.affine


@pytest.fixture
def _hasty_threads():
    """Threads that the interpreter switches between as often as it can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("_hasty_threads")
def test_what_a_process_remembers_of_its_last_run():
    """Its numbers of one grid are not those of another, also in several threads; it can be sent."""
    process = fr.reverse(OU, OU.score(fr.Gaussian(0.5, 0.3)))
    grids = [fr.TimeGrid.uniform(1.0, 0.0, 40), fr.TimeGrid.power(1.0, 0.0, 40, 3.0)]

    def x(process, grid):
        return fr.simulate(process, fr.Gaussian(), n=50, time=grid, seed=1).x

    apart = [x(fr.reverse(OU, OU.score(fr.Gaussian(0.5, 0.3))), grid) for grid in grids]
    assert not np.array_equal(*apart)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: x(process, grids[k % 2]), range(200)))
    assert all(np.array_equal(one, apart[k % 2]) for k, one in enumerate(found))
    for copy in (pickle.loads(pickle.dumps(process)), replace(process, noise=1.0)):
        np.testing.assert_array_equal(x(copy, grids[0]), apart[0])
    assert not np.array_equal(x(replace(process, noise=0.5), grids[0]), apart[0])


def test_large_laws_are_not_remembered():
    """A process that a user keeps holds 2 MB of its last run, not as much as a long grid has."""
    asked = []

    def affine(times):
        asked.append(len(times))
        zero = np.zeros_like(times)
        return Affine(zero, zero, zero)

    law = remembering(affine)
    for steps in (10, 10, 2**16, 2**16, 2**17, 2**17):
        law(np.linspace(0.0, 1.0, steps))
    assert asked == [10, 2**16, 2**17, 2**17]
