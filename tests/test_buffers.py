"""Results share memory with none that is still seen."""

import gc

import numpy as np

import fastrev as fr
from fastrev.engine import buffers

N = 1 << 19


def run(seed):
    return fr.simulate(fr.Brownian(0.5), fr.Gaussian(), n=N, steps=2, seed=seed, frames=[1.0])


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_once_nothing_refers_to_it():
    first, second = run(1), run(2)
    assert address(first.frames) != address(second.frames)
    held, before, where = first.x[5:9], first.x[5:9].copy(), address(first.frames)
    del first
    gc.collect()
    third = run(3)
    assert address(third.frames) != where  # a view is still there
    np.testing.assert_array_equal(held, before)
    del held, third
    gc.collect()
    assert where in {address(made.frames) for made in (run(4), run(5))}
    np.testing.assert_array_equal(run(1).x[5:9], before)


def test_no_more_is_kept_than_allowed(monkeypatch):
    monkeypatch.setattr(buffers, "_free", [])
    monkeypatch.setattr(buffers, "_KEPT", 3 << 20)
    many = [buffers.empty((1 << 20,), np.uint8) for _ in range(5)]
    del many
    gc.collect()
    assert len(buffers._free) == 3
    again = buffers.empty((1 << 20,), np.uint8)
    assert again.size == 1 << 20 and len(buffers._free) == 2
    large = buffers.empty((5 << 19,), np.uint8)
    del large
    gc.collect()
    assert [memory.size for memory in buffers._free] == [5 << 19]  # the last, for which others go
    assert buffers.empty((1 << 22,), np.float32).base is None  # more than may be kept
    small = buffers.empty((10, 3), np.float16)
    assert small.shape == (10, 3) and small.dtype == np.float16
