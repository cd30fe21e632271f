"""How time enters a network: as it is, or as polynomials of the noise level."""

from dataclasses import dataclass
from typing import Any

import numpy as np

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

    def features(self, forward: Any, times: Array) -> Array:
        """phi at these times, (S, E)."""
        u = times
        if self.kind == "log-snr":
            scale, _, variance = forward.transition(times)
            u = 0.5 * portable.log(variance / scale**2)
        if self.count == 0:
            return np.asarray(u[:, None])
        u = np.clip((2.0 * u - self.low - self.high) / (self.high - self.low), -1.0, 1.0)
        columns = [np.ones_like(u), u]
        while len(columns) <= self.count:
            columns.append(2.0 * u * columns[-1] - columns[-2])
        return np.stack(columns[1 : self.count + 1], axis=1)
