"""What a run may measure while it goes: reductions over particles that need no stored frame.

A kernel adds the particles of a range to an array of numbers, (F, K), one row per
time; ranges are joined in the order of their ids, so a result does not depend on
the number of threads.  An observable says how many numbers it takes, how two
ranges are joined, and what a reader gets in the end.
"""

from typing import Any

from fastrev.model.check import Array


class Observable:
    """A reduction over the ensemble at some times.

    times      when: a count, times, {"every": k}, or None for the times of the frames
    name       its key in `run.observables`, where it is given no other
    dtype      of the numbers
    absorbing  whether it needs walls that absorb
    pilot      particles that are run beforehand, for `bins`; 0 for none
    """

    times: Any
    name = ""
    dtype = "float64"
    absorbing = False
    pilot = 0

    def check(self, dim: int) -> None:
        """Refuse what particles of so many coordinates do not have.  Raises InputError."""

    def width(self, dim: int) -> int:
        """K: how many numbers per time."""
        raise NotImplementedError

    def joined(self, a: Array, b: Array) -> Array:
        """The numbers (F, K) of two ranges of particles together."""
        raise NotImplementedError

    def result(self, numbers: Array, times: Array) -> Any:
        """What `run.observables[name]` holds."""
        raise NotImplementedError

    def bins(self, frames: Array) -> tuple[Array, ...]:
        """What a pilot's frames (F, m, d) lay down for all particles."""
        raise NotImplementedError

    def note(self, result: Any) -> str | None:
        """What a reader of the result should be warned of."""
        return None
