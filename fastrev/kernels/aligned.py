"""Memory that begins on a cache line, as that of a tile does."""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def aligned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """`np.empty`, at a multiple of 64 bytes."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.empty(size + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + size].view(dtype).reshape(shape)
