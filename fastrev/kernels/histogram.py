"""Counts of a tile in even bins, exactly as NumPy counts them.

The bin of x is guessed from (x - low)/step and put right by its edges i step + low, which are
those of np.linspace; so x on an edge falls where np.histogram lets it fall.  The places are
found first, as vector code, and counted in a loop of their own.
"""

import numpy as np

from fastrev.kernels.jit import loop, scalar


@scalar
def _place(x, low, high, step, inverse, bins):
    """0 below, 1 .. bins inside, bins + 1 above, bins + 2 for NaN."""
    y = np.float64(x)
    u = (y - low) * inverse
    u = u if u > 0.0 else 0.0  # NaN too
    i = np.int32(u if u < bins - 1.0 else bins - 1.0)
    i = i - np.int32(y < i * step + low)
    i = i + np.int32((y >= (i + 1) * step + low) & (i + 1.0 < bins))
    place = np.int32(i + 1)
    place = np.int32(0) if y < low else place
    place = np.int32(bins + 1.0) if y > high else place
    return place if y == y else np.int32(bins + 2.0)  # noqa: PLR0124


@loop
def _find(row, low, high, step, inverse, bins, places):
    for l in range(len(row)):
        places[l] = _place(row[l], low, high, step, inverse, bins)


@loop
def _find_both(first, second, low, high, step, inverse, bins, places):
    """Row by row of the plane; whatever is outside of one, after the last."""
    last = np.int32(bins[0] * bins[1])
    for l in range(len(first)):
        i = _place(first[l], low[0], high[0], step[0], inverse[0], bins[0])
        j = _place(second[l], low[1], high[1], step[1], inverse[1], bins[1])
        inside = (i >= 1) & (i <= bins[0]) & (j >= 1) & (j <= bins[1])
        where = np.int32((i - 1) * np.int32(bins[1]) + j - 1)
        places[l] = where if inside else last


@loop
def _count(numbers, places):
    for l in range(len(places)):
        numbers[places[l]] += 1


@loop
def add_histogram(numbers, x, tau, table, k, work):
    """Count coordinate j of a tile x (d, B); table is (j, low, high, step, 1/step, bins)."""
    j, low, high, step, inverse, bins = table
    places = work[0].view(np.int32)[: x.shape[1]]
    _find(x[j], low, high, step, inverse, bins, places)
    _count(numbers, places)


@loop
def add_plane(numbers, x, tau, table, k, work):
    """Count coordinates i and j of a tile; table is as above, each a pair."""
    coordinates, low, high, step, inverse, bins = table
    places = work[0].view(np.int32)[: x.shape[1]]
    first, second = x[coordinates[0]], x[coordinates[1]]
    _find_both(first, second, low, high, step, inverse, bins, places)
    _count(numbers, places)
