"""Contenders in turns, in one process: the best time of each, and whether its answer is right."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastrev as fr
from fastrev.analysis.compare import frame_moments, z_scores
from fastrev.analysis.exact import Moments
from fastrev.bench import peers
from fastrev.bench.limit import Limit
from fastrev.bench.models import Model, T
from fastrev.engine import threads
from fastrev.kernels import aes

LIMIT_OF_Z = 5.0
SUFFIX = {"philox": "", "ars": " ARS"}
"""Of a name, by the generator."""


def generators() -> tuple[str, ...]:
    """Those that are fast here."""
    return ("philox", "ars") if aes.in_vectors() else ("philox",)


class WrongAnswerError(ValueError):
    """A run whose speed was measured did not give the scheme's law."""


@dataclass(frozen=True)
class Contender:
    """One way to run a model.

    run              the final values, (n,) or (n, 1)
    n                particles of that run
    warm             compiles, and returns the seconds that this took; NaN: nothing to compile
    most             rounds that it takes part in
    """

    name: str
    run: Callable[[], Any]
    n: int
    warm: Callable[[], float] = lambda: float("nan")
    most: int = 1_000_000


@dataclass(frozen=True)
class Measured:
    """The best of some rounds.

    rate             particle-steps per second
    compile_seconds  apart from it; NaN: nothing to compile
    variance, z      of the round that fits the scheme's law worst, in standard errors
    """

    name: str
    n: int
    seconds: float
    rate: float
    compile_seconds: float
    variance: float
    z: float


def ours(
    model: Model,
    dtype: str,
    n: int,
    steps: int,
    most: int = 1_000_000,
    generator: str = "philox",
) -> Contender:
    """fastrev."""

    def simulate(n: int) -> fr.Run:
        x0, grid = fr.Gaussian(), fr.TimeGrid.uniform(T, 0.0, steps)
        return fr.simulate(
            model.process, x0, n=n, time=grid, dtype=dtype, frames=[0.0], generator=generator
        )

    return Contender(
        f"fastrev {dtype}{SUFFIX[generator]}",
        lambda: simulate(n).x,
        n,
        lambda: simulate(16).compile_seconds,
        most,
    )


def by_numpy(model: Model, n: int, steps: int, most: int = 1_000_000) -> Contender:
    """The textbook loop."""
    return Contender("NumPy", lambda: peers.numpy_loop(_start(n), model, steps), n, most=most)


def by_numpy_float32(n: int, steps: int, most: int = 1_000_000) -> Contender:
    """The tuned loop of reverse Brownian motion."""
    run = functools.partial(peers.numpy_float32, _start(n), steps)
    return Contender("NumPy float32", run, n, most=most)


def by_numba(model: Model, n: int, steps: int, most: int = 1_000_000) -> Contender:
    """The plain parallel loop."""

    def warm() -> float:
        return _seconds(lambda: peers.numba_loop(_start(16), model, steps))[0]

    run = functools.partial(peers.numba_loop, _start(n), model, steps)
    return Contender("Numba", run, n, warm, most)


def by_c(limit: Limit, n: int, steps: int, most: int = 1_000_000) -> Contender:
    """The hand-written kernel of reverse Brownian motion."""
    run = functools.partial(limit.run, n, steps, threads.count())
    return Contender(f"C{SUFFIX[limit.generator]}", run, n, lambda: limit.seconds, most)


def interleaved(
    contenders: Sequence[Contender], law: Moments, steps: int, rounds: int
) -> list[Measured]:
    """The best time of each, all in turns, after each has compiled.  Raises WrongAnswerError."""
    compiled = [contender.warm() for contender in contenders]
    best = [float("inf")] * len(contenders)
    worst = [(0.0, float("nan"))] * len(contenders)
    for number in range(rounds):
        for k, contender in enumerate(contenders):
            if number >= contender.most:
                continue
            seconds, x = _seconds(contender.run)
            best[k] = min(best[k], seconds)
            variance, z = checked(contender.name, x, law)
            if number == 0 or abs(z) > abs(worst[k][0]):
                worst[k] = z, variance
    return [
        Measured(c.name, c.n, s, c.n * steps / s, apart, variance, z)
        for c, s, apart, (z, variance) in zip(contenders, best, compiled, worst, strict=True)
    ]


def checked(name: str, x: Any, law: Moments) -> tuple[float, float]:
    """Variance and its distance from the scheme's, in standard errors.

    Raises WrongAnswerError where it, or the mean, is more than five away.
    """
    sample = frame_moments(np.asarray(x).reshape(1, -1, 1))
    scores = z_scores(sample, law)
    for what, z, value, exact in (
        ("variance", scores.variance, sample.variance, law.variance),
        ("mean", scores.mean, sample.mean, law.mean),
    ):
        if not abs(z.item()) < LIMIT_OF_Z:
            raise WrongAnswerError(
                f"{name}: {what} {value.item():.6g}, and the scheme's exact one is "
                f"{exact.item():.6g} ({z.item():+.1f} standard errors): a wrong answer has no speed"
            )
    return sample.variance.item(), scores.variance.item()


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """A context in which fastrev and Numba's loops use so many threads."""
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def _start(n: int) -> Any:
    """A draw from N(0, 1)."""
    return np.random.default_rng(1).standard_normal(n)


def _seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result
