"""The times at which a run steps."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from fastrev.model import check, portable
from fastrev.model.check import Array, InputError


@dataclass(frozen=True, eq=False)
class TimeGrid:
    """Forward times t_0, t_1, ..., t_S, increasing or decreasing.

    A reverse run has a decreasing grid.  Step i goes from t_i to t_{i+1} and
    evaluates everything at t_i, so the last time is never evaluated.

    Parameters: `times`, S+1 finite numbers (float64), strictly monotone, S >= 1.
    Raises InputError.
    """

    times: Array
    rule: str = field(default="array", init=False)
    rho: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        times = check.finite_array("time", self.times, ndim=(1,))
        if len(times) < 2:
            raise InputError(f"time: a grid needs at least two times, got {len(times)}")
        steps = np.diff(times)
        if not (np.all(steps > 0) or np.all(steps < 0)):
            turn = int(np.argmax(np.sign(steps) != np.sign(steps[0])))
            raise InputError(
                "time must be strictly increasing or strictly decreasing; "
                f"it turns or stands still at index {turn}: {times[turn]!r} -> {times[turn + 1]!r}"
            )
        object.__setattr__(self, "times", times)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TimeGrid) and np.array_equal(self.times, other.times)

    def __hash__(self) -> int:
        return hash(self.times.tobytes())

    def __repr__(self) -> str:
        return f"TimeGrid({self.start:g} -> {self.end:g}, {self.steps} steps)"

    @property
    def steps(self) -> int:
        """Number of steps S."""
        return len(self.times) - 1

    @property
    def start(self) -> float:
        """t_0."""
        return float(self.times[0])

    @property
    def end(self) -> float:
        """t_S."""
        return float(self.times[-1])

    @property
    def decreasing(self) -> bool:
        """True where time runs from T towards 0."""
        return self.end < self.start

    @cached_property
    def h(self) -> Array:
        """Signed step sizes h_i = t_{i+1} - t_i, shape (S,), read-only."""
        h = np.diff(self.times)
        h.setflags(write=False)
        return h

    @classmethod
    def uniform(cls, t0: float, t1: float, steps: int) -> "TimeGrid":
        """Equal steps: t_i = t0 + (t1 - t0) i / S."""
        t0, t1, fraction = _span(t0, t1, steps)
        return cls(_pin(t0 + (t1 - t0) * fraction, t0, t1))._made_by("uniform")

    @classmethod
    def power(cls, t0: float, t1: float, steps: int, rho: float = 7.0) -> "TimeGrid":
        """t_i = (t0^(1/rho) + (t1^(1/rho) - t0^(1/rho)) i / S)^rho, both times >= 0.

        Steps shrink towards t = 0.  Karras et al. 2022 (arXiv:2206.00364), eq. 5.
        """
        t0, t1, fraction = _span(t0, t1, steps)
        check.non_negative("time[0]", t0)
        check.non_negative("time[1]", t1)
        rho = check.positive("rho", rho)
        ends = [_power(t, 1.0 / rho) for t in (t0, t1)]
        times = _power(ends[0] + (ends[1] - ends[0]) * fraction, rho)
        return cls(_pin(times, t0, t1))._made_by("power", rho)

    @classmethod
    def log(cls, t0: float, t1: float, steps: int) -> "TimeGrid":
        """Equal ratios: t_i = t0 (t1/t0)^(i/S), both times > 0."""
        t0, t1, fraction = _span(t0, t1, steps)
        check.positive("time[0]", t0)
        check.positive("time[1]", t1)
        times = t0 * portable.exp(portable.log(t1 / t0) * fraction)
        return cls(_pin(times, t0, t1))._made_by("log")

    def _made_by(self, rule: str, rho: float = 0.0) -> "TimeGrid":
        """Remember the rule, which describes the grid more shortly than its times."""
        object.__setattr__(self, "rule", rule)
        object.__setattr__(self, "rho", rho)
        return self


def _span(t0: Any, t1: Any, steps: Any) -> tuple[float, float, Array]:
    """Checked ends and the fractions i/S."""
    t0, t1 = check.number("time[0]", t0), check.number("time[1]", t1)
    if t0 == t1:
        raise InputError(f"time must span an interval, got ({t0!r}, {t1!r})")
    count = check.positive("steps", steps)
    if count != int(count):
        raise InputError(f"steps must be a positive whole number, got {steps!r}")
    return t0, t1, np.arange(int(count) + 1) / int(count)


def _pin(times: Array, t0: float, t1: float) -> Array:
    """The same times with ends free of rounding."""
    times[0], times[-1] = t0, t1
    return times


def _power(base: Any, exponent: float) -> Array:
    base = np.asarray(base, dtype=np.float64)
    safe = np.where(base > 0.0, base, 1.0)
    return np.where(base > 0.0, portable.exp(exponent * portable.log(safe)), 0.0)
