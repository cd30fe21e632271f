"""What one compiled kernel is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastrev.kernels.fingerprint import OpaqueError, fingerprint


@dataclass(frozen=True)
class Part:
    """A function (x, t, p) with the names of p's fields; `scheduled` ones vary by step."""

    function: Callable[..., Any]
    names: tuple[str, ...] = ()
    scheduled: tuple[bool, ...] = ()
    tiled: bool = False


@dataclass(frozen=True)
class Observer:
    """A reduction over a tile: `add(numbers (K,), x (w, B), table, k, work)` for its time k."""

    add: Callable[..., None]


@dataclass(frozen=True)
class Recipe:
    """What one compiled kernel does; values of parameters are not part of it.

    combine is f, a, s, c -> the drift of the step (a = g^2); None runs forward.
    draw is None where the initial state is given as an array.
    """

    dtype: str
    drift: Part
    diffusion: Part
    score: Part | None = None
    combine: Callable[..., Any] | None = None
    noisy: bool = True
    draw: Callable[..., Any] | None = None
    draw_names: tuple[str, ...] = ()
    draw_uses: tuple[bool, bool, bool] = (False, False, False)
    storage: str = "float32"
    observers: tuple[Observer, ...] = ()

    @property
    def coupled(self) -> bool:
        """Whether all coordinates of a particle are needed at once."""
        return bool(self.observers) or (self.score is not None and self.score.tiled)

    def fingerprint(self) -> str | None:
        """A content hash of everything that is compiled in, None where part of it is opaque."""
        parts = [self.dtype, self.storage, self.noisy, self.combine]
        parts += [self.draw, self.draw_names, self.draw_uses]
        for part in (self.drift, self.diffusion, self.score):
            if part is not None:
                parts += [part.function, part.names, part.scheduled, part.tiled]
        parts += [observer.add for observer in self.observers]
        try:
            return fingerprint(*parts)
        except OpaqueError:
            return None
