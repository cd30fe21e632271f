"""A score on a grid from the snapshots of a run, forward or reverse."""

import tomllib
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastrev.engine.objects import build_object
from fastrev.engine.run import Run, open_run
from fastrev.model import check, grid
from fastrev.model.boundary import BOUNDARIES
from fastrev.model.check import Array, InputError

_FEWEST = 10.0
"""Particles that a bandwidth's width must hold for the density there to be trusted."""


_FEW = 4
"""Frames with which a score is mostly interpolated."""


class GridScore(grid.GridScore):
    """s(x, t) on a grid; see `model/grid.py`.  `from_run` makes one from a run."""

    @classmethod
    def from_run(
        cls,
        run: Run | str | Path,
        bandwidth: Any = None,
        points: int | None = None,
        interpolation: str = "linear",
    ) -> "GridScore":
        """The score of kernel density estimates of a run's frames, in 1-D or 2-D.

        run        a run or its file; frames of one point alone are left out
        bandwidth  standard deviation of the Gaussian kernel, in units of x; None takes
                   Silverman's, 0.9 min(std, IQR/1.34) N^(-1/5) in 1-D and N^(-1/6) in 2-D, at
                   each time and coordinate (Density Estimation, 1986, eq. 3.31), and warns
                   where it hides what half of it would show
        points     of the grid along each axis; 801 in 1-D, 129 in 2-D, where a run holds a
                   table of 2 points^2 numbers for each of its steps

        The score is that of p_t smoothed by the kernel: variances grow by bandwidth^2.  Where
        fewer than ten particles lie within a bandwidth it goes on linearly.  Between frames it is
        linear in time: keep some forty.  At walls the estimate goes on as the law itself would:
        mirrored where they reflect, with the other sign where they absorb, repeated where they are
        periodic (Silverman, section 2.10); of a run that absorbs it is the law of those that are
        left.  Raises InputError.
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
        walls = _walls_of(run)
        frames = [(run.times[f], _present(run, f, walls)) for f in order]
        if not all(np.isfinite(x).all() for _, x in frames):
            raise InputError("from_run needs frames in which every particle is finite")
        wide = [(t, x) for t, x in frames if len(x) > 1 and np.all(np.ptp(x, axis=0) > 0.0)]
        if not wide:
            raise InputError("from_run needs a frame in which particles differ")
        if len(wide) < _FEW:
            warnings.warn(
                f"from_run: {len(wide)} frames in which particles differ, between which the score "
                "is taken as linear in time; keep more of them, as by frames=41",
                RuntimeWarning,
                stacklevel=2,
            )
        columns = [[x[:, j] for _, x in wide] for j in range(run.dim)]
        axes = [_axis(columns[j], points, walls[j]) for j in range(run.dim)]
        if bandwidth is not None and any(bandwidth[0] < 0.5 * (a[1] - a[0]) for a in axes):
            warnings.warn(
                f"from_run: bandwidth {bandwidth[0]:g} is less than half of what lies between the "
                "grid's points, which is taken instead; ask for more points",
                RuntimeWarning,
                stacklevel=2,
            )
        widths = [_widths(x, bandwidth) for _, x in wide]
        hidden = []
        if bandwidth is None:
            hidden = [t for (t, x), w in zip(wide, widths, strict=True) if _hides(x, axes, w)]
        if hidden:
            warnings.warn(
                f"from_run: Silverman's bandwidth is too wide for {len(hidden)} of {len(wide)} "
                f"frames, from t = {min(hidden):g} to {max(hidden):g}: half of it shows another "
                "density, as where modes lie far apart; give a bandwidth",
                RuntimeWarning,
                stacklevel=2,
            )
        values = [_score(x, axes, w, walls) for (_, x), w in zip(wide, widths, strict=True)]
        times, stacked = np.array([t for t, _ in wide]), np.array(values)
        if run.dim == 1:
            return cls(times, axes[0], stacked[..., 0], None, interpolation)
        return cls(times, axes[0], stacked, axes[1], interpolation)


_ENOUGH = 100_000
"""Particles that tell a quartile."""


class _Walls(NamedTuple):
    """Those of one coordinate; kind "" where there are none."""

    kind: str
    low: float
    high: float


def _walls_of(run: Run) -> list[_Walls]:
    """The walls of a run's coordinates."""
    table = tomllib.loads(run.toml).get("boundary")
    if table is None:
        return [_Walls("", -np.inf, np.inf)] * run.dim
    boundary = build_object(table, "boundary", BOUNDARIES, {})
    return [_Walls(boundary.kind, *ends) for ends in zip(*boundary.walls(run.dim), strict=True)]


def _present(run: Run, frame: int, walls: list[_Walls]) -> Array:
    """The particles of a frame that no wall has absorbed."""
    x = np.asarray(run.frames[frame], np.float64)
    if walls[0].kind != "absorb":
        return x
    passed, steps = np.asarray(run.first_passage), run.specification.grid.times
    left = passed < run.times[frame] if steps[-1] < steps[0] else passed > run.times[frame]
    return np.asarray(x[left | np.isinf(passed)])


