"""What a run may measure while it goes: reductions over particles that need no stored frame.

A kernel adds the particles of a range to an array of numbers, (F, K), one row per
time; ranges are joined in the order of their ids, so a result does not depend on
the number of threads.  An observable says how many numbers it takes, how two
ranges are joined, and what a reader gets in the end.
"""

from typing import Any, Protocol

from fastrev.model.check import Array


class Observable(Protocol):
    """A reduction over the ensemble at some times."""

    @property
    def times(self) -> Any:
        """When: a count, times, {"every": k}, or None for the times of the frames."""

    @property
    def name(self) -> str:
        """Its key in `run.observables`."""

    @property
    def absorbing(self) -> bool:
        """Whether it needs walls that absorb."""

    @property
    def dtype(self) -> str:
        """Of the numbers."""

    def width(self, dim: int) -> int:
        """K: how many numbers per time."""

    def joined(self, a: Array, b: Array) -> Array:
        """The numbers (F, K) of two ranges of particles together."""

    def result(self, numbers: Array, times: Array) -> Any:
        """What `run.observables[name]` holds."""
