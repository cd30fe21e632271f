"""What a score is fitted to when only data are known: F of `model/network.py`, form "gaussian".

The minimiser of E ||s(x, t) - target||^2 over functions s is grad log p_t in two ways:

    transitions N(a x_0 + b, v)   target = -(x_t - a x_0 - b)/v                      (any data)
    one step of a simulation      target = -A^-1 (x_(k+1) - x_k - f h)/h, A = G G^T  (any process)

Vincent, Neural Comput. 23 (2011) 1661; Song et al. 2021 (arXiv:2011.13456), eq. 7.  Of the first,
its mean over the data points that x_t may have come from is taken, which has the same minimiser
and far less noise (Xu, Tong and Jaakkola 2023, arXiv:2302.00670).  What remains of the target
beside the score of the Gaussian or the mixture, over the gain, is what F is fitted to.
"""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrev.learn.mixture import fitted_mixture
from fastrev.model.check import Array, InputError
from fastrev.model.clock import Clock
from fastrev.model.distribution import Distribution
from fastrev.model.evaluate import evaluated
from fastrev.model.kernel import Kernel
from fastrev.model.network import NeuralScore
from fastrev.model.network_layers import Mixture, Spread
from fastrev.model.process import Process


class Batch(NamedTuple):
    """z (B, d), which time each has (B,), and the F to fit (B, d)."""

    z: Array
    rows: NDArray[np.int64]
    target: Array


class _Reference(NamedTuple):
    """Data points along the axes as tensors: (d, N), (N, d) in float32, half norms (N,)."""

    transposed: Any
    points: Any
    half_norms: Any


@dataclass(frozen=True, eq=False)
class Denoising:
    """Noised data points and what F is there, for a process with Gaussian transitions.

    points (N, d); times (S,) > 0: noise levels are drawn from them, more often where data and
    noise are of like size, for there the score is hardest: as s (1 - s) + 0.02 with the data's
    share s of the variance.  centres of the mixture that is corrected
    """

    process: Process
    points: Array
    times: Array
    centres: int = 1

    @property
    def levels(self) -> Array:
        """The times that `Batch.rows` count."""
        return self.times

    @functools.cached_property
    def options(self) -> dict[str, Any]:
        """Of `NeuralScore`: the principal axes of the data, or of what is within the centres."""
        mean = self.points.mean(axis=0)
        weights, centres, std, basis = fitted_mixture(self.points - mean, self.centres)
        mixture = Mixture(weights, centres @ basis) if len(centres) > 1 else None
        return {
            "form": "gaussian", "process": self.process, "mean": mean, "std": std, "basis": basis,
            "mixture": mixture,
        }  # fmt: skip

    @functools.cached_property
    def _base(self) -> NeuralScore:
        """The mixture, or the Gaussian, alone."""
        zeros = np.zeros((self.points.shape[1],) * 2), np.zeros(self.points.shape[1])
        return NeuralScore([zeros], **self.options)

    @functools.cached_property
    def _modes(self) -> Array:
        """The points about their mean, along the axes."""
        return np.asarray((self.points - self.options["mean"]) @ self.options["basis"])

    @functools.cached_property
    def _transition(self) -> tuple[Array, Array]:
        """Scale and variance at the levels, (S, 1)."""
        scale, _, variance = self.process.transition(self.times)
        gone = scale**2 < np.finfo(np.float32).tiny * variance
        if gone.any():
            raise InputError(
                "train: time must end where something is left of the data; at t = "
                f"{self.times[np.argmax(gone)]:g} their scale is {scale[np.argmax(gone)]:.3g}"
            )
        return scale[:, None], variance[:, None]

    @functools.cached_property
    def _cumulative(self) -> Array:
        """Of the probabilities of the levels."""
        scale, variance = self._transition
        own = scale**2 * np.mean(self._base.whole_variance)
        share = (own / (own + variance))[:, 0]
        weight = share * (1.0 - share) + 0.02
        return np.asarray(np.cumsum(weight) / weight.sum())

    @functools.cached_property
    def _everyone(self) -> _Reference:
        return self._reference(slice(None))

    def _reference(self, who: Any) -> _Reference:
        points = self._modes[who]
        single = _tensor(points).float()
        return _Reference(_tensor(points.T), single, _tensor(0.5 * (points**2).sum(1)))

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
        root = np.sqrt(variance)
        y = scale * self._modes[who] + root * rng.standard_normal((size, self.points.shape[1]))
        mean = np.empty_like(y)
        for a in range(0, size, _REFERENCE):
            part = slice(a, a + _REFERENCE)
            few = len(self.points) <= _REFERENCE
            reference = self._everyone if few else self._reference(who[part])
            mean[part] = _expected(y[part], scale[part], variance[part], reference)
        own = scale**2 * np.mean(self._base.whole_variance)
        gain = own / ((own + variance) * root)
        score = (scale * mean - y) / variance
        z = y / np.sqrt(own + variance)
        return Batch(z, rows, (score - self._known(y, scale, variance)) / gain)

    def _known(self, y: Array, scale: Array, variance: Array) -> Array:
        """The score of the mixture, or the Gaussian, (B, d)."""
        from scipy.special import softmax

        whole = scale**2 * self.options["std"] ** 2 + variance
        if self.options["mixture"] is None:
            return np.asarray(-y / whole)
        weights, centres = self.options["mixture"]
        pull = scale / whole
        logits = (y * pull) @ centres.T - 0.5 * (scale * pull) @ (centres**2).T + np.log(weights)
        return np.asarray(pull * (softmax(logits, axis=1) @ centres) - y / whole)


