"""Normals per second of one thread, out of the cache."""

import numpy as np
import pytest

from fastrev.kernels.jit import loop
from fastrev.kernels.noise import fill_normals, kept_words
from fastrev.kernels.philox import STREAM_STEP

_u64 = np.uint64
_REPEATS = 2000
_LOW, _HIGH, _STREAM, _K0, _K1 = _u64(0), _u64(0), _u64(STREAM_STEP), _u64(7), _u64(9)


@loop
def _many(z, words, repeats):
    for b in range(repeats):
        fill_normals(z, 0, 8, words, _LOW, _HIGH, _u64(4 * b), _STREAM, _K0, _K1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normals(benchmark, record, dtype):
    z = np.empty((8, 1, 960), dtype)
    words = kept_words(dtype, z.shape[2], _LOW, _HIGH, _STREAM, _K0, _K1)
    _many(z, words, 1)
    benchmark(_many, z, words, _REPEATS)
    assert abs(z.mean()) < 0.05
    assert abs(z.var() - 1) < 0.08
    record(z.size * _REPEATS, what="normals")
