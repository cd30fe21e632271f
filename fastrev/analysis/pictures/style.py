"""One look for all pictures: colours, type, sizes, and how times are written.

Colours are Okabe and Ito's, told apart by colour-blind readers; images are viridis,
whose lightness grows evenly.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrev.model.check import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES = ("-", (0, (4, 4)), ":", "-.")
MAP = "viridis"
DPI = 150

LOOK = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,
}
"""Settings of matplotlib; TrueType in a PDF stays text."""


def saved(draw: Callable[[], Any], path: str | Path) -> Path:
    """What `draw` makes in this look, a figure or a film, written to a file."""
    from matplotlib import rc_context

    with rc_context(LOOK):
        drawn = draw()
        if hasattr(drawn, "savefig"):
            drawn.savefig(path, dpi=DPI)
        else:
            drawn.save(path)
    return Path(path)


def canvas(width: float, height: float) -> "Figure":
    """An empty figure, in inches, whose parts make room for one another."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def wrapped(figure: Any, count: int, most: int) -> list[Any]:
    """`count` panels in even rows of at most `most`; only the lowest show their x ticks."""
    rows = -(-count // most)
    across = -(-count // rows)
    panels = list(figure.subplots(rows, across, squeeze=False).flat)
    for panel in panels[count:]:
        panel.remove()
    for k, panel in enumerate(panels[:count]):
        panel.tick_params(labelbottom=k + across >= count)
    return panels[:count]


def spread(count: int, most: int) -> list[int]:
    """At most `most` of `count` indices, evenly, first and last included."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def time_texts(times: Array) -> list[str]:
    """`t = 0.5` for each time, with as many digits as tell them apart."""
    for digits in range(3, 10):
        texts = [f"t = {t:.{digits}g}" for t in times]
        if len(set(texts)) == len(texts):
            break
    return texts


def name(coordinate: int, dim: int) -> str:
    """x, or x[j] where there are several coordinates."""
    return f"x[{coordinate}]" if dim > 1 else "x"


def titled(text: str, share: float) -> str:
    """The text, and the share of particles not drawn, where over a thousandth."""
    return f"{text}, {100.0 * share:.2g} % not shown" if share > 1e-3 else text


def ceiling(peaks: Array) -> float:
    """The top of a common scale: the largest peak, but not those far above the others.

    A frame at which all particles are at one point would leave the others dark.
    """
    peaks = peaks[peaks > 0.0]
    if not peaks.size:
        return 1.0
    return float(peaks[peaks <= 5.0 * np.median(peaks)].max())
