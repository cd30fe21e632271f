"""Figures: snapshot histograms under the exact density, and variance against time.

Colours are Okabe and Ito's, told apart by colour-blind readers.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastrev.analysis.compare import Row, variance_table
from fastrev.analysis.exact import law
from fastrev.engine.run import Run
from fastrev.model.check import Array, InputError

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_DASHES = ("-", (0, (4, 4)), ":", "-.")
_BLOCK = 1 << 20
_PANELS = 6
_BINS = 100


def save_overview(runs: Mapping[str, Run], path: str | Path, coordinate: int = 0) -> Path:
    """A row of snapshots per run, and below them variance against time for all of them.

    Exact densities and variances are drawn where they are known.  The ending of
    `path` chooses the format (png, svg, pdf).  Raises InputError.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check_figure(path)
    for label, run in runs.items():
        if run.n == 0:
            raise InputError(f"there is nothing to plot in {label}: no shard is committed yet")
        if not 0 <= coordinate < run.dim:
            raise InputError(f"coordinate must be below {run.dim}, got {coordinate}")
    framed = [label for label, run in runs.items() if len(run.times)]
    figure = Figure(figsize=(11, 2.3 * len(framed) + 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(framed) + 1, 1, height_ratios=[1.0] * len(framed) + [1.35])
    below = figure.add_subplot(grid[-1])
    for number, (label, run) in enumerate(runs.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        rows = variance_table(run, coordinate)
        if label in framed:
            chosen = _spread(len(run.times), _PANELS)
            row: Any = grid[framed.index(label)].subgridspec(1, len(chosen))
            panels = row.subplots(sharex=True, squeeze=False)[0]
            _snapshots(panels, run, rows, chosen, coordinate, label, colour)
        _variance(below, rows, label, colour, _DASHES[number % len(_DASHES)])
    below.set_xlabel("forward time t")
    below.set_ylabel(_ylabel("variance", coordinate, runs))
    below.set_ylim(bottom=0, top=below.get_ylim()[1] * 1.05)
    below.legend(frameon=False, ncols=2)
    figure.savefig(path, dpi=150)
    return Path(path)


def check_figure(path: str | Path) -> None:
    """Refuse a figure that could not be written, before the work.  Raises InputError."""
    path = Path(path)
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"the figure must end in .png, .svg or .pdf, got {str(path)!r}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"the figure's directory {path.parent} is not there or cannot be written")


def _ylabel(text: str, coordinate: int, runs: Mapping[str, Run]) -> str:
    several = any(run.dim > 1 for run in runs.values())
    return f"{text} of x[{coordinate}]" if several else text


def _spread(count: int, most: int) -> list[int]:
    """At most `most` of `count` indices, evenly, first and last included."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def _snapshots(
    panels: Any,
    run: Run,
    rows: list[Row],
    chosen: list[int],
    coordinate: int,
    label: str,
    colour: str,
) -> None:
    """Histograms of some frames, on one common x axis, with the exact density over each."""
    spec = run.known_specification
    low, high = _limits(run, chosen, coordinate)
    for panel, f in zip(panels, chosen, strict=True):
        row = rows[f]
        exact = law(spec, row.t) if spec is not None else None
        if row.measured > 0.0:
            counts, edges = histogram(run.frames, f, coordinate)
            panel.stairs(counts, edges, fill=True, color=colour, alpha=0.45)
        if row.measured == 0.0 or row.exact == 0.0:
            centre = float(run.frames[f, 0, coordinate])
            if exact is not None:
                centre = _at(exact.moments()[0], coordinate)
            panel.axvline(centre, color="black", lw=1.0, ls=":" if row.measured > 0.0 else "-")
            panel.annotate(
                "a point",
                (centre, 0.85),
                (6, 0),
                fontsize=8,
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
            )
        if exact is not None and row.exact > 0.0:
            half = 4.5 * np.sqrt(row.exact)
            centre = _at(exact.moments()[0], coordinate)
            x = np.linspace(centre - half, centre + half, 400)
            panel.plot(x, _density(exact, x, coordinate), color="black", lw=1.0)
        panel.set_title(f"t = {row.t:.3g}", fontsize=9)
        panel.set_yticks([])
        panel.tick_params(labelsize=8)
        panel.set_xlim(low, high)
    panels[0].set_ylabel(label, color=colour)


def _limits(run: Run, chosen: list[int], coordinate: int) -> tuple[float, float]:
    """One x axis for all panels: four standard deviations around each chosen frame."""
    ends = []
    for f in chosen:
        x = np.asarray(run.frames[f, :_BLOCK, coordinate], dtype=np.float64)
        x = x[np.isfinite(x)]
        if x.size:
            ends += [x.mean() - 4.0 * x.std(), x.mean() + 4.0 * x.std()]
    low, high = min(ends, default=-1.0), max(ends, default=1.0)
    least = 1e-3 * max(1.0, abs(low), abs(high))  # narrower axes have unreadable ticks
    return (low, high) if high - low > least else (low - least, high + least)


def _at(parameter: Array, coordinate: int) -> float:
    """An entry of a (d,) parameter, or the one that serves every coordinate."""
    return float(parameter[min(coordinate, len(parameter) - 1)])


def _density(exact: Any, x: Array, coordinate: int) -> Array:
    """The marginal density of one coordinate."""
    from fastrev.model import mixture

    try:
        c = exact.components()
    except InputError:
        return np.asarray(exact.pdf(x))
    return mixture.pdf(mixture.marginal(c, coordinate), x)


def histogram(frames: Any, f: int, coordinate: int) -> tuple[Array, Array]:
    """Density and edges of one coordinate of one frame, read in blocks."""
    n = frames.shape[1]
    blocks = range(0, n, _BLOCK)
    low, high = np.inf, -np.inf
    for a in blocks:
        x = frames[f, a : a + _BLOCK, coordinate]
        finite = x[np.isfinite(x)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if not low < high:
        centre = low if np.isfinite(low) else 0.0
        low, high = centre - 0.02, centre + 0.02
    edges = np.linspace(low, high, _BINS + 1)
    counts = np.zeros(_BINS)
    for a in blocks:
        x = frames[f, a : a + _BLOCK, coordinate]
        counts += np.histogram(x, edges)[0]
    return counts / (max(counts.sum(), 1.0) * np.diff(edges)), edges


def _variance(panel: Any, rows: list[Row], label: str, colour: str, dashes: Any) -> None:
    """Measured variance as points, the exact one as a line."""
    t = np.array([row.t for row in rows])
    order = np.argsort(t)
    exact = np.array([row.exact for row in rows])
    if np.isfinite(exact).all():
        panel.plot(t[order], exact[order], color=colour, ls=dashes, lw=1.2, label=f"{label}, exact")
    marker = "o" if t[-1] >= t[0] else "s"
    measured = [row.measured for row in rows]
    panel.plot(t, measured, marker, ms=5, mfc="none", color=colour, label=f"{label}, measured")
