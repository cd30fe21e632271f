"""A run made ready: the compiled kernel with its arguments, called for ranges of particles."""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrev.engine import threads
from fastrev.engine.callback import Called
from fastrev.engine.lastframe import LastFrame
from fastrev.engine.outcome import Kept, Outcome, passages
from fastrev.engine.shards import Shard, pieces
from fastrev.engine.sizes import piece_size
from fastrev.engine.specification import Specification
from fastrev.model.distribution import Distribution


class Due(NamedTuple):
    """Steps after which something leaves the tile, and which frame or observation that is."""

    steps: NDArray[np.int64]
    frame_rows: NDArray[np.int64]
    observed_rows: tuple[NDArray[np.int64], ...]


def make_due(frame_steps: Sequence[int], observed: Sequence[Sequence[int]]) -> Due:
    """When frames and observations of these steps are due."""
    steps = sorted(set(frame_steps).union(*observed))

    def rows(own: Sequence[int]) -> NDArray[np.int64]:
        places = {step: row for row, step in enumerate(own)}
        return np.array([places.get(step, -1) for step in steps], dtype=np.int64)

    return Due(np.array(steps, np.int64), rows(frame_steps), tuple(map(rows, observed)))


@dataclass(frozen=True)
class Program:
    """What `run_range` needs, all of it a function of the specification.

    content    a hash of the functions, None where that is not known
    decisive   the numbers that decide a path beside seed and x0
    """

    kernel: Callable[..., tuple[int, int, int]]
    recipe: Any
    content: str | None
    decisive: tuple[Any, ...]
    compile_seconds: float
    dtype: Any
    seed: Any
    width: int
    tile: int
    due: Due
    observed_tables: tuple[tuple[Any, ...], ...]
    observed_shapes: tuple[tuple[tuple[int, int], Any], ...]
    step_scalars: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
    correction: Any
    corrector: tuple[Any, ...]
    walls: tuple[NDArray[Any], NDArray[Any]]
    tables: tuple[tuple[Any, ...], ...]
    draw_values: tuple[Any, ...]
    spec: Specification
    block: int | None = None
    callback: Called | None = None

    @cached_property
    def digest(self) -> str:
        """A hash of all that decides a path beside seed and x0: functions and numbers.

        Where the content is not known it equals no other: such a run is read, not resumed.
        """
        from fastrev.kernels.fingerprint import sources

        digest = hashlib.sha256(((self.content or uuid.uuid4().hex) + sources()).encode())
        for value in self.decisive:
            digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()

    def run_range(self, rows: Kept, first: int, count: int, base: int) -> Outcome:
        """Run particles first .. first+count-1 into rows, of which the first is row `base`."""
        kept = self._kept(first, count)
        row = self.spec.row_of(first) - base
        return self.call(rows, self.due, first, count, row, kept)

    def run_shard(
        self,
        shard: Shard,
        rows: Kept,
        base: int,
        done: Callable[[int], None] = lambda count: None,
    ) -> Outcome:
        """Run a shard on all threads; the first of the rows is row `base`.

        Its pieces, and the order in which their numbers are joined, do not depend on the
        number of threads.
        """

        def work(piece: tuple[int, int]) -> Outcome:
            outcome = self.run_range(rows, *piece, base)
            done(piece[1])
            return outcome

        light = all(part.shape == "coordinate" for part in self.recipe.parts)
        least = piece_size(self.spec, shard.count, light)
        ranges = pieces(shard, self.tile, least)
        if self.callback is None:
            return self._all(threads.for_each(ranges, work))
        with threads.libraries_on_one():
            return self._all(threads.for_each(ranges, work))

    def _all(self, ranges: list[Outcome]) -> Outcome:
        """Ranges together, in an order that depends on how many they are alone."""
        columns = zip(*(outcome.numbers for outcome in ranges), strict=True)
        numbers = tuple(
            o.observable.total(column)
            for o, column in zip(self.spec.observed.values(), columns, strict=True)
        )
        lost = next((outcome.lost for outcome in ranges if outcome.lost >= 0), -1)
        non_finite = sum(outcome.non_finite for outcome in ranges)
        return Outcome(non_finite, lost, sum(outcome.outside for outcome in ranges), numbers)

    def joined(self, a: Outcome, b: Outcome) -> Outcome:
        """Two shards together, the one with smaller ids first."""
        return self._all([a, b])

    def run_path(self, particle: int) -> NDArray[Any]:
        """One particle at every step, (S+1, dim), in the run's dtype."""
        every = range(self.spec.grid.steps + 1)
        path = np.empty((len(every), 1, self.spec.dim), self.dtype)
        due = make_due(every, [()] * len(self.spec.observed))
        first, count, kept = particle, 1, np.empty(0, np.int64)
        if self.block:  # with those whom it is always called with
            first = particle // self.block * self.block
            count = min(self.block, self.spec.n - first)
            kept = np.array([particle - first])
        self.call(Kept(path, passages(self.spec, 0)), due, first, count, 0, kept)
        return path[:, 0]

    def _kept(self, first: int, count: int) -> NDArray[np.int64]:
        """Which of these particles are kept, counted from the first; empty for all."""
        keep = self.spec.keep
        a, b = self.spec.row_of(first), self.spec.row_of(first + count)
        if b - a == count:
            return np.empty(0, np.int64)
        if a == b:
            return np.array([count])  # none: beyond the last
        return np.asarray(keep[a:b], dtype=np.int64) - first

    def call(
        self,
        rows: Kept,
        due: Due,
        first: int,
        count: int,
        row: int,
        kept: NDArray[np.int64],
    ) -> Outcome:
        """Run particles first .. first+count-1 into rows from `row` on, of which `kept`, counted
        from the first, are kept: empty for all."""
        frames = rows.frames
        numbers = tuple(np.zeros(shape, dtype) for shape, dtype in self.observed_shapes)
        bad, place, outside = self.kernel(
            due.steps,
            frames.view(np.uint16) if frames.dtype == np.float16 else frames,
            due.frame_rows,
            rows.passages,
            numbers,
            due.observed_rows,
            self.observed_tables,
            np.uint64(first),
            count,
            row,
            kept,
            self._x0(first, count),
            self.seed,
            self.width,
            self.tile,
            self.step_scalars,
            self.correction,
            self.corrector,
            self.walls,
            self.tables,
            self.draw_values,
        )
        if self.callback is not None:
            self.callback.raise_error()
        lost = first + int(place) if place >= 0 else -1
        return Outcome(int(bad), lost, int(outside), numbers)

    def _x0(self, first: int, count: int) -> NDArray[Any]:
        """Initial states of these particles, (0, 0) where the kernel draws them."""
        x0 = self.spec.x0
        if isinstance(x0, Distribution):
            return np.empty((0, 0), self.dtype)
        if isinstance(x0, LastFrame):
            return x0.rows(first, count, self.dtype)
        return x0[first : first + count]
