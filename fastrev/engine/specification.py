"""What a run is: every value that its result depends on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrev.engine.lastframe import LastFrame
from fastrev.engine.shards import Shard, bounds, shard_at, shards
from fastrev.model.boundary import Absorb, Boundary
from fastrev.model.distribution import Distribution
from fastrev.model.method import Method
from fastrev.model.observable import Observable
from fastrev.model.reversal import Reverse
from fastrev.model.stopping import StandardError
from fastrev.model.timegrid import TimeGrid


class Observed(NamedTuple):
    """An observable and the step numbers at which it is taken, increasing."""

    observable: Observable
    steps: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Specification:
    """A run in full: with a particle id it determines that particle's path.

    x0 is a distribution, an (n, dim) array of the run's dtype, or a file's last frame.
    frame_steps are the step numbers kept, increasing, 0 for the initial state.
    keep are the particles whose frames are kept: a range, or increasing ids.
    storage is the dtype of the frames.
    observed are the observables by name.
    boundary is what happens at walls, None without.
    until is the error at which it may stop with fewer than n particles, None without.
    part is (k, m) where only the k-th of m parts of its shards is run, from 1 on.
    generator is that of the normals of the start, the steps and correctors.
    """

    process: Any
    x0: Distribution | NDArray[Any] | LastFrame
    grid: TimeGrid
    n: int
    dim: int
    seed: int
    dtype: str
    method: Method
    frame_steps: tuple[int, ...]
    shard_size: int
    keep: range | NDArray[np.int64]
    storage: str
    observed: Mapping[str, Observed]
    boundary: Boundary | None = None
    until: StandardError | None = None
    part: tuple[int, int] = (1, 1)
    generator: str = "philox"

    @property
    def times(self) -> NDArray[np.float64]:
        """Forward time of each frame, shape (F,)."""
        return self.grid.times[list(self.frame_steps)]

    @property
    def reverse(self) -> bool:
        """Whether the run goes from T down to 0."""
        return isinstance(self.process, Reverse)

    @property
    def rows_nbytes(self) -> int:
        """Size of all frames, and of what else is kept of each particle, in bytes."""
        frames = len(self.frame_steps) * self.dim * np.dtype(self.storage).itemsize
        return self.rows * (frames + self.absorbing * np.dtype(self.dtype).itemsize)

    @property
    def numbers_nbytes(self) -> int:
        """Size of the observables' numbers of one range of particles, in bytes."""
        return sum(8 * len(o.steps) * o.observable.width(self.dim) for o in self.observed.values())

    @property
    def absorbing(self) -> bool:
        """Whether particles may end before the run does, so that each has a passage time."""
        return isinstance(self.boundary, Absorb)

    def shards(self) -> Iterator[Shard]:
        """Of its particles, in order."""
        return shards(self.n, self.shard_size, self.part)

    def shard(self, index: int) -> Shard:
        """One of them."""
        return shard_at(index, self.n, self.shard_size, self.part)

    @property
    def span(self) -> tuple[int, int]:
        """Its first particle, and the first beyond: 0 and n but for a part."""
        return bounds(self.n, self.shard_size, self.part)

    @property
    def particles(self) -> int:
        """How many are run: n but for a part."""
        first, end = self.span
        return end - first

    @property
    def rows(self) -> int:
        """Particles kept."""
        first, end = self.span
        return self.row_of(end) - self.row_of(first)

    def row_of(self, particle: int) -> int:
        """How many kept particles have a smaller id: the row where it would be in the whole."""
        if isinstance(self.keep, range):
            span = range(self.keep.start, max(particle, self.keep.start), self.keep.step)
            return min(len(span), len(self.keep))
        return int(np.searchsorted(self.keep, particle))
