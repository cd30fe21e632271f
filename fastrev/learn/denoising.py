"""What a score is fitted to when only data are known: F of `model/network.py`, form "gaussian".

The minimiser of E ||s(x, t) - target||^2 over functions s is grad log p_t in two ways:

    transitions N(a x_0 + b, v)   target = -(x_t - a x_0 - b)/v                      (any data)
    one step of a simulation      target = -A^-1 (x_(k+1) - x_k - f h)/h, A = G G^T  (any process)

Vincent, Neural Comput. 23 (2011) 1661; Song et al. 2021 (arXiv:2011.13456), eq. 7.  Of the first,
its mean over the data points that x_t may have come from is taken, which has the same minimiser
and far less noise (Xu, Tong and Jaakkola 2023, arXiv:2302.00670).  What remains of the target
beside the Gaussian's score -y/std^2, over the gain, is what F is fitted to.
"""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrev.model.check import Array, InputError
from fastrev.model.clock import Clock
from fastrev.model.distribution import Distribution
from fastrev.model.evaluate import evaluated
from fastrev.model.kernel import Kernel
from fastrev.model.network import Spread
from fastrev.model.process import Process


class Batch(NamedTuple):
    """z (B, d), which time each has (B,), and the F to fit (B, d)."""

    z: Array
    rows: NDArray[np.int64]
    target: Array


class _Reference(NamedTuple):
    """Data points along the axes as tensors: (d, N), (N, d) over std, half norms (N,)."""

    transposed: Any
    shares: Any
    half_norms: Any


@dataclass(frozen=True, eq=False)
class Denoising:
    """Noised data points and what F is there, for a process with Gaussian transitions.

    points (N, d); times (S,) > 0: noise levels are drawn from them, more often where data and
    noise are of like size, for there the score is hardest: as s (1 - s) + 0.02 with the data's
    share s of the variance
    """

    process: Process
    points: Array
    times: Array

    @property
    def levels(self) -> Array:
        """The times that `Batch.rows` count."""
        return self.times

    @functools.cached_property
    def options(self) -> dict[str, Any]:
        """Of `NeuralScore`: the data's principal axes."""
        mean = self.points.mean(axis=0)
        variances, basis = np.linalg.eigh(np.cov(self.points.T, bias=True).reshape(2 * mean.shape))
        std = np.sqrt(np.maximum(variances, 0.0))
        std[std < 1e-6 * std.max()] = 0.0
        return {
            "form": "gaussian", "process": self.process, "mean": mean, "std": std, "basis": basis,
        }  # fmt: skip

    @functools.cached_property
    def _modes(self) -> Array:
        """The points along the axes, each with variance one, or zero where there is none."""
        std = self.options["std"]
        away = (self.points - self.options["mean"]) @ self.options["basis"]
        return np.asarray(np.where(std > 0.0, away / np.where(std > 0.0, std, 1.0), 0.0))

    @functools.cached_property
    def _transition(self) -> tuple[Array, Array]:
        """Scale and variance at the levels, (S, 1)."""
        scale, _, variance = self.process.transition(self.times)
        return scale[:, None], variance[:, None]

    @functools.cached_property
    def _cumulative(self) -> Array:
        """Of the probabilities of the levels."""
        scale, variance = self._transition
        own = scale**2 * np.mean(self.options["std"] ** 2)
        share = (own / (own + variance))[:, 0]
        weight = share * (1.0 - share) + 0.02
        return np.asarray(np.cumsum(weight) / weight.sum())

    @functools.cached_property
    def _everyone(self) -> _Reference:
        return self._reference(slice(None))

    def _reference(self, who: Any) -> _Reference:
        shares = self._modes[who]
        points = shares * self.options["std"]
        return _Reference(_tensor(points.T), _tensor(shares), _tensor(0.5 * (points**2).sum(1)))

    def clock(self, count: int) -> Clock:
        """Polynomials of the noise level."""
        scale, variance = self._transition
        u = 0.5 * np.log(variance / scale**2)
        return Clock("log-snr", count, float(u.min()), float(u.max()))

    def batch(self, size: int, seed: tuple[int, int]) -> Batch:
        """So many, the same for the same seed."""
        rng = np.random.default_rng(seed)
        rows = np.searchsorted(self._cumulative[:-1], rng.random(size))
        who = rng.integers(len(self.points), size=size)
        scale, variance = (values[rows] for values in self._transition)
        own, root = scale * self.options["std"], np.sqrt(variance)
        y = own * self._modes[who] + root * rng.standard_normal(own.shape)
        u = np.empty_like(y)
        for a in range(0, size, _REFERENCE):
            part = slice(a, a + _REFERENCE)
            few = len(self.points) <= _REFERENCE
            reference = self._everyone if few else self._reference(who[part])
            u[part] = _expected(y[part], scale[part], variance[part], reference)
        whole = own**2 + variance
        typical = np.sqrt(np.mean(whole, axis=1, keepdims=True))
        gain = np.mean(own**2, axis=1, keepdims=True) / (typical**2 * root)
        score = (own * u - y) / variance
        return Batch(y / typical, rows, (score + y / whole) / gain)


