"""A row of snapshots per run, and below them variance against time for all of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastrev.analysis.pictures import style
from fastrev.analysis.pictures.frames import snapshots
from fastrev.analysis.pictures.request import Options, check_runs
from fastrev.analysis.pictures.variance import variance_panel
from fastrev.engine.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANELS = 6


def draw_overview(runs: Mapping[str, Run], options: Options) -> "Figure":
    """Exact densities and variances are drawn where they are known.  Raises InputError."""
    check_runs(runs, options.coordinate)
    framed = {label: run for label, run in runs.items() if len(run.times)}
    figure = style.canvas(11.0, 2.3 * len(framed) + 3.2)
    grid = figure.add_gridspec(len(framed) + 1, 1, height_ratios=[1.0] * len(framed) + [1.35])
    for number, (label, run) in enumerate(framed.items()):
        chosen = style.spread(len(run.times), _PANELS)
        row: Any = grid[number].subgridspec(1, len(chosen))
        panels = row.subplots(squeeze=False)[0]
        colour = style.COLOURS[list(runs).index(label) % len(style.COLOURS)]
        snapshots(panels, run, chosen, options.coordinate, colour)
        panels[0].set_ylabel(label, color=colour)
    variance_panel(figure.add_subplot(grid[-1]), runs, options.coordinate)
    return figure
