"""A few paths of single particles at every step, within the exact mean and two deviations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fastrev.analysis.pictures import overlay, style
from fastrev.analysis.pictures.request import Options, check_runs, single
from fastrev.engine.run import Run
from fastrev.model.check import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STEPS = 2000
"""Points of a path drawn, about."""


def draw_paths(runs: Mapping[str, Run], options: Options) -> "Figure":
    """Paths computed again, of particles spread over the ensemble.  Raises InputError."""
    check_runs(runs, options.coordinate)
    run = single(runs, "paths")
    if options.particles < 1:
        raise InputError(f"particles must be at least 1, got {options.particles}")
    spec = run.specification
    ids = style.spread(spec.n, options.particles)
    paths, t = run.trace(ids)[:, :, options.coordinate], spec.grid.times
    steps = np.unique(np.append(np.arange(0, len(t), -(-len(t) // _STEPS)), len(t) - 1))
    figure = style.canvas(6.4, 4.0)
    panel = figure.add_subplot()
    exact = overlay.exact_moments(run, t, options.coordinate)
    if exact is not None:
        times, (mean, variance) = exact
        reach = 2.0 * np.sqrt(variance)
        panel.fill_between(
            times, mean - reach, mean + reach, color="0.88", lw=0.0, label="exact mean ± 2 sd"
        )
        panel.plot(times, mean, color="black", lw=1.0, ls="--", label="exact mean")
    for k in range(len(ids)):
        colour = style.COLOURS[k % len(style.COLOURS)]
        label = f"{len(ids)} of {spec.n:,} particles" if k == 0 else None
        panel.plot(t[steps], paths[steps, k], color=colour, lw=0.7, alpha=0.9, label=label)
    back = f" (the run goes from {t[0]:g} to {t[-1]:g})" if t[-1] < t[0] else ""
    panel.set_xlabel("forward time t" + back)
    panel.set_ylabel(style.name(options.coordinate, run.dim))
    panel.set_xlim(t.min(), t.max())
    figure.legend(*panel.get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure
