"""What a run may measure while it goes: reductions over particles that need no stored frame.

A kernel adds the particles of a range to an array of numbers, (F, K), one row per
time; ranges are joined in the order of their ids, so a result does not depend on
the number of threads.  An observable says how many numbers it takes, how two
ranges are joined, and what a reader gets in the end.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrev.model.check import Array


class Observable:
    """A reduction over the ensemble at some times.

    times      when: a count, times, {"every": k}, or None for the times of the frames
    name       its key in `run.observables`, where it is given no other
    dtype      of the numbers
    absorbing  whether it needs walls that absorb
    pilot      particles that are run beforehand, for `bins`; 0 for none
    layout     what its numbers at one time are, for those who read a file without this package
    """

    times: Any
    name = ""
    dtype = "float64"
    absorbing = False
    pilot = 0
    layout = ""

    def check(self, dim: int) -> None:
        """Refuse what particles of so many coordinates do not have.  Raises InputError."""

    def width(self, dim: int) -> int:
        """K: how many numbers per time."""
        raise NotImplementedError

    def joined(self, a: Array, b: Array) -> Array:
        """The numbers (F, K) of two ranges of particles together."""
        raise NotImplementedError

    def total(self, parts: Sequence[Array]) -> Array:
        """The numbers of many ranges together: two and two, as a tree.

        Their rows are alike, so those of many pairs are joined at once.
        """
        stack = np.stack(parts)
        while len(stack) > 1:
            half, rows = len(stack) // 2, stack.shape[1:]
            pairs = stack[: 2 * half].reshape(half, 2, *rows)
            flat = (half * rows[0], rows[1])
            one = self.joined(pairs[:, 0].reshape(flat), pairs[:, 1].reshape(flat))
            stack = np.concatenate([one.reshape(half, *rows), stack[2 * half :]])
        return np.asarray(stack[0])

    def result(self, numbers: Array, times: Array) -> Any:
        """What `run.observables[name]` holds."""
        raise NotImplementedError

    def bins(self, frames: Array) -> tuple[Array, ...]:
        """What a pilot's frames (F, m, d) lay down for all particles."""
        raise NotImplementedError

    def note(self, result: Any) -> str | None:
        """What a reader of the result should be warned of."""
        return None


class Additive(Observable):
    """One whose numbers of two ranges are added, but for those that a pilot has laid."""

    def laid(self, numbers: Array) -> Array:
        """A view of the numbers that are the same in every range that has particles."""
        return numbers[:, :0]

    def joined(self, a: Array, b: Array) -> Array:
        """The numbers (F, K) of two ranges together."""
        return self.total([a, b])

    def total(self, parts: Sequence[Array]) -> Array:
        """The numbers of many ranges together, added in their order."""
        total = parts[0].copy()
        for part in parts[1:]:
            total += part
        filled = next((part for part in parts if part.any()), total)
        self.laid(total)[...] = self.laid(filled)
        return total
