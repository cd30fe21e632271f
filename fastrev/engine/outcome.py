"""What a range of particles leaves: rows to keep, and what is told of it beside them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrev.engine import buffers
from fastrev.engine.specification import Specification


class Kept(NamedTuple):
    """Rows that a range of particles fills: frames (F, m, d), and passage times (m,) or (0,)."""

    frames: NDArray[Any]
    passages: NDArray[Any]


class Outcome(NamedTuple):
    """What a range of particles leaves beside its frames.

    non_finite   coordinates that ended infinite or NaN
    lost         the id of a particle with such a coordinate, -1 for none
    outside      particles that the score's grid did not cover at some step
    numbers      per observable, (F, K)
    """

    non_finite: int
    lost: int
    outside: int
    numbers: tuple[NDArray[Any], ...]


class Tally(NamedTuple):
    """What a run says at its end, if anything: as in `Outcome`."""

    lost: int = -1
    outside: int = 0

    def with_(self, outcome: Outcome) -> "Tally":
        """The same with one more range."""
        return self.and_(Tally(outcome.lost, outcome.outside))

    def and_(self, other: "Tally") -> "Tally":
        """Two together."""
        lost = self.lost if self.lost >= 0 else other.lost
        return Tally(lost, self.outside + other.outside)


def make_rows(spec: Specification, count: int) -> Kept:
    """Room for the rows of so many particles."""
    return Kept(
        buffers.empty((len(spec.frame_steps), count, spec.dim), spec.storage),
        passages(spec, count),
    )


def passages(spec: Specification, count: int) -> NDArray[Any]:
    """Room for the passage times of so many particles, none without walls that absorb."""
    if spec.absorbing:
        return np.empty(count, spec.dtype)
    return np.empty(0, np.float32)
