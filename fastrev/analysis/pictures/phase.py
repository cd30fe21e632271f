"""Two coordinates of some frames as images with one colour scale."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fastrev.analysis.pictures import binning, style
from fastrev.analysis.pictures.plane import check_plane, draw_image, draw_regions, plane_edges
from fastrev.analysis.pictures.request import Options, check_frames, check_runs, single
from fastrev.engine.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST, _ACROSS = 6, 3


def draw_phase(runs: Mapping[str, Run], options: Options) -> "Figure":
    """Up to 6 frames, in the run's own order, with the same limits.  Raises InputError."""
    check_runs(runs)
    run, pair = single(runs, "phase"), (options.coordinate, options.other)
    check_plane(run, pair, "phase")
    check_runs(runs, *pair)
    check_frames(run, "phase")
    chosen = style.spread(len(run.times), _MOST)
    edges = plane_edges(run, chosen, pair)
    made = [binning.density(binning.points(run.frames, f), pair, edges) for f in chosen]
    top = style.ceiling(np.array([values.max() for values, _ in made]))
    rows = -(-len(chosen) // _ACROSS)
    figure = style.canvas(max(4.0, 2.3 * -(-len(chosen) // rows) + 0.9), 2.25 * rows + 0.4)
    panels = style.wrapped(figure, len(chosen), _ACROSS)
    titles, known = style.time_texts(run.times[chosen]), False
    for panel, f, (values, share), title in zip(panels, chosen, made, titles, strict=True):
        image = draw_image(panel, values, edges, top)
        known |= draw_regions(panel, run, f, pair, edges) is not None
        panel.set_title(style.titled(title, share))
        panel.tick_params(labelleft=panel.get_subplotspec().is_first_col())
    above = "max" if any(values.max() > top for values, _ in made) else "neither"
    text = "density; lines: exact 50 % and 95 % regions" if known else "density"
    figure.colorbar(image, ax=panels, extend=above, label=text)
    figure.supxlabel(style.name(pair[0], run.dim), fontsize=9)
    figure.supylabel(style.name(pair[1], run.dim), fontsize=9)
    return figure
