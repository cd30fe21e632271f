"""Normals per second of one thread, out of the cache."""

import numpy as np
import pytest

from fastrev.kernels.jit import loop
from fastrev.kernels.noise import fill_normals
from fastrev.kernels.philox import STREAM_STEP

_u64 = np.uint64
_REPEATS = 2000


def _repeat(fill):
    @loop
    def many(z, repeats):
        for b in range(repeats):
            fill(z, 0, 8, _u64(0), _u64(0), _u64(2 * b), _u64(STREAM_STEP), _u64(7), _u64(9))

    return many


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normals(benchmark, record, dtype):
    many = _repeat(fill_normals[dtype])
    z = np.empty((8, 1, 960), dtype)
    many(z, 1)
    benchmark(many, z, _REPEATS)
    assert abs(z.mean()) < 0.05
    assert abs(z.var() - 1) < 0.08
    record(z.size * _REPEATS, what="normals")
