"""The checksum of a shard: XXH3 of 64 bits, https://xxhash.com."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray


class Checksum:
    """Of a shard's rows, frame after frame, of its passage times, and of its observables by their
    names' order."""

    def __init__(self, shard: int) -> None:
        self._state = xxhash.xxh3_64(seed=shard)

    def add(self, data: NDArray[np.uint8]) -> None:
        """One more piece, of whatever length."""
        self._state.update(data.data)

    def value(self) -> int:
        """That of all pieces."""
        return self._state.intdigest()


def checksum(
    shard: int,
    frames: NDArray[Any],
    passages: NDArray[Any],
    numbers: Mapping[str, NDArray[Any]],
) -> int:
    """Of a whole shard."""
    total = Checksum(shard)
    for array in (*frames, passages, *(numbers[name] for name in sorted(numbers))):
        total.add(as_bytes(np.ascontiguousarray(array)))
    return total.value()


def as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """A contiguous array's bytes."""
    return array.reshape(-1).view(np.uint8)
