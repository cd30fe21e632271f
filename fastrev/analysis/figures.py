"""Figures of runs by kind: what is drawn, and how it is saved.

Colours are Okabe and Ito's, told apart by colour-blind readers.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastrev.analysis.pictures.animation import check_film, draw_animation
from fastrev.analysis.pictures.binning import histogram
from fastrev.analysis.pictures.density import draw_density
from fastrev.analysis.pictures.frames import draw_frames
from fastrev.analysis.pictures.overview import draw_overview
from fastrev.analysis.pictures.paths import draw_paths
from fastrev.analysis.pictures.phase import draw_phase
from fastrev.analysis.pictures.request import FIGURES, FILMS, Options, check_figure, single
from fastrev.analysis.pictures.style import saved
from fastrev.analysis.pictures.variance import draw_variance
from fastrev.analysis.sheet import draw_sheet
from fastrev.engine.run import Run
from fastrev.model import check

__all__ = ["KINDS", "check_figure", "histogram", "save_figure", "save_overview"]

KINDS: dict[str, Callable[[Mapping[str, Run], Options], Any]] = {
    "overview": draw_overview,
    "frames": draw_frames,
    "variance": draw_variance,
    "paths": draw_paths,
    "density": draw_density,
    "phase": draw_phase,
    "animation": draw_animation,
    "sheet": lambda runs, o: draw_sheet(single(runs, "sheet"), o.data, o.shape),
}
"""What draws each kind, a figure or a film, from runs by label."""


def save_figure(
    kind: str, runs: Run | Mapping[str, Run], path: str | Path, coordinate: int = 0, **options: Any
) -> Path:
    """Draw a run, or several by label, and write the figure that `path` names.

    kind        one of KINDS; overview and variance draw several runs
    path        .png, .svg or .pdf; .gif or, where ffmpeg is, .mp4 for an animation
    coordinate  the coordinate drawn
    options     others of `Options`: other, particles, fps, data, shape

    Raises InputError.
    """
    check.one_of("kind", kind, KINDS)
    check_figure(path, FILMS if kind == "animation" else FIGURES)
    check_film(path)
    if isinstance(runs, Run):
        runs = {runs.path.stem if runs.path else "run": runs}
    chosen = Options(coordinate, **options)
    return saved(lambda: KINDS[kind](runs, chosen), path)


def save_overview(runs: Mapping[str, Run], path: str | Path, coordinate: int = 0) -> Path:
    """A row of snapshots per run, and below them variance against time for all of them.

    Exact densities and variances are drawn where they are known.  The ending of
    `path` chooses the format (png, svg, pdf).  Raises InputError.
    """
    return save_figure("overview", runs, path, coordinate)
