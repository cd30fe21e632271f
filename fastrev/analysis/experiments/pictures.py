"""Figures of the experiments, readable at 800 pixels' width."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastrev.analysis.experiments.judging import forward_times
from fastrev.analysis.pictures import binning, overlay, style
from fastrev.analysis.pictures.frames import legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 8.0
_COLUMNS = 6
_HALF_WAY = 0.5
"""The forward time at which a drift without noise is farthest off."""
_BLUE, _ORANGE, _GREEN, _PURPLE = style.COLOURS[:4]


class _Curve(NamedTuple):
    """How a run's variance is drawn: a mark, what is written beside it, and where."""

    colour: str
    marker: str
    text: str
    at: tuple[float, float]


_CURVES = {
    "drift only": _Curve(_BLUE, "v", "drift only: too narrow", (0.56, 0.20)),
    "noise only": _Curve(_PURPLE, "o", "noise only (circles): wider and wider", (0.42, 1.76)),
    "naive reversal": _Curve(_GREEN, "x", "naive reversal (crosses): so too, f = 0", (0.49, 1.63)),
    "Anderson": _Curve(_ORANGE, "s", "Anderson: on the exact 2Dt (black)", (0.11, 0.58)),
}  # fmt: skip


def draw_rows(judged: Sequence[Any]) -> "Figure":
    """A row of histograms per run, a column per forward time, the exact density over each."""
    figure = style.canvas(_WIDTH, 1.35 * len(judged) + 0.6)
    grid = figure.subplots(len(judged), _COLUMNS, sharex=True, squeeze=False)
    ascending = np.sort(judged[0].run.times)
    times = ascending[style.spread(len(ascending), _COLUMNS)]
    chosen = [[_frame(one.run.times, t) for t in times] for one in judged]
    axis = binning.joined(
        binning.limits(binning.points(one.run.frames, f), 0)
        for one, frames in zip(judged, chosen, strict=True)
        for f in frames
    )
    for panels, one, frames, colour in zip(grid, judged, chosen, style.COLOURS, strict=False):
        for panel, f, title in zip(
            panels, frames, style.time_texts(one.run.times[frames]), strict=True
        ):
            _snapshot(panel, one, f, axis, colour)
            panel.set_title(title)
        back = one.run.times[-1] < one.run.times[0]
        text = f"← {one.part.label}" if back else f"{one.part.label} →"
        panels[0].set_ylabel(text, color=colour, fontsize=10)
    figure.supxlabel("x", fontsize=9)
    handles, labels = legend(list(grid.flat), judged[0].run.n)
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return figure


def draw_paradox(judged: Sequence[Any]) -> "Figure":
    """Each run's variance against forward time over the exact one; histograms half-way."""
    figure = style.canvas(_WIDTH, 5.2)
    parts: Any = figure.add_gridspec(2, 1, height_ratios=[1.9, 1.0])
    curves = figure.add_subplot(parts[0])
    panels = parts[1].subgridspec(1, len(judged)).subplots(sharex=True, sharey=True, squeeze=False)
    times = np.linspace(0.0, 1.0, 101)
    exact = [overlay.moments_at(judged[0].reference.exact(float(t)), 0)[1] for t in times]
    curves.plot(times, exact, color="black", lw=1.2)
    for panel, one in zip(panels[0], judged, strict=True):
        colour, marker, text, at = _CURVES[one.part.label]
        t, measured = [row.t for row in one.rows], [row.measured for row in one.rows]
        size = 9 if marker == "x" else 5
        curves.plot(t, measured, color=colour, marker=marker, ms=size, mfc="none", lw=1.0, ls=":")
        curves.text(*at, text, color=colour, va="center")
        f = _frame(forward_times(one.run, one.reference), _HALF_WAY)
        _snapshot(panel, one, f, (-4.0, 4.0), colour)
        panel.set_title(one.part.label, color=colour)
    curves.set_xlabel("forward time t; every run goes from t = 1 to 0")
    curves.set_ylabel("variance")
    panels[0][0].set_ylabel(f"density, t = {_HALF_WAY:g}")
    return figure


def _snapshot(panel: Any, one: Any, f: int, axis: tuple[float, float], colour: str) -> None:
    """A histogram of one frame and p_t; where that is a point, the scheme's own law."""
    t = float(forward_times(one.run, one.reference)[f])
    law = one.reference.exact(t)
    if overlay.moments_at(law, 0)[1] == 0.0:
        law = one.reference.scheme(t) or law
    mean, variance = overlay.moments_at(law, 0)
    panel.set_xlim(axis)
    panel.set_yticks([])
    panel.locator_params(axis="x", nbins=4)
    if one.rows[f].measured > 0.0:
        heights, edges = binning.histogram(one.run.frames, f, 0)
        panel.stairs(heights, edges, fill=True, color=colour, alpha=0.45, label="particles")
    if variance > 0.0:
        near = mean + np.sqrt(variance) * np.linspace(-5.0, 5.0, 201)
        x = np.union1d(near, np.linspace(*axis, 401))
        panel.plot(x, law.pdf(x), color="black", lw=1.0, label="exact")
        panel.set_ylim(bottom=0.0)
    else:
        panel.axvline(mean, color="black", lw=1.0)
    if one.rows[f].exact == 0.0:
        text = f"variance\n{one.rows[f].measured:.2g}" if variance > 0.0 else "a point"
        panel.text(0.95, 0.95, text, transform=panel.transAxes, ha="right", va="top", fontsize=8)


def _frame(times: Any, t: float) -> int:
    """The frame nearest a time."""
    return int(np.argmin(np.abs(times - t)))
