"""Training: denoising score matching, with an average of the weights, kept up in a checkpoint."""

import hashlib
import math
import os
import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from fastrev.engine.options import checked
from fastrev.engine.threads import libraries_on_one
from fastrev.learn.denoising import Denoising, OneStep
from fastrev.model import check
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution
from fastrev.model.distributions import Empirical
from fastrev.model.network import ACTIVATIONS, NeuralScore
from fastrev.model.points import read_points
from fastrev.model.process import GAUSSIAN
from fastrev.model.reversal import Reverse
from fastrev.model.timegrid import TimeGrid

Count = Annotated[int, Field(gt=0)]


class TrainOptions(BaseModel):
    """What may be chosen of a training: the `[train]` table of a configuration.

    hidden         units of each hidden layer
    activation     silu, tanh, relu, gelu or softplus
    centres        of the mixture of Gaussians that the network corrects, for processes with
                   Gaussian transitions; 1 is a single Gaussian, some dozens suit data that form
                   clusters
    features       Chebyshev polynomials of the noise level, or of time
    iterations     steps of the optimiser
    batch          pairs in each
    learning_rate  of Adam, at its largest: it rises for a twentieth and falls as a cosine
    ema            decay of the average of the weights that is kept, per iteration
    particles      of each forward run, where the process has no Gaussian transitions
    seed           of weights and batches
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: Annotated[list[Count], Field(min_length=1)] = [128, 128, 128]
    activation: str = "silu"
    centres: Count = 1
    features: Count = 16
    iterations: Count = 10_000
    batch: Annotated[int, Field(ge=32)] = 512
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    particles: Count = 20_000
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


def train(
    process: Any,
    data: Any,
    time: Any = None,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
    dim: int | None = None,
    **options: Any,
) -> NeuralScore:
    """A network fitted to grad log p_t by denoising score matching; needs torch.

    process     a forward process.  Without Gaussian transitions (SDE, Linear) it is fitted to
                single steps of the engine's own forward runs: see `learn/denoising.py`
    data        points of p_0, (N, d) or (N,), or their .npy, .csv or HDF5 file; or a distribution
    time        the grid along which noise levels are drawn: a TimeGrid, or (t0, t1); None for 1,000
                equal steps where transitions are Gaussian, else 100, up to T, or 1 where there is
                no T.  Reverse runs must begin and end within it
    checkpoint  a file: written every half minute and at the end, and gone on from where it is
                there; the result is the one of a training that was never interrupted
    progress    True or False; None shows a bar on a terminal
    dim         coordinates, where neither the data nor the process tells; one unless told
    options     hidden, activation, centres, features, iterations, batch, learning_rate, ema,
                particles, seed: see `fr.learn.TrainOptions`

    The score returned has the average of the weights; `save` keeps it.  Raises InputError.
    """
    chosen = checked(TrainOptions, options, "train: ")
    check.one_of("train: activation", chosen.activation, ACTIVATIONS)
    if isinstance(process, type | Reverse) or not hasattr(process, "terms"):
        raise InputError(f"train: process must be a forward process, got {process!r}")
    check.dimension("train: dim", dim)
    source = _source(process, data, time, dim, chosen)
    _require_torch()
    return _Trainer(source, process, chosen, checkpoint).run(progress)


def _source(
    process: Any, data: Any, time: Any, dim: int | None, options: TrainOptions
) -> Denoising | OneStep:
    gaussian = isinstance(process, tuple(GAUSSIAN.values()))
    times = _times(process, time, 1000 if gaussian else 100)
    if isinstance(data, Distribution) and not isinstance(data, Empirical):
        asked = _dimension(dim, process, data.dim)
        if gaussian:
            data = data.sample(options.particles, seed=options.seed, dim=asked)
        else:
            return _one_step(process, data, times, asked, options)
    points = _points(data.points if isinstance(data, Empirical) else data)
    _dimension(dim, process, points.shape[1])
    if gaussian:
        different = len(np.unique(points, axis=0)) if options.centres > 1 else 1
        if options.centres > different:
            raise InputError(
                f"train: centres must be at most the {different} different points of the data, "
                f"got {options.centres}"
            )
        levels = times[times > 0.0]
        if len(levels) < 2:
            raise InputError(f"train: time must have two noise levels or more, got t = {levels}")
        return Denoising(process, points, levels, options.centres)
    if options.centres > 1:
        raise InputError(
            f"train: centres must be 1 where transitions are not Gaussian, got {options.centres}"
        )
    return _one_step(process, Empirical(points), times, points.shape[1], options)


def _dimension(asked: int | None, process: Any, data: int | None) -> int:
    """The number of coordinates that dim, the process and the data agree on."""
    told = {"dim": asked, "the process": process.dim, "the data": data}
    known = {name: d for name, d in told.items() if d is not None}
    if len(set(known.values())) > 1:
        found = ", ".join(f"{d} of {name}" for name, d in known.items())
        raise InputError(f"train: dim must be the same for process and data, got {found}")
    return next(iter(known.values()), 1)


def _one_step(
    process: Any, p0: Distribution, times: Array, dim: int, options: TrainOptions
) -> OneStep:
    """Runs begin where the data are, at t = 0, by steps like the first of the grid."""
    first = min(math.ceil(times[0] / (times[1] - times[0]) - 1e-9), len(times))
    grid = np.concatenate([np.linspace(0.0, times[0], first + 1)[:-1], times])
    return OneStep(process, p0, grid, dim, options.particles, first, options.seed)


def _times(process: Any, time: Any, steps: int) -> Array:
    """Increasing times from a grid, a pair or nothing."""
    if isinstance(time, TimeGrid):
        times = np.sort(time.times)
    else:
        last = process.horizon if math.isfinite(process.horizon) else 1.0
        ends = (0.0, last) if time is None else time
        ends = check.finite_array("train: time", ends, ndim=(1,))
        if len(ends) != 2:
            raise InputError(f"train: time must be a TimeGrid or (t0, t1), got {time!r}")
        times = TimeGrid.uniform(ends.min(), ends.max(), steps).times
    if times[0] < 0.0 or times[-1] > process.horizon:
        raise InputError(
            f"train: time must lie between 0 and {process.horizon:g}, "
            f"got {times[0]:g} to {times[-1]:g}"
        )
    return np.asarray(times)


def _points(data: Any) -> Array:
    """Data points (N, d).  Warns of constant columns; raises InputError."""
    if isinstance(data, str | Path):
        data = read_points(data)
    points = check.finite_array("train: data", data, ndim=(1, 2))
    points = points.reshape(len(points), -1)
    constant = np.flatnonzero(np.ptp(points, axis=0) == 0.0)
    if len(constant) == points.shape[1]:
        raise InputError(f"train: data must differ, got {len(points)} equal points")
    if len(constant):
        warnings.warn(
            f"train: {len(constant)} of {points.shape[1]} columns of the data are constant "
            f"({', '.join(map(str, constant[:8]))}{', ...' if len(constant) > 8 else ''})",
            stacklevel=4,
        )
    return points


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError:
        raise InputError("train needs torch: pip install 'fastrev[learn]'") from None


_SAVE_EVERY = 30.0
"""Seconds between checkpoints."""


class _Trainer:
    """A training in progress."""

    def __init__(
        self,
        source: Denoising | OneStep,
        process: Any,
        options: TrainOptions,
        checkpoint: str | Path | None,
    ) -> None:
        import torch

        from fastrev.learn.network import ScoreNetwork

        self.source, self.options = source, options
        self.path = None if checkpoint is None else Path(checkpoint)
        dim = source.points.shape[1] if isinstance(source, Denoising) else source.dim
        clock = source.clock(options.features)
        make = (dim, options.hidden, clock, options.activation)
        with torch.random.fork_rng(devices=[]):  # torch's own seed is the caller's
            torch.manual_seed(options.seed)
            self.network = ScoreNetwork(*make, **source.options).float()
            self.average = ScoreNetwork(*make, **source.options).float()
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.Adam(self.network.parameters(), options.learning_rate)
        self.features = torch.tensor(clock.features(process, source.levels), dtype=torch.float32)
        self.iteration = 0
        self.identity = self._identity(process)

    def run(self, progress: bool | None) -> NeuralScore:
        """All iterations that are left."""
        import time

        from fastrev.learn.progress import progress_bar

        self._load()
        last = time.monotonic()
        bar = progress_bar(self.options.iterations, self.iteration, progress)
        with bar as advance, libraries_on_one():  # NumPy's threads would wait in torch's way
            while self.iteration < self.options.iterations:
                advance(self._step())
                if time.monotonic() - last > _SAVE_EVERY:
                    self._save()
                    last = time.monotonic()
        self._save()
        score: NeuralScore = self.average.neural_score()
        return score

    def _step(self) -> float:
        """One step of the optimiser and of the average; the loss."""
        import torch

        options = self.options
        batch = self.source.batch(options.batch, (options.seed, self.iteration))
        z, target = (torch.from_numpy(v.astype(np.float32)) for v in (batch.z, batch.target))
        for group in self.optimiser.param_groups:
            group["lr"] = options.learning_rate * _schedule(self.iteration / options.iterations)
        loss = torch.mean((self.network(z, self.features[batch.rows]) - target) ** 2)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.iteration += 1
        value = float(loss.detach())
        decay = min(options.ema, self.iteration / (self.iteration + 10.0))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for mean, new in pairs:
                mean.lerp_(new, 1.0 - decay)
        if not math.isfinite(value):
            raise InputError(
                f"train: the loss is {value} at iteration {self.iteration}; "
                f"try a smaller learning_rate than {options.learning_rate:g}"
            )
        return value

    def _identity(self, process: Any) -> str:
        """A hash of all that the result depends on."""
        from fastrev.kernels.fingerprint import content_hash

        digest = hashlib.sha256(self.options.model_dump_json().encode())
        digest.update(repr(process).encode())
        for value in vars(process).values():
            if callable(value):
                digest.update(content_hash(value).encode())
        own = self.source.points if isinstance(self.source, Denoising) else self.source.means
        for array in (self.source.times, own):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _save(self) -> None:
        """The checkpoint, whole or not at all."""
        import torch

        if self.path is None:
            return
        state = {
            "identity": self.identity,
            "iteration": self.iteration,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        beside = self.path.with_name(self.path.name + ".part")
        try:
            torch.save(state, beside)
            os.replace(beside, self.path)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"train: the checkpoint {self.path} cannot be written: {error}"
            ) from None

    def _load(self) -> None:
        """Go on from the checkpoint, if there is one.  Raises InputError where it is another's."""
        import torch

        if self.path is None or not self.path.exists():
            self._save()
            return
        try:
            state = torch.load(self.path, weights_only=True)
            same = state["identity"] == self.identity
        except Exception as error:  # torch raises many kinds for a damaged file
            raise InputError(f"train: {self.path} is not a checkpoint: {error}") from None
        if not same:
            raise InputError(
                f"train: the checkpoint {self.path} is of another training: its process, data, "
                "time or options differ"
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.iteration = state["iteration"]


def _schedule(done: float) -> float:
    """The share of the learning rate when so much is done: up for 1/20, then down as a cosine."""
    warm = 0.05
    if done < warm:
        return max(done, 1e-3) / warm
    return 0.5 * (1.0 + math.cos(math.pi * (done - warm) / (1.0 - warm)))
