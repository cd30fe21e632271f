"""Walls: what becomes of a particle that leaves an interval, coordinate by coordinate."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastrev.model import check
from fastrev.model.check import Array, InputError


class Boundary:
    """What boundaries share: low and high, numbers or one for each coordinate."""

    kind: ClassVar[str]
    low: Any
    high: Any

    def _check(self, finite: bool) -> None:
        name = type(self).__name__
        for field in ("low", "high"):
            value = np.asarray(getattr(self, field))
            if value.dtype.kind not in "iuf" or value.ndim > 1 or np.isnan(value).any():
                raise InputError(
                    f"{name}.{field} must be a number, or one for each coordinate, "
                    f"got {getattr(self, field)!r}"
                )
            if finite:
                check.finite_array(f"{name}.{field}", value, ndim=(0, 1))
            number = float(value) if value.ndim == 0 else value.astype(np.float64)
            object.__setattr__(self, field, number)
        shapes = {np.shape(self.low), np.shape(self.high)} - {()}
        if len(shapes) > 1:
            raise InputError(f"{name}: low and high must have one length, got {sorted(shapes)}")
        if not np.all(np.asarray(self.low) < np.asarray(self.high)):
            raise InputError(f"{name}.low must be below high, got {self.low} and {self.high}")

    @property
    def dim(self) -> int | None:
        """Coordinates it asks for, None where it is the same for all."""
        return max(np.size(self.low), np.size(self.high)) if self._shaped else None

    @property
    def _shaped(self) -> bool:
        return np.ndim(self.low) + np.ndim(self.high) > 0

    def walls(self, dim: int) -> tuple[Array, Array]:
        """low and high, each (dim,)."""
        return tuple(np.broadcast_to(v, (dim,)).astype(np.float64) for v in (self.low, self.high))  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class Reflect(Boundary):
    """A step that ends beyond a wall is folded back at it.

    low, high  numbers, or one for each coordinate; -inf or inf for no wall

    Weak order 1 (Bossy, Gobet, Talay, J. Appl. Probab. 41 (2004) 877).  A step much longer
    than the interval ends at a wall.  Raises InputError.
    """

    low: Any = -np.inf
    high: Any = np.inf

    kind: ClassVar[str] = "reflect"

    def __post_init__(self) -> None:
        self._check(finite=False)


@dataclass(frozen=True, eq=False)
class Periodic(Boundary):
    """x is taken modulo high - low, into [low, high).

    low, high  numbers, or one for each coordinate

    Raises InputError.
    """

    low: Any
    high: Any

    kind: ClassVar[str] = "periodic"

    def __post_init__(self) -> None:
        self._check(finite=True)


@dataclass(frozen=True, eq=False)
class Absorb(Boundary):
    """A particle stops where it first leaves; `run.first_passage` says when.

    low, high  numbers, or one for each coordinate; -inf or inf for no wall
    bridge     also find passages within a step, by the law of a Brownian bridge between its
               ends: exact for one wall and constant coefficients, else an error of order h;
               False: only where a step ends beyond a wall, an error of order sqrt(h)

    Other coordinates stop on the straight line between the step's ends.  A particle that
    begins outside is absorbed at once.  Raises InputError.
    """

    low: Any = -np.inf
    high: Any = np.inf
    bridge: bool = True

    kind: ClassVar[str] = "absorb"

    def __post_init__(self) -> None:
        self._check(finite=False)
        if not isinstance(self.bridge, bool):
            raise InputError(f"Absorb.bridge must be True or False, got {self.bridge!r}")


BOUNDARIES: dict[str, Any] = {c.__name__: c for c in (Reflect, Periodic, Absorb)}
