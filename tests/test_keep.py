"""What a file keeps: which frames, which particles, in which precision; and starting from one."""

import numpy as np
import pytest

import fastrev as fr

PROCESS = fr.OrnsteinUhlenbeck(1.0, 2.0)
COMMON = {"n": 5001, "time": (0, 1), "steps": 30, "seed": 3, "frames": 4, "dim": 2}


def run(**options):
    return fr.simulate(PROCESS, fr.Gaussian(), **(COMMON | options))


KEEPS = {
    "stride": (7, np.arange(0, 5001, 7)),
    "range": (slice(900, 3000), np.arange(900, 3000)),
    "both": (range(11, 4000, 1000), np.arange(11, 4000, 1000)),
    "ids": ([4999, 0, 17, 18], np.array([0, 17, 18, 4999])),
}


@pytest.mark.parametrize("size", [5001, 700, 64])
@pytest.mark.parametrize("name", KEEPS)
def test_subsets(name, size, tmp_path):
    keep, ids = KEEPS[name]
    whole = run()
    part = run(keep=keep, shard_size=size)
    np.testing.assert_array_equal(part.frames, whole.frames[:, ids])
    filed = run(keep=keep, shard_size=size, out=tmp_path / "a.h5")
    np.testing.assert_array_equal(filed.frames[:], part.frames)
    opened = fr.open(filed.path)
    assert opened.n == len(ids)
    np.testing.assert_array_equal(opened.trace([17])[::10], whole.frames[:, [17]])
    assert fr.resume(filed.path).n == len(ids)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_storage(dtype, tmp_path):
    whole = run(dtype=dtype)
    for storage in ("float16", "float32"):
        small = run(dtype=dtype, storage=storage, out=tmp_path / f"{storage}.h5")
        assert small.frames[:].dtype == storage
        want = whole.frames.astype(storage)  # rounded once
        np.testing.assert_array_equal(small.frames[:], want)
        path = small.trace([5])[::10]
        np.testing.assert_array_equal(path, whole.frames[:, [5]])


def test_half_precision_over_its_whole_range():
    """Against NumPy: every float16, the numbers between, ties, and beyond."""
    from numba import njit

    from fastrev.kernels.half import half_bits

    @njit
    def convert(x, y):
        for i in range(len(x)):
            y[i] = half_bits(x[i])

    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    exact = halves[np.isfinite(halves)].astype(np.float32)
    near = [np.nextafter(exact, np.float32(s)) for s in (-np.inf, np.inf)]
    ordered = np.sort(exact)
    between = (ordered[1:] + ordered[:-1]) / 2
    rest = np.random.default_rng(1).integers(0, 2**32, 200_000, dtype=np.uint32).view(np.float32)
    x = np.concatenate([exact, *near, between, rest, np.float32([65519.9, 65520, 1e30, np.inf])])
    with np.errstate(over="ignore"):
        want = x.astype(np.float16)
    got = np.empty(len(x), np.uint16)
    convert(x, got)
    known = ~np.isnan(want)
    np.testing.assert_array_equal(got[known], want.view(np.uint16)[known])
    assert np.isnan(got.view(np.float16)[~known]).all()


def test_frame_stride():
    whole, part = run(frames=31), run(frames={"every": 7})
    np.testing.assert_array_equal(part.frames, whole.frames[[0, 7, 14, 21, 28, 30]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 0}, "keep: .*greater than 0"),
        ({"keep": slice(6000, None)}, "keep leaves no particle of 5001"),
        ({"keep": [3, 5001]}, "keep must be ids between 0 and 5000, got 5001"),
        ({"storage": "int8"}, "storage: .*'float16', 'float32' or 'float64'"),
        ({"frames": {"every": 0}}, "frames: "),
        ({"frames": {"evry": 5}}, "frames: "),
    ],
)
def test_bad_requests(options, message):
    with pytest.raises(fr.InputError, match=message):
        run(**options)


@pytest.mark.parametrize("storage", ["float16", "float32"])
def test_start_from_a_file(tmp_path, storage):
    first = run(out=tmp_path / "a.h5", storage=storage)
    on = {"time": (1, 2), "steps": 20, "seed": 4, "shard_size": 777}
    from_file = fr.simulate(PROCESS, first.path, out=tmp_path / "b.h5", **on)
    from_array = fr.simulate(PROCESS, first.x.astype(np.float32), **on)
    np.testing.assert_array_equal(from_file.frames[:], from_array.frames)
    np.testing.assert_array_equal(fr.open(from_file.path).trace([9])[-1], from_array.x[[9]])
    assert 'kind = "file"' in from_file.toml
    fewer = fr.simulate(PROCESS, str(first.path), time=(1, 2), steps=3, seed=4, n=5001, dim=2)
    assert fewer.n == 5001
    with pytest.raises(fr.InputError, match=r"holds \(5001, 2\), the run wants"):
        fr.simulate(PROCESS, first.path, n=10)
    run(out=tmp_path / "a.h5", storage=storage, overwrite=True, seed=99)
    with pytest.raises(fr.InputError, match="is not the file that this run began from"):
        fr.open(from_file.path).trace([9])
    import h5py

    with h5py.File(first.path, "r+") as file:
        file["fastrev/shards"][0] = 0
    with pytest.raises(fr.InputError, match="is not finished: 0 of 1 shards"):
        fr.simulate(PROCESS, first.path)