_REFERENCE = 4096
"""Data points that a batch is held against; of more, those that it came from itself."""


def _tensor(values: Array) -> Any:
    """In double precision."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(values, np.float64))


def _expected(y: Array, scale: Array, variance: Array, reference: _Reference) -> Array:
    """The mean of the data points that y may have come from, (B, d)."""
    import torch

    with torch.inference_mode():
        falloff = _tensor(-(scale**2) / variance) * reference.half_norms
        pulled = _tensor(y * (scale / variance))
        logits = torch.addmm(falloff, pulled, reference.transposed)
        logits -= logits.amax(dim=1, keepdim=True)  # large ones cancel here, so not in float32
        shares = torch.softmax(logits.float(), dim=1)
        return np.asarray((shares @ reference.points).numpy(), np.float64)


@dataclass(eq=False)
class OneStep:
    """Pairs of consecutive frames of the engine's own forward runs, for any process.

    p0 the law of x_0; times (S + 1,) from 0 on, the grid of the runs; particles of each run;
    first: the step of the grid from which on pairs are taken.  A run is used for `reuse` batches,
    then there is another, of a seed made of `seed` and its number.
    """

    process: Any
    p0: Distribution
    times: Array
    dim: int
    particles: int
    first: int = 0
    seed: int = 0
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
        self.means, self.stds = frames.mean(axis=1, dtype=np.float64), stds

    @property
    def levels(self) -> Array:
        """The times that `Batch.rows` count."""
        return self.times[1:]

    @property
    def options(self) -> dict[str, Any]:
        """Of `NeuralScore`."""
        taught = slice(self.first, None)
        spread = Spread(self.times[taught], self.means[taught], self.stds[taught])
        return {"form": "gaussian", "spread": spread}

    def clock(self, count: int) -> Clock:
        """Polynomials of t."""
        return Clock("t", count, float(self.times[self.first]), float(self.times[-1]))

    def _run(self, number: int) -> Array:
        """Frames (S + 1, N, d) of the run of that number."""
        from fastrev.engine.simulate import simulate
        from fastrev.model.timegrid import TimeGrid

        if number != self._number:
            seed = np.random.SeedSequence((self.seed, number)).generate_state(1, np.uint64)
            run = simulate(
                self.process, self.p0, n=self.particles, time=TimeGrid(self.times), dim=self.dim,
                seed=int(seed[0] >> 1), frames={"every": 1}, progress=False,
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
        chosen = np.sort(rng.integers(self.first, count, size=max(1, size // _TOGETHER)))
        x, target = [], []
        for k in chosen:
            every, wanted = self._targets(int(k))
            who = rng.integers(self.particles, size=_TOGETHER)
            x.append(every[who])
            target.append(wanted[who])
        rows = np.repeat(chosen + 1, _TOGETHER)
        std = self.stds[rows][:, None]
        z = (np.concatenate(x) - self.means[rows]) / std
        return Batch(z, rows - 1, np.concatenate(target) * std + z)


_TOGETHER = 32
"""Pairs of one time that a batch takes together."""


def _solved(diffusion: Kernel, x: Array, t: float, moved: Array) -> Array:
    """(G G^T)^-1 moved, at each particle."""
    g = evaluated(diffusion, x, t)
    if g.ndim == 1:
        g = g[:, None]
    a = g**2 if g.ndim == 2 else g @ g.swapaxes(1, 2)
    if g.ndim == 2:
        singular = np.any(a == 0.0)
    else:
        sizes = np.linalg.eigvalsh(a)
        singular = np.any(sizes[:, 0] <= 1e-12 * sizes[:, -1])
    if singular:
        raise InputError(
            "train: G G^T is singular: the one-step transition has no density, and so no score"
        )
    if g.ndim == 2:
        return moved / a
    return np.asarray(np.linalg.solve(a, moved[..., None])[..., 0])
