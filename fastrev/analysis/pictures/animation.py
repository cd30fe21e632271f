"""A film of the frames: histograms of one coordinate, or images of two."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastrev.analysis.pictures import binning, style
from fastrev.analysis.pictures.frames import snapshot
from fastrev.analysis.pictures.plane import check_plane, draw_image, draw_regions, plane_edges
from fastrev.analysis.pictures.request import Options, check_frames, check_runs, single
from fastrev.engine.run import Run
from fastrev.model.check import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 240
_DPI = 100


class Film(NamedTuple):
    """A figure, what draws picture k into it, how many there are, and how many a second."""

    figure: "Figure"
    show: Callable[[int], None]
    pictures: int
    fps: int

    def save(self, path: str | Path) -> None:
        """Write a .gif, or an .mp4 with ffmpeg."""
        from matplotlib.animation import FFMpegWriter, PillowWriter

        writer = (FFMpegWriter if Path(path).suffix == ".mp4" else PillowWriter)(fps=self.fps)
        with writer.saving(self.figure, str(path), _DPI):
            for k in range(self.pictures):
                self.show(k)
                writer.grab_frame()


def check_film(path: str | Path) -> None:
    """Refuse .mp4 where there is no ffmpeg.  Raises InputError."""
    from matplotlib.animation import FFMpegWriter

    if Path(path).suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise InputError("an .mp4 needs ffmpeg on the PATH; a .gif needs nothing")


def draw_animation(runs: Mapping[str, Run], options: Options) -> Film:
    """Up to 240 frames, in the run's own order, on fixed axes.  Raises InputError."""
    check_runs(runs, options.coordinate)
    run = single(runs, "animation")
    check_frames(run, "animation", least=2)
    if not 1 <= options.fps <= 50:
        raise InputError(f"fps must lie between 1 and 50, got {options.fps}")
    chosen = style.spread(len(run.times), _MOST)
    if run.dim == 1:
        return _line(run, chosen, options)
    pair = (options.coordinate, options.other)
    check_plane(run, pair, "animation")
    check_runs(runs, *pair)
    return _plane(run, chosen, pair, options)


def _line(run: Run, chosen: list[int], options: Options) -> Film:
    """Histograms, each with its own bins, and the exact density."""
    spans = [binning.limits(binning.points(run.frames, f), 0) for f in chosen]
    axis, titles = binning.joined(spans), style.time_texts(run.times[chosen])
    peaks = [binning.histogram(run.frames, f, 0)[0].max() for f in chosen]
    top = 1.1 * style.ceiling(np.array(peaks))
    figure = style.canvas(6.0, 3.8)
    panel = figure.add_subplot()

    def show(k: int) -> None:
        panel.clear()
        share = snapshot(panel, run, chosen[k], 0, spans[k], axis, style.COLOURS[0])
        panel.set_title(style.titled(titles[k], share))
        panel.set_ylim(0.0, top)
        panel.set_xlabel("x")
        panel.set_ylabel("density")
        if panel.get_legend_handles_labels()[0]:
            panel.legend(loc="upper right")

    return Film(figure, show, len(chosen), options.fps)


def _plane(run: Run, chosen: list[int], pair: tuple[int, int], options: Options) -> Film:
    """Images with one colour scale, and the exact law's regions."""
    edges, titles = plane_edges(run, chosen, pair), style.time_texts(run.times[chosen])
    made = [binning.density(binning.points(run.frames, f), pair, edges) for f in chosen]
    top = style.ceiling(np.array([values.max() for values, _ in made]))
    figure = style.canvas(5.2, 4.4)
    panel = figure.add_subplot()
    image = draw_image(panel, made[0][0], edges, top)
    above = "max" if any(values.max() > top for values, _ in made) else "neither"
    bar = figure.colorbar(image, ax=panel, extend=above, label="density")

    def show(k: int) -> None:
        panel.clear()
        draw_image(panel, made[k][0], edges, top)
        if draw_regions(panel, run, chosen[k], pair, edges) is not None:
            bar.set_label("density; lines: exact 50 % and 95 % regions")
        panel.set_title(style.titled(titles[k], made[k][1]))
        panel.set_xlabel(style.name(pair[0], run.dim))
        panel.set_ylabel(style.name(pair[1], run.dim))

    return Film(figure, show, len(chosen), options.fps)
