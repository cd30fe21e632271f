"""A sheet of samples as small pictures, beside real ones: for data that are images."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrev.analysis.pictures import style
from fastrev.analysis.pictures.request import check_figure
from fastrev.engine.run import Run
from fastrev.model.check import Array, InputError
from fastrev.model.distributions import Empirical

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ACROSS = 8
"""Pictures along each side of a sheet."""


def save_sheet(
    run: Run, path: str | Path, data: str | Path | None = None, shape: str | None = None
) -> Path:
    """Write what `draw_sheet` draws.  Raises InputError."""
    check_figure(path)
    draw_sheet(run, data, shape).savefig(path, dpi=style.DPI)
    return Path(path)


def draw_sheet(run: Run, data: str | Path | None = None, shape: str | None = None) -> "Figure":
    """The last frame's first particles as pictures, and beside them real ones.

    data   a file of real points; None takes those of an exact score of data points, if any
    shape  "rows x columns" of a picture, such as "28x28"; None where dim is a square

    Grey runs from the least of the real values, white, to the largest, black.
    Raises InputError.
    """
    if run.n == 0 or len(run.times) == 0:
        raise InputError("there is nothing to plot: the run has no frame, or no shard of it yet")
    size = _size(run.dim, shape)
    real = _real(run, data)
    samples = np.asarray(run.frames[-1, : _ACROSS**2], np.float64)
    ends = real if real is not None else samples
    limits = float(ends.min()), float(ends.max())
    some = f", the first {len(samples)}" if run.n > len(samples) else ""
    sheets = {f"{run.n:,} samples{some}": samples}
    if real is not None:
        chosen = np.random.default_rng(0).permutation(len(real))[: _ACROSS**2]
        sheets[f"{len(real):,} real, {len(chosen)} of them"] = real[chosen]
    figure = style.canvas(4.2 * len(sheets), 4.5)
    panels: Any = figure.subplots(1, len(sheets), squeeze=False)[0]
    for panel, (title, points) in zip(panels, sheets.items(), strict=True):
        panel.imshow(
            _tiled(points, size, limits[0]), cmap="gray_r", vmin=limits[0], vmax=limits[1],
            interpolation="nearest",
        )  # fmt: skip
        panel.set_title(title, fontsize=10)
        panel.set_axis_off()
    return figure


def _size(dim: int, shape: str | None) -> tuple[int, int]:
    """Rows and columns of a picture.  Raises InputError."""
    side = round(dim**0.5)
    if shape is None and side * side == dim:
        return side, side
    try:
        rows, columns = (int(part) for part in str(shape).lower().split("x"))
    except ValueError:
        rows = columns = 0
    if rows < 1 or columns < 1 or rows * columns != dim:
        raise InputError(
            f"shape must be rows x columns with a product of dim = {dim}, such as 8x8, got {shape}"
        )
    return rows, columns


def _real(run: Run, data: str | Path | None) -> Array | None:
    """Real points (M, d), if there are any to be had.  Raises InputError."""
    if data is not None:
        points: Array = Empirical(data).points
    else:
        process: Any = getattr(run.known_specification, "process", None)
        p0 = getattr(getattr(process, "score", None), "p0", None)
        if not isinstance(p0, Empirical):
            return None
        points = p0.points
    if points.shape[1] != run.dim:
        raise InputError(f"data must have {run.dim} columns, as the run has, got {points.shape[1]}")
    return points


def _tiled(points: Array, size: tuple[int, int], paper: float) -> Array:
    """One picture of all of them, side by side, a pixel apart."""
    rows, columns = size
    sheet = np.full((_ACROSS * (rows + 1) + 1, _ACROSS * (columns + 1) + 1), paper)
    for k, point in enumerate(points):
        a, b = 1 + k // _ACROSS * (rows + 1), 1 + k % _ACROSS * (columns + 1)
        sheet[a : a + rows, b : b + columns] = point.reshape(size)
    return sheet
