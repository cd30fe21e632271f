"""Counts of a tile in bins even in log2(1 + |u|), u = (x - centre)/spread.

The bits of the float32 1 + |u| are its exponent and mantissa one after the other: taken as a
whole number they are that logarithm, straight within an octave, and the first bits are the bin.
"""

import numpy as np

from fastrev.kernels.intrinsics import bits_of_f32, i32_of_u32, magnitude
from fastrev.kernels.jit import inner_borrower

_ONE = np.int32(0x3F800000)
_SHIFT = np.int32(17)
"""Of the 23 bits of the mantissa six are kept: 64 bins to the octave."""
_SIDE = np.int32(896)


@inner_borrower
def _find(row, centre, inverse, places):
    for l in range(len(row)):
        u = (np.float64(row[l]) - centre) * inverse
        size = magnitude(u)
        size = size if size < 16000.0 else 16000.0  # below 2^14; NaN too, put right below
        bits = i32_of_u32(bits_of_f32(np.float32(1.0 + size)))
        b = np.int32(np.int32(bits - _ONE) >> _SHIFT)
        place = np.int32(_SIDE + b) if u >= 0.0 else np.int32(_SIDE - np.int32(1) - b)
        places[l] = place if u == u else np.int32(-1)  # noqa: PLR0124


@inner_borrower
def add_quantiles(numbers, x, tau, table, k, work):
    """Count each coordinate of a tile x (d, B); table is centre and spread, (F, d).

    numbers are laid out as model/quantiles.py says
    """
    centre, spread = table
    places = work[0].view(np.int32)[: x.shape[1]]
    own = len(numbers) // len(x)
    for j in range(len(x)):
        part = numbers[j * own : (j + 1) * own]
        part[0], part[1] = centre[k, j], spread[k, j]
        _find(x[j], centre[k, j], 1.0 / spread[k, j], places)
        for l in range(len(places)):
            part[np.uint64(3 + places[l])] += 1.0
