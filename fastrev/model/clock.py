"""How time enters a network: as it is, or as polynomials of the noise level."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrev.model import portable
from fastrev.model.check import Array, InputError


@dataclass(frozen=True)
class Clock:
    """phi(t), the features of time: u itself, or Chebyshev polynomials T_1 .. T_E of it.

    kind      "t": u = t;  "log-snr": u = ln sqrt(v/a^2), of a Gaussian transition
    count     0: phi = (t), as it is; E: polynomials of u scaled to [-1, 1] from [low, high]
    """

    kind: str = "t"
    count: int = 0
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ("t", "log-snr"):
            raise InputError(f"Clock.kind must be 't' or 'log-snr', got {self.kind!r}")
        if self.kind == "log-snr" and self.count < 1:
            raise InputError(f"Clock.count must be 1 or more for 'log-snr', got {self.count!r}")
        if not self.low < self.high:
            raise InputError(f"Clock.low must be below high, got {self.low!r} and {self.high!r}")

    def _hand(self, forward: Any, times: Array) -> Array:
        """u at these times."""
        if self.kind == "t":
            return times
        scale, _, variance = forward.transition(times)
        return np.asarray(0.5 * portable.log(variance / scale**2))

    def outside(self, forward: Any, times: Array) -> NDArray[np.bool_]:
        """Where u is beyond low or high, and polynomials stay at what they are there."""
        if self.count == 0:
            return np.zeros(len(times), np.bool_)
        u = self._hand(forward, times)
        slack = 1e-6 * (self.high - self.low)
        return (u < self.low - slack) | (u > self.high + slack)

    def features(self, forward: Any, times: Array) -> Array:
        """phi at these times, (S, E)."""
        u = self._hand(forward, times)
        if self.count == 0:
            return np.asarray(u[:, None])
        u = np.clip((2.0 * u - self.low - self.high) / (self.high - self.low), -1.0, 1.0)
        columns = [np.ones_like(u), u]
        while len(columns) <= self.count:
            columns.append(2.0 * u * columns[-1] - columns[-2])
        return np.stack(columns[1 : self.count + 1], axis=1)