def _axis(columns: list[Array], points: int, walls: _Walls) -> Array:
    """Even points over all that was seen, and a tenth more, but not beyond walls."""
    low, high = min(c.min() for c in columns), max(c.max() for c in columns)
    margin = 0.05 * (high - low)
    if walls.kind == "periodic":
        return np.linspace(walls.low, walls.high, points)
    return np.linspace(max(low - margin, walls.low), min(high + margin, walls.high), points)


def _widths(x: Array, bandwidth: Array | None) -> Array:
    """The kernel's standard deviation along each coordinate."""
    if bandwidth is not None:
        return bandwidth
    quartiles = np.subtract(*np.quantile(x[:_ENOUGH], [0.75, 0.25], axis=0))
    spread = np.minimum(x.std(axis=0), np.where(quartiles > 0, quartiles / 1.34, np.inf))
    return np.asarray(0.9 * spread * len(x) ** (-1.0 / (4 + x.shape[1])))


def _hides(x: Array, axes: list[Array], widths: Array) -> bool:
    """Whether kernels half as wide move a tenth of the particles, and more than chance would."""
    from scipy import ndimage

    for column, axis, width in zip(x.T, axes, widths, strict=True):
        cells = np.rint((column - axis[0]) / (axis[1] - axis[0])).astype(np.int64)
        shares = np.bincount(cells, minlength=len(axis)) / len(x)
        sigma = width / (axis[1] - axis[0])
        wide, narrow = (ndimage.gaussian_filter1d(shares, s) for s in (sigma, 0.5 * sigma))
        if 0.5 * np.abs(wide - narrow).sum() > 0.1 + 1.5 / np.sqrt(len(x)):
            return True
    return False


def _score(x: Array, axes: list[Array], widths: Array, walls: list[_Walls]) -> Array:
    """grad log of the kernel density estimate at the axes' points, (X, 1) or (X, Y, 2)."""
    from scipy import ndimage

    steps = np.array([axis[1] - axis[0] for axis in axes])
    cells = [np.rint((c - axis[0]) / h) for c, axis, h in zip(x.T, axes, steps, strict=True)]
    sizes = [len(axis) for axis in axes]
    flat = np.ravel_multi_index([c.astype(np.int64) for c in cells], sizes)
    counts = np.bincount(flat, minlength=int(np.prod(sizes))).reshape(sizes).astype(np.float64)
    sigma = np.maximum(widths / steps, 0.5)  # narrower than half a cell the grid cannot show
    beyond = np.ceil(_TRUNCATE * sigma).astype(np.int64) + 1
    for k, axis in enumerate(axes):
        counts = _continued_at_walls(counts, k, axis, walls[k], beyond[k])
    inside = tuple(slice(b, b + size) for b, size in zip(beyond, sizes, strict=True))

    def smoothed(orders: Any) -> Array:
        options: Any = {"mode": "constant", "truncate": _TRUNCATE}
        return np.asarray(ndimage.gaussian_filter(counts, sigma, orders, **options)[inside])

    density = smoothed(0)
    good = density * np.prod(2.0 * sigma) > _FEWEST
    parts = []
    for k, axis in enumerate(axes):
        orders = [int(j == k) for j in range(len(axes))]
        slope = smoothed(orders) / (steps[k] * _slope_of_a_ramp(float(sigma[k])))
        score = np.where(good, slope / np.where(good, density, 1.0), np.nan)
        parts.append(grid.continued(score, axis, k))
    return np.stack(parts, axis=-1)


_TRUNCATE = 6.0
"""Standard deviations that a kernel reaches."""


def _slope_of_a_ramp(sigma: float) -> float:
    """What the kernel's derivative, known at whole cells alone, finds where it is 1."""
    from scipy import ndimage

    ramp = np.arange(-50.0 - 8.0 * sigma, 51.0 + 8.0 * sigma)
    slopes = ndimage.gaussian_filter1d(ramp, sigma, order=1, truncate=_TRUNCATE)
    return float(slopes[len(slopes) // 2])


def _continued_at_walls(counts: Array, k: int, axis: Array, walls: _Walls, beyond: int) -> Array:
    """Counts with so many more cells at both ends of axis k: images at walls, else nothing.

    A cell at a wall is cut in half by it: of images it has the other half.
    """
    sides = [(beyond, 0), (0, beyond)]
    ends = [(0, axis[0] <= walls.low), (-1, axis[-1] >= walls.high)]
    counts = np.moveaxis(counts, k, 0).copy()
    if walls.kind == "periodic":
        counts[0] += counts[-1]
        counts = np.pad(counts[:-1], _along(counts, (beyond, beyond + 1)), mode="wrap")
        return np.moveaxis(counts, 0, k)
    for end, at_wall in ends:
        if at_wall:
            counts[end] *= 2.0 if walls.kind == "reflect" else 0.0
    for side, (_, at_wall) in zip(sides, ends, strict=True):
        if not at_wall:
            counts = np.pad(counts, _along(counts, side))
        elif walls.kind == "reflect":
            counts = np.pad(counts, _along(counts, side), mode="reflect")
        else:
            counts = np.pad(counts, _along(counts, side), mode="reflect", reflect_type="odd")
    return np.moveaxis(counts, 0, k)


def _along(counts: Array, side: tuple[int, int]) -> list[tuple[int, int]]:
    """Of np.pad: along the first axis alone."""
    return [side] + [(0, 0)] * (counts.ndim - 1)
