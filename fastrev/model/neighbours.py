"""Data points as groups of neighbours, each counted from its own centre."""

import numpy as np
from numpy.typing import NDArray

from fastrev.model.check import Array


def neighbours(points: Array, size: int) -> NDArray[np.int64]:
    """An order of points (M, d) of which every `size` make a chunk of neighbours; the last may be
    smaller.

    As a k-d tree's: across the axis along which they reach farthest, halves of whole chunks
    (Bentley, Commun. ACM 18 (1975) 509).  Equal coordinates keep their order, on every machine.
    """
    order = np.arange(len(points))
    parts = [(0, len(points))]
    while parts:
        first, last = parts.pop()
        chunks = -(-(last - first) // size)
        if chunks > 1:
            part = order[first:last]
            axis = np.argmax(np.ptp(points[part], axis=0))
            order[first:last] = part[np.argsort(points[part, axis], kind="stable")]
            middle = first + chunks // 2 * size
            parts += [(first, middle), (middle, last)]
    return order


_NEARLY = 4.0
"""Times the square distances from the centres of single chunks: a bit more or less of digits."""


def centred(points: Array, size: int) -> tuple[Array, Array, int]:
    """Neighbouring points (M, d) from the centres of their groups, these (groups, d), and how many
    chunks of `size` are a group.

    Groups are as large as brings points no nearer to their centres than a factor of two: few
    dimensions take small ones, many dimensions, where neighbours are hardly nearer than others,
    a single one.  Centres are medians, which no outlier moves.
    """
    group = 1
    away, centres = _from_medians(points, size)
    nearest = _reach(away, size)
    while len(centres) > 1:
        wider = _from_medians(points, 2 * group * size)
        if _reach(wider[0], size) > _NEARLY * nearest:
            break
        (away, centres), group = wider, 2 * group
    return away, centres, group


def _from_medians(points: Array, size: int) -> tuple[Array, Array]:
    """Each point from the median of its `size` neighbours, and these medians."""
    parts = [points[a : a + size] for a in range(0, len(points), size)]
    centres = np.array([np.median(part, axis=0) for part in parts])
    return np.concatenate([x - m for x, m in zip(parts, centres, strict=True)]), centres


def _reach(away: Array, size: int) -> float:
    """The square distance of half the points of the chunk that is farthest from its centre."""
    squares = (away**2).sum(axis=1)
    return float(max(np.median(squares[a : a + size]) for a in range(0, len(squares), size)))
