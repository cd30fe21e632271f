"""Normals per second of one thread, out of the cache."""

import numpy as np
import pytest

from fastrev.kernels.aligned import aligned
from fastrev.kernels.jit import loop
from fastrev.kernels.noise import NOISE
from fastrev.kernels.streams import STREAM_STEP

_u64 = np.uint64
_REPEATS = 2000
_LOW, _HIGH, _STREAM, _K0, _K1 = _u64(0), _u64(0), _u64(STREAM_STEP), _u64(7), _u64(9)


def _filling(noise):
    fill_normals = noise.fill_normals

    @loop
    def many(z, words, repeats):
        for b in range(repeats):
            fill_normals(z, 0, 8, words, _LOW, _HIGH, _u64(8 * b), _STREAM, _K0, _K1)

    return many


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("generator", NOISE)
def test_normals(benchmark, record, dtype, generator):
    noise, z = NOISE[generator], aligned((8, 1, 960), dtype)
    words = noise.words(dtype, z.shape[2], _LOW, _HIGH, _STREAM, _K0, _K1)
    many = _filling(noise)
    many(z, words, 1)
    benchmark(many, z, words, _REPEATS)
    assert abs(z.mean()) < 0.05
    assert abs(z.var() - 1) < 0.08
    record(z.size * _REPEATS, what="normals")
