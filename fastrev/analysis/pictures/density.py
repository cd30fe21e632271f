"""The density of one coordinate as an image over forward time."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fastrev.analysis.pictures import binning, overlay, style
from fastrev.analysis.pictures.request import Options, check_frames, check_runs, single
from fastrev.engine.run import Run
from fastrev.model.check import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST, _BINS = 500, 200


def draw_density(runs: Mapping[str, Run], options: Options) -> "Figure":
    """A column of up to 200 cells per frame, up to 500 of them, each as wide as its time.

    Raises InputError for fewer than three frames.
    """
    check_runs(runs, options.coordinate)
    run, j = single(runs, "density"), options.coordinate
    check_frames(run, "density", least=3)
    chosen = sorted(style.spread(len(run.times), _MOST), key=lambda f: run.times[f])
    times = run.times[chosen]
    spans = [binning.limits(binning.points(run.frames, f), j) for f in chosen]
    x = binning.cells(binning.joined(spans), binning.fitting(run.n, _BINS))
    made = [binning.density(binning.points(run.frames, f), [j], [x]) for f in chosen]
    values = np.array([column for column, _ in made])
    top = style.ceiling(values.max(axis=1))
    figure = style.canvas(6.4, 4.0)
    panel = figure.add_subplot()
    image = panel.pcolormesh(
        _edges(times), x, values.T, cmap=style.MAP, vmin=0.0, vmax=top, rasterized=True
    )
    exact = overlay.exact_moments(run, times, j)
    if exact is not None:
        t, (mean, variance) = exact
        reach = 2.0 * np.sqrt(variance)
        panel.plot(t, mean, color="white", lw=1.0, ls="--", label="exact mean")
        panel.plot(t, mean - reach, color="white", lw=0.8, ls=":", label="exact mean ± 2 sd")
        panel.plot(t, mean + reach, color="white", lw=0.8, ls=":")
        panel.legend(labelcolor="white")
    above = "max" if values.max() > top else "neither"
    figure.colorbar(image, ax=panel, extend=above, label="density")
    most = max(share for _, share in made)
    panel.set_title(style.titled(f"{run.n:,} particles, {len(chosen)} frames", most))
    panel.set_xlabel("forward time t")
    panel.set_ylabel(style.name(j, run.dim))
    panel.set_ylim(x[0], x[-1])
    return figure


def _edges(times: Array) -> Array:
    """Edges (F + 1,) half-way between increasing times; the outer ones are times themselves."""
    return np.concatenate([times[:1], (times[1:] + times[:-1]) / 2.0, times[-1:]])
