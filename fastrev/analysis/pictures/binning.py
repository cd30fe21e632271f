"""Counting particles in cells, block by block, so that memory does not depend on how many."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrev.model.check import Array

_BLOCK = 1 << 16
"""Rows binned at once; their temporaries stay in the cache."""
_RUNS, _RUN = 64, 2048
"""Stretches of rows, and rows of each, that limits are taken from."""
BINS = 100
"""Most cells of a histogram."""


def points(frames: Any, f: int) -> Array:
    """A frame as rows (N, d): of a file, a view unless it is compressed."""
    seen = view(frames)
    return np.asarray(frames[f] if seen is None else seen[f])


def view(frames: Any) -> Array | None:
    """All frames (F, N, d) without reading them, None of a compressed file."""
    seen: Array | None = getattr(frames, "mapped", lambda: frames)()
    return seen


def counted(x: Array, columns: Sequence[int], edges: Sequence[Array]) -> NDArray[np.int64]:
    """How many rows of x (N, d) fall in each cell of one or two columns, as np.histogramdd.

    edges  of each column, increasing, of equal widths

    A cell holds its lower edge and the last one also its upper; what lies outside
    or is NaN counts nowhere.
    """
    shape = [len(e) + 1 for e in edges]
    total = np.zeros(np.prod(shape), dtype=np.int64)
    for a in range(0, len(x), _BLOCK):
        cells: Any = 0
        for column, e, size in zip(columns, edges, shape, strict=True):
            cells = cells * size + _cells(x[a : a + _BLOCK, column], e)
        total += np.bincount(cells, minlength=len(total))
    inside = (slice(1, -1),) * len(edges)
    return np.asarray(total.reshape(shape)[inside])


def _cells(x: Array, edges: Array) -> NDArray[np.intp]:
    """1 + the cell of each value; 0 below and for NaN, len(edges) above."""
    bins = len(edges) - 1
    above = np.nextafter(edges[-1], np.inf)
    lower = np.concatenate([[-np.inf], edges[:-1], [above, np.nan]])
    x = x.astype(np.float64)
    with np.errstate(over="ignore"):
        scaled = (x - edges[0]) * (bins / (edges[-1] - edges[0])) + 1.0
    np.fmin(np.fmax(scaled, 0.0, out=scaled), bins + 1.0, out=scaled)
    cells: NDArray[np.intp] = scaled.astype(np.intp)
    cells -= x < lower[cells]  # rounding may miss by one
    cells += x >= lower[cells + 1]
    return cells


def limits(x: Array, column: int) -> tuple[float, float]:
    """The central 99.9 % of the finite values, a tenth wider on both sides.

    From up to 131,072 rows spread over x (N, d).  Equal ends where all is one point,
    NaN where nothing is finite.
    """
    apart = max(_RUN, -(-len(x) // _RUNS))
    some = np.concatenate([x[a : a + _RUN, column] for a in range(0, len(x), apart)])
    some = some[np.isfinite(some)].astype(np.float64)
    if not some.size:
        return np.nan, np.nan
    low, high = (float(q) for q in np.quantile(some, [0.0005, 0.9995]))
    return low - 0.1 * (high - low), high + 0.1 * (high - low)


def joined(spans: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Limits a little wider than all of these; never too narrow for ticks to be read."""
    finite = [span for span in spans if np.isfinite(span).all()]
    low = min((span[0] for span in finite), default=-1.0)
    high = max((span[1] for span in finite), default=1.0)
    least = 1e-3 * max(1.0, abs(low), abs(high))
    margin = 0.02 * (high - low) if high - low > least else least
    return low - margin, high + margin


def cells(span: tuple[float, float], bins: int) -> Array:
    """Edges of equal cells, (bins + 1,)."""
    return np.linspace(*span, bins + 1)


def fitting(n: int, most: int, axes: int = 1) -> int:
    """How many cells along an axis for n particles: c n^(1/(2 + axes)), 24 to `most`.

    The power is that of Scott's rule (Biometrika 66, 605, 1979) and its form in a plane.
    """
    fit: int = round(2.5 * n ** (1.0 / (2 + axes)))
    return min(max(24, fit), most)


def density(x: Array, columns: Sequence[int], edges: Sequence[Array]) -> tuple[Array, float]:
    """Share of the rows per unit of each cell, and the share that lies in none.

    Their sum over cells, times the cells' size, and the share outside make 1.
    """
    counts = counted(x, columns, edges)
    size = np.prod([e[1] - e[0] for e in edges])
    return counts / (len(x) * size), 1.0 - float(counts.sum()) / len(x)


def histogram(frames: Any, f: int, coordinate: int) -> tuple[Array, Array]:
    """Density (B,) and edges (B + 1,) of one coordinate of one frame, within its own limits."""
    x = points(frames, f)
    low, high = limits(x, coordinate)
    span = (low, high) if low < high else joined([(low, high)])
    edges = cells(span, fitting(len(x), BINS))
    return density(x, [coordinate], [edges])[0], edges