_REFERENCE = 4096
"""Data points that a batch is held against; of more, those that it came from itself."""


def _tensor(values: Array) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def _expected(y: Array, scale: Array, variance: Array, reference: _Reference) -> Array:
    """The mean of the data points that y may have come from, as shares of std, (B, d)."""
    import torch

    with torch.inference_mode():
        falloff = _tensor(-(scale**2) / variance) * reference.half_norms
        pulled = _tensor(y * (scale / variance))
        shares = torch.softmax(torch.addmm(falloff, pulled, reference.transposed), dim=1)
        return np.asarray((shares @ reference.shares).numpy(), np.float64)


@dataclass(eq=False)
class OneStep:
    """Pairs of consecutive frames of the engine's own forward runs, for any process.

    p0 the law of x_0; times (S + 1,) from 0 on, the grid of the runs; particles of each run.
    A run is used for `reuse` batches, then there is another of the next seed.
    """

    process: Any
    p0: Distribution
    times: Array
    dim: int
    particles: int
    reuse: int = 500

    def __post_init__(self) -> None:
        self._number, self._frames = -1, np.empty(0)
        self._pairs: dict[int, tuple[Array, Array]] = {}
        frames = self._run(0)
        stds = np.sqrt(frames.var(axis=1, dtype=np.float64).mean(axis=1))
        if stds[1:].min() <= 0.0:
            raise InputError(
                "train: particles of the forward run are all in one place at t = "
                f"{self.times[1 + int(np.argmin(stds[1:]))]:g}; where there is no noise there is "
                "no score"
            )
        stds[0] = max(stds[0], stds[1])
        self.spread = Spread(self.times, frames.mean(axis=1, dtype=np.float64), stds)

    @property
    def levels(self) -> Array:
        """The times that `Batch.rows` count."""
        return self.times[1:]

    @property
    def options(self) -> dict[str, Any]:
        """Of `NeuralScore`."""
        return {"form": "gaussian", "spread": self.spread}

    def clock(self, count: int) -> Clock:
        """Polynomials of t."""
        return Clock("t", count, float(self.times[0]), float(self.times[-1]))

    def _run(self, number: int) -> Array:
        """Frames (S + 1, N, d) of the run of that number."""
        from fastrev.engine.simulate import simulate
        from fastrev.model.timegrid import TimeGrid

        if number != self._number:
            run = simulate(
                self.process, self.p0, n=self.particles, time=TimeGrid(self.times), dim=self.dim,
                seed=number, frames={"every": 1}, progress=False,
            )  # fmt: skip
            self._frames, self._number = np.asarray(run.frames), number
            self._pairs = {}
        return self._frames

    def _targets(self, k: int) -> tuple[Array, Array]:
        """x_(k+1) (N, d) and -A^-1 (x_(k+1) - x_k - f h)/h, A and f at x_k."""
        if k not in self._pairs:
            before, after = (frame.astype(np.float64) for frame in self._frames[k : k + 2])
            t, h = float(self.times[k]), float(self.times[k + 1] - self.times[k])
            terms = self.process.terms(self.dim)
            moved = after - before - evaluated(terms.drift, before, t) * h
            target = -_solved(terms.diffusion, before, t, moved) / h
            self._pairs[k] = self._frames[k + 1], target.astype(np.float32)
        return self._pairs[k]

    def batch(self, size: int, seed: tuple[int, int]) -> Batch:
        """So many pairs, of one time each thirty-two."""
        rng = np.random.default_rng(seed)
        self._run(seed[1] // self.reuse)
        count = len(self.times) - 1
        chosen = np.sort(rng.integers(count, size=max(1, size // _TOGETHER)))
        x, target = [], []
        for k in chosen:
            every, wanted = self._targets(int(k))
            who = rng.integers(self.particles, size=_TOGETHER)
            x.append(every[who])
            target.append(wanted[who])
        rows = np.repeat(chosen + 1, _TOGETHER)
        std = self.spread.stds[rows][:, None]
        z = (np.concatenate(x) - self.spread.means[rows]) / std
        return Batch(z, rows - 1, np.concatenate(target) * std + z)


_TOGETHER = 32
"""Pairs of one time that a batch takes together."""


def _solved(diffusion: Kernel, x: Array, t: float, moved: Array) -> Array:
    """(G G^T)^-1 moved, at each particle."""
    g = evaluated(diffusion, x, t)
    if g.ndim == 2:
        return moved / g**2
    a = g @ g.swapaxes(1, 2)
    try:
        return np.asarray(np.linalg.solve(a, moved[..., None])[..., 0])
    except np.linalg.LinAlgError:
        raise InputError(
            "train: G G^T is singular: the one-step transition has no density, and so no score"
        ) from None
