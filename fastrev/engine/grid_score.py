"""A score on a grid from the snapshots of a forward run."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fastrev.engine.run import Run, open_run
from fastrev.model import check, grid
from fastrev.model.check import Array, InputError

_FEWEST = 10.0
"""Particles that a bandwidth's width must hold for the density there to be trusted."""


_FEW = 4
"""Frames with which a score is mostly interpolated."""


class GridScore(grid.GridScore):
    """s(x, t) on a grid; see `model/grid.py`.  `from_run` makes one from a forward run."""

    @classmethod
    def from_run(
        cls,
        run: Run | str | Path,
        bandwidth: Any = None,
        points: int | None = None,
        interpolation: str = "linear",
    ) -> "GridScore":
        """The score of kernel density estimates of a forward run's frames, in 1-D or 2-D.

        run        a run or its file; frames of one point alone are left out
        bandwidth  standard deviation of the Gaussian kernel, in units of x; None takes
                   Silverman's, 0.9 min(std, IQR/1.34) N^(-1/5) in 1-D and N^(-1/6) in 2-D, at
                   each time and coordinate (Density Estimation, 1986, eq. 3.31)
        points     of the grid along each axis; 801 in 1-D, 129 in 2-D, where a run holds a
                   table of 2 points^2 numbers for each of its steps

        The score is that of p_t smoothed by the kernel: variances grow by bandwidth^2.  Where
        fewer than ten particles lie within a bandwidth it goes on linearly.  Between frames it is
        linear in time: keep some forty.  Raises InputError.
        """
        run = run if isinstance(run, Run) else open_run(run)
        if run.dim > 2 or len(run.times) == 0 or run.n < 2:
            raise InputError(
                "from_run needs frames of two particles or more in 1-D or 2-D, got "
                f"{len(run.times)} frames of {run.n:,} particles in {run.dim}-D"
            )
        if points is None:
            points = 801 if run.dim == 1 else 129
        if not isinstance(points, int | np.integer) or points < 16:
            raise InputError(f"points must be a whole number of at least 16, got {points!r}")
        if bandwidth is not None:
            bandwidth = np.full(run.dim, check.positive("bandwidth", bandwidth))
        order = np.argsort(run.times)
        frames = [(run.times[f], np.asarray(run.frames[f], np.float64)) for f in order]
        if not all(np.isfinite(x).all() for _, x in frames):
            raise InputError("from_run needs frames in which every particle is finite")
        wide = [(t, x) for t, x in frames if np.all(np.ptp(x, axis=0) > 0.0)]
        if not wide:
            raise InputError("from_run needs a frame in which particles differ")
        if len(wide) < _FEW:
            warnings.warn(
                f"from_run: {len(wide)} frames in which particles differ, between which the score "
                "is taken as linear in time; keep more of them, as by frames=41",
                RuntimeWarning,
                stacklevel=2,
            )
        axes = [_axis([x[:, j] for _, x in wide], points) for j in range(run.dim)]
        values = [_score(x, axes, _widths(x, bandwidth)) for _, x in wide]
        times, stacked = np.array([t for t, _ in wide]), np.array(values)
        if run.dim == 1:
            return cls(times, axes[0], stacked[..., 0], None, interpolation)
        return cls(times, axes[0], stacked, axes[1], interpolation)


_ENOUGH = 100_000
"""Particles that tell a quartile."""


def _axis(columns: list[Array], points: int) -> Array:
    """Even points over all that was seen, and a tenth more."""
    low, high = min(c.min() for c in columns), max(c.max() for c in columns)
    margin = 0.05 * (high - low)
    return np.linspace(low - margin, high + margin, points)


def _widths(x: Array, bandwidth: Array | None) -> Array:
    """The kernel's standard deviation along each coordinate."""
    if bandwidth is not None:
        return bandwidth
    quartiles = np.subtract(*np.quantile(x[:_ENOUGH], [0.75, 0.25], axis=0))
    spread = np.minimum(x.std(axis=0), np.where(quartiles > 0, quartiles / 1.34, np.inf))
    return np.asarray(0.9 * spread * len(x) ** (-1.0 / (4 + x.shape[1])))


def _score(x: Array, axes: list[Array], widths: Array) -> Array:
    """grad log of the kernel density estimate at the axes' points, (X, 1) or (X, Y, 2)."""
    from scipy import ndimage

    steps = np.array([axis[1] - axis[0] for axis in axes])
    cells = [np.rint((c - axis[0]) / h) for c, axis, h in zip(x.T, axes, steps, strict=True)]
    sizes = [len(axis) for axis in axes]
    flat = np.ravel_multi_index([c.astype(np.int64) for c in cells], sizes)
    counts = np.bincount(flat, minlength=int(np.prod(sizes))).reshape(sizes).astype(np.float64)
    sigma = np.maximum(widths / steps, 0.5)  # narrower than half a cell the grid cannot show

    def smoothed(orders: Any) -> Array:
        return np.asarray(
            ndimage.gaussian_filter(counts, sigma, orders, mode="constant", truncate=6.0)
        )

    density = smoothed(0)
    good = density * np.prod(2.0 * sigma) > _FEWEST
    parts = []
    for k, axis in enumerate(axes):
        orders = [int(j == k) for j in range(len(axes))]
        slope = smoothed(orders) / steps[k]
        score = np.where(good, slope / np.where(good, density, 1.0), np.nan)
        parts.append(grid.continued(score, axis, k))
    return np.stack(parts, axis=-1)
