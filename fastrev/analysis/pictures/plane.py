"""Two coordinates at once: the image of a frame, and the exact law's regions on it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrev.analysis.pictures import binning, overlay, style
from fastrev.engine.run import Run
from fastrev.model.check import Array, InputError

_BINS = 96
_LONGER = 5.0
"""Axes that differ by more than this in length are not drawn to one scale."""


def check_plane(run: Run, pair: Sequence[int], kind: str) -> None:
    """Refuse a plane of one coordinate.  Raises InputError."""
    if run.dim < 2:
        raise InputError(f"{kind} needs two coordinates, and this run has dim = 1")
    if pair[0] == pair[1]:
        raise InputError(f"{kind} needs two different coordinates, got {pair[0]} twice")


def plane_edges(run: Run, chosen: Sequence[int], pair: Sequence[int]) -> list[Array]:
    """Edges (B + 1,) of both axes that hold all chosen frames."""
    frames = [binning.points(run.frames, f) for f in chosen]
    spans = [binning.joined(binning.limits(x, j) for x in frames) for j in pair]
    return [binning.cells(span, binning.fitting(run.n, _BINS, axes=2)) for span in spans]


def draw_image(panel: Any, values: Array, edges: Sequence[Array], top: float) -> Any:
    """Densities (B, B) by first and second coordinate as an image; returns it."""
    image = panel.pcolormesh(*edges, values.T, cmap=style.MAP, vmin=0.0, vmax=top, rasterized=True)
    lengths = [e[-1] - e[0] for e in edges]
    if max(lengths) <= _LONGER * min(lengths):
        panel.set_aspect("equal")
    panel.set_xlim(edges[0][0], edges[0][-1])
    panel.set_ylim(edges[1][0], edges[1][-1])
    return image


def draw_regions(
    panel: Any, run: Run, f: int, pair: Sequence[int], edges: Sequence[Array]
) -> Any | None:
    """Lines around the smallest regions with 50 % and 95 % of the exact law; None if not known."""
    exact = overlay.exact_law(run, float(run.times[f]))
    axes = [np.linspace(e[0], e[-1], 100) for e in edges]
    values = None if exact is None else overlay.plane_density(exact, axes, pair)
    if values is None or not values.sum() > 0.0:
        return None
    levels = np.unique(overlay.regions(values))
    return panel.contour(*axes, values, levels, colors="white", linewidths=0.8)
