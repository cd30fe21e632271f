"""A score on a regular grid of (x, t), interpolated inside the kernel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastrev.model import check
from fastrev.model.check import Array, InputError
from fastrev.model.kernel import Kernel

_LEAST = 1e-12
"""Of the largest density: below, a score is continued linearly and not read off the density."""


class _Axis(NamedTuple):
    """Params of one axis: its first point and 1/spacing."""

    low: float
    inverse: float


class _Axes(NamedTuple):
    """Params of two axes; ny is the second one's length."""

    low: float
    inverse: float
    low_y: float
    inverse_y: float
    ny: float


@dataclass(frozen=True, eq=False)
class GridScore:
    """s(x, t) from its values on a grid: linear in t, linear or cubic in x.

    times          (T,) increasing; a run must lie within, but a single one serves all times
    x              (X,) evenly spaced, at least 4
    values         (T, X), for one coordinate, or for each of several alike;
                   (T, X, Y, 2) for two coordinates, with y
    y              (Y,) evenly spaced, for two coordinates
    interpolation  "linear", or "cubic": cubic convolution, an error of third order
                   (Keys, IEEE Trans. ASSP 29 (1981) 1153)

    Beyond the grid the score goes on linearly, and a run counts the particles that were there.
    Raises InputError.
    """

    times: Any
    x: Any
    values: Any
    y: Any = None
    interpolation: str = "linear"

    def __post_init__(self) -> None:
        times = check.finite_array("GridScore.times", self.times, ndim=(1,))
        if np.any(np.diff(times) <= 0):
            raise InputError("GridScore.times must increase")
        object.__setattr__(self, "times", times)
        shape: tuple[int, ...] = (len(times), len(self._axis("x")))
        if self.y is not None:
            shape = (*shape, len(self._axis("y")), 2)
        values = check.finite_array("GridScore.values", self.values, ndim=(2, 4))
        if values.shape != shape:
            raise InputError(f"GridScore.values must have shape {shape}, got {values.shape}")
        object.__setattr__(self, "values", values)
        if self.interpolation not in ("linear", "cubic"):
            raise InputError(
                f"GridScore.interpolation must be 'linear' or 'cubic', got {self.interpolation!r}"
            )

    def __repr__(self) -> str:
        size = f"{len(self.x)}" if self.y is None else f"{len(self.x)} x {len(self.y)}"
        return (
            f"{type(self).__name__}({len(self.times)} times, {size} points, {self.interpolation})"
        )

    def _axis(self, name: str) -> Array:
        """A checked axis."""
        axis = check.even_axis(f"GridScore.{name}", getattr(self, name))
        object.__setattr__(self, name, axis)
        return axis

    @property
    def dim(self) -> int | None:
        """2 with y; None for one coordinate, or several alike."""
        return None if self.y is None else 2

    def as_kernel(self, dim: int) -> Kernel:
        """A tile kernel whose table at a time is interpolated beforehand."""
        from fastrev.kernels.scores import grid

        cubic = self.interpolation == "cubic"
        low, inverse = float(self.x[0]), (len(self.x) - 1) / float(self.x[-1] - self.x[0])
        if self.y is None:
            function: Any = grid.cubic_on_line if cubic else grid.linear_on_line
            params: Any = _Axis(low, inverse)
        else:
            function = grid.cubic_on_plane if cubic else grid.linear_on_plane
            low_y = float(self.y[0])
            inverse_y = (len(self.y) - 1) / float(self.y[-1] - self.y[0])
            params = _Axes(low, inverse, low_y, inverse_y, float(len(self.y) + 2))
        # in float64 the two sides of a time, their mean, and what the run's dtype takes
        per_step = 4 * 8 * int(np.prod([n + 2 for n in self.values.shape[1:3]]) * (self.dim or 1))
        return Kernel(function, params, self._tables, shape="tile", marks=True, per_step=per_step)

    def _tables(self, times: Array) -> Mapping[str, Array]:
        """The padded values at these times, flat, the coordinates one after the other."""
        first, last = float(self.times[0]), float(self.times[-1])
        slack = 1e-9 * max(1.0, abs(last))
        outside = (times < first - slack) | (times > last + slack)
        if outside.any() and len(self.times) > 1:
            raise InputError(
                f"GridScore covers t from {first:g} to {last:g}; the run asks for the score at "
                f"t = {float(times[np.argmax(outside)]):g}"
            )
        padded = _padded(self.values)
        if len(self.times) == 1:
            rows = np.repeat(padded, len(times), axis=0)
        else:
            k = np.clip(
                np.searchsorted(self.times, times, side="right") - 1, 0, len(self.times) - 2
            )
            share = np.clip((times - self.times[k]) / (self.times[k + 1] - self.times[k]), 0.0, 1.0)
            share = share.reshape(-1, *[1] * (padded.ndim - 1))
            rows = (1.0 - share) * padded[k] + share * padded[k + 1]
        if self.y is None:
            return {"row": rows}
        flat = rows.reshape(len(times), -1, 2)
        return {"row": flat[..., 0], "other": flat[..., 1]}

    @classmethod
    def from_density(
        cls, times: Any, x: Any, density: Any, y: Any = None, interpolation: str = "linear"
    ) -> "GridScore":
        """The score of densities on a grid, (T, X) or (T, X, Y): grad log p by central differences.

        Where p is less than 10^-12 of its largest value at that time the score is continued
        linearly.  Raises InputError.
        """
        density = check.finite_array("density", density, ndim=(2, 3))
        axes = [check.even_axis("x", x)]
        if y is not None:
            axes.append(check.even_axis("y", y))
        wanted = (np.size(times), *(len(axis) for axis in axes))
        if density.shape != wanted:
            raise InputError(f"density must have shape {wanted}, got {density.shape}")
        scores = [[] for _ in axes]  # type: list[list[Array]]
        for p in density:
            good = p > _LEAST * p.max()
            log_p = np.log(np.where(good, p, 1.0))
            for k, axis in enumerate(axes):
                scores[k].append(continued(_slope(log_p, good, axis, k), axis, k))
        values = np.array(scores[0]) if y is None else np.stack([np.array(s) for s in scores], -1)
        return cls(times, x, values, y, interpolation)


def _slope(log_p: Array, good: Array, axis: Array, k: int) -> Array:
    """d log p along axis k by central differences; NaN where p is not known on both sides."""
    h = axis[1] - axis[0]
    log_p, known = np.moveaxis(log_p, k, 0), np.moveaxis(good, k, 0).astype(bool)
    slope = np.full_like(log_p, np.nan)
    slope[1:-1] = (log_p[2:] - log_p[:-2]) / (2.0 * h)
    around = np.zeros_like(known)
    around[1:-1] = known[2:] & known[1:-1] & known[:-2]
    return np.moveaxis(np.where(around, slope, np.nan), 0, k)


def continued(score: Array, axis: Array, k: int) -> Array:
    """Values where a score is NaN: linearly on along axis k, never rising away from the middle."""
    lines = np.moveaxis(score, k, -1).copy()
    for line in lines.reshape(-1, len(axis)):
        known = np.flatnonzero(np.isfinite(line))
        if len(known) == 0:
            line[:] = 0.0
            continue
        inside = known[0] + np.arange(known[-1] - known[0] + 1)
        line[inside] = np.interp(axis[inside], axis[known], line[known])
        for end, step, side in ((known[0], 1, slice(0, known[0])),
                                (known[-1], -1, slice(known[-1] + 1, None))):  # fmt: skip
            other = end + step * min(5, len(inside) - 1)
            rise = (line[other] - line[end]) / (axis[other] - axis[end]) if other != end else 0.0
            line[side] = line[end] + min(rise, 0.0) * (axis[side] - axis[end])
    return np.moveaxis(lines, -1, k)


def _padded(values: Array) -> Array:
    """One more value beyond every end: 3 v_0 - 3 v_1 + v_2 (Keys)."""
    for axis in range(1, 2 if values.ndim == 2 else 3):
        v = np.moveaxis(values, axis, 0)
        v = np.concatenate([[3 * v[0] - 3 * v[1] + v[2]], v, [3 * v[-1] - 3 * v[-2] + v[-3]]])
        values = np.moveaxis(v, 0, axis)
    return values
