"""Variance against forward time: measured points with their errors, the exact curve."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrev.analysis.compare import Sample, frame_moments
from fastrev.analysis.pictures import binning, overlay, style
from fastrev.analysis.pictures.request import Options, check_runs
from fastrev.engine.run import Run
from fastrev.model.check import Array, InputError
from fastrev.model.moments import MomentsResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_variance(runs: Mapping[str, Run], options: Options) -> "Figure":
    """All runs in one figure.  Raises InputError."""
    check_runs(runs, options.coordinate)
    figure = style.canvas(6.4, 4.0)
    variance_panel(figure.add_subplot(), runs, options.coordinate)
    return figure


def variance_panel(panel: Any, runs: Mapping[str, Run], coordinate: int) -> None:
    """Points with a bar of one standard error, round where t grows and square where it falls."""
    for number, (label, run) in enumerate(runs.items()):
        colour = style.COLOURS[number % len(style.COLOURS)]
        times, variance, error = measured_variance(run, coordinate)
        exact = overlay.exact_moments(run, times, coordinate)
        if exact is not None:
            dashes = style.DASHES[number % len(style.DASHES)]
            panel.plot(
                exact[0],
                exact[1].variance,
                color=colour,
                ls=dashes,
                lw=1.2,
                label=f"{label}, exact",
            )
        lost = int((~np.isfinite(variance)).sum())
        text = f"{label}, measured ± 1 s.e." + (
            f" ({lost} of {len(times)} not finite)" if lost else ""
        )
        panel.errorbar(
            times,
            variance,
            error,
            fmt="o" if times[-1] >= times[0] else "s",
            ms=5,
            mfc="none",
            color=colour,
            elinewidth=1.0,
            capsize=2.0,
            label=text,
        )
    dim = max(run.dim for run in runs.values())
    panel.set_xlabel("forward time t")
    panel.set_ylabel("variance of " + style.name(coordinate, dim) if dim > 1 else "variance")
    panel.set_ylim(bottom=0.0, top=panel.get_ylim()[1] * 1.05)
    panel.legend(ncols=1 + (len(runs) > 1))


def measured_variance(run: Run, coordinate: int) -> tuple[Array, Array, Array]:
    """Times, variance and its standard error sqrt((m4 - v^2)/n), each (F,).

    From the run's frames, or from its Moments where they have more times.
    Raises InputError where it has neither.
    """
    sample = _sample(run, coordinate)
    v, m4 = sample.variance[:, 0], sample.fourth[:, 0]
    with np.errstate(invalid="ignore", over="ignore"):
        return sample.times, v, np.sqrt(np.maximum(m4 - v**2, 0.0) / sample.n)


def _sample(run: Run, coordinate: int) -> Sample:
    """What was measured of one coordinate, (F, 1)."""
    moments = [r for r in run.observables.values() if isinstance(r, MomentsResult)]
    longest = max(moments, key=lambda r: len(r.times), default=None)
    column = slice(coordinate, coordinate + 1)
    if longest is not None and len(longest.times) > len(run.times):
        powers = (longest.mean, longest.variance, longest.fourth)
        return Sample(longest.times, int(longest.n.min()), *(m[:, column] for m in powers))
    if len(run.times) == 0:
        raise InputError("this run keeps neither frames nor Moments: it has no variance to draw")
    view = binning.view(run.frames)
    if view is not None:
        return frame_moments(view[:, :, column], run.times)
    every = frame_moments(run.frames, run.times)
    return Sample(every.times, every.n, *(m[:, column] for m in every[2:]))
