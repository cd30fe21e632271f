"""Histograms of one coordinate at some frames, the exact density over each."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrev.analysis.pictures import binning, overlay, style
from fastrev.analysis.pictures.request import Options, check_frames, check_runs, single
from fastrev.engine.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST, _ACROSS = 12, 6
_WIDER = 30.0
"""Frames whose widths differ by more than this have an x axis each."""


def draw_frames(runs: Mapping[str, Run], options: Options) -> "Figure":
    """Up to 12 frames in rows of at most 6, in the run's own order.  Raises InputError."""
    check_runs(runs, options.coordinate)
    run = single(runs, "frames")
    check_frames(run, "frames")
    chosen = style.spread(len(run.times), _MOST)
    rows = -(-len(chosen) // _ACROSS)
    figure = style.canvas(max(4.0, 1.75 * -(-len(chosen) // rows)), 1.8 * rows + 0.6)
    panels = style.wrapped(figure, len(chosen), _ACROSS)
    snapshots(panels, run, chosen, options.coordinate, style.COLOURS[0])
    figure.supxlabel(style.name(options.coordinate, run.dim), fontsize=9)
    figure.supylabel("density (scales differ)", fontsize=9)
    handles, labels = legend(panels, run.n)
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return figure


def snapshots(
    panels: Sequence[Any], run: Run, chosen: Sequence[int], coordinate: int, colour: str
) -> None:
    """Fill a panel per chosen frame, on one x axis unless their widths are too far apart."""
    spans = [binning.limits(binning.points(run.frames, f), coordinate) for f in chosen]
    widths = [high - low for low, high in spans if high > low]
    apart = bool(widths) and max(widths) > _WIDER * min(widths)
    together = binning.joined(spans)
    titles = style.time_texts(run.times[chosen])
    for panel, f, span, title in zip(panels, chosen, spans, titles, strict=True):
        axis = binning.joined([span]) if apart else together
        share = snapshot(panel, run, f, coordinate, span, axis, colour)
        panel.set_title(style.titled(title, share))
        panel.set_yticks([])
        panel.locator_params(axis="x", nbins=4)
        if apart:
            panel.tick_params(labelbottom=True)


def snapshot(
    panel: Any,
    run: Run,
    f: int,
    coordinate: int,
    span: tuple[float, float],
    axis: tuple[float, float],
    colour: str,
) -> float:
    """One histogram over `span`; returns the share of particles outside it.

    A law that is one point, or a frame that is, becomes a vertical line.
    """
    exact = overlay.exact_law(run, float(run.times[f]))
    mean, variance = (np.nan, np.nan) if exact is None else overlay.moments_at(exact, coordinate)
    x, share = binning.points(run.frames, f), 0.0
    panel.set_xlim(axis)
    if span[0] < span[1]:
        edges = binning.cells(span, binning.fitting(len(x), binning.BINS))
        heights, share = binning.density(x, [coordinate], [edges])
        panel.stairs(heights, edges, fill=True, color=colour, alpha=0.45, label="particles")
    elif np.isnan(span[0]):
        panel.text(0.5, 0.5, "nothing finite", transform=panel.transAxes, ha="center", fontsize=8)
    if not span[0] < span[1] or variance == 0.0:
        _point(panel, mean if variance == 0.0 else span[0], measured=span[0] == span[1])
    elif exact is not None:
        line = np.linspace(*axis, 400)
        density = overlay.line_density(exact, line, coordinate)
        if density is not None:
            panel.plot(line, density, color="black", lw=1.0, label="exact")
    panel.set_ylim(bottom=0.0)
    return share


def legend(panels: Sequence[Any], n: int) -> tuple[list[Any], list[str]]:
    """Handles and labels of what the panels hold, each once."""
    found: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(f"{n:,} {label}" if label == "particles" else label, handle)
    return list(found.values()), list(found)


def _point(panel: Any, at: float, measured: bool) -> None:
    """A line where all particles are, dotted where they only should be."""
    if not np.isfinite(at):
        return
    panel.axvline(at, color="black", lw=1.0, ls="-" if measured else ":")
    left, right = panel.get_xlim()
    inward = 1 if 2.0 * at < left + right else -1
    panel.annotate(
        "a point",
        (at, 0.85),
        (6 * inward, 0),
        ha="left" if inward > 0 else "right",
        fontsize=8,
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
    )
