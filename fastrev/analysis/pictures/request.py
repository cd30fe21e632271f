"""What a picture is asked for, and the refusals that all kinds share."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastrev.engine.run import Run
from fastrev.model.check import InputError

FIGURES = (".png", ".svg", ".pdf")
FILMS = (".gif", ".mp4")


@dataclass(frozen=True)
class Options:
    """What the kinds of picture let one choose.

    coordinate  the coordinate drawn
    other       the second coordinate of a plane
    particles   how many paths
    fps         frames a second of a film, 1 to 50
    data, shape of a sheet: real points, and rows x columns of a picture
    """

    coordinate: int = 0
    other: int = 1
    particles: int = 12
    fps: int = 10
    data: str | Path | None = None
    shape: str | None = None


def check_figure(path: str | Path, endings: tuple[str, ...] = FIGURES) -> None:
    """Refuse a figure that could not be written, before the work.  Raises InputError."""
    path = Path(path)
    if path.suffix not in endings:
        listed = " or ".join((", ".join(endings[:-1]), endings[-1]))
        raise InputError(f"the figure must end in {listed}, got {str(path)!r}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"the figure's directory {path.parent} is not there or cannot be written")


def check_runs(runs: Mapping[str, Run], *coordinates: int) -> None:
    """Refuse runs without particles and coordinates that they lack.  Raises InputError."""
    if not runs:
        raise InputError("there is nothing to plot: no run was given")
    for label, run in runs.items():
        if run.n == 0:
            raise InputError(f"there is nothing to plot in {label}: no shard is committed yet")
        for coordinate in coordinates:
            if not 0 <= coordinate < run.dim:
                raise InputError(f"coordinate must be below {run.dim}, got {coordinate}")


def single(runs: Mapping[str, Run], kind: str) -> Run:
    """The one run of a kind that draws one.  Raises InputError."""
    if len(runs) > 1:
        raise InputError(f"{kind} draws one run, got {len(runs)}: {', '.join(runs)}")
    return next(iter(runs.values()))


def check_frames(run: Run, kind: str, least: int = 1) -> None:
    """Refuse a run that kept too few frames.  Raises InputError."""
    if len(run.times) < least:
        raise InputError(
            f"{kind} needs a run with frames, at least {least}, and this one has "
            f"{len(run.times)}: simulate with frames={max(least, 11)}"
        )
