"""The file: H5MD, exact contents, what is refused."""

import os
import tomllib

import h5py
import numpy as np
import pytest

import fastrev as fr
from fastrev.engine.config import from_tables
from fastrev.engine.describe import to_toml
from fastrev.store import h5md
from fastrev.store.errors import StoreError

PROCESS = fr.VP()
REVERSE = fr.reverse(PROCESS, PROCESS.score(fr.Gaussian(0.5, 0.5)))


def make(path, **options):
    values = {"n": 3001, "time": (1, 0), "steps": 20, "seed": 6, "frames": 5, "dim": 3}
    return fr.simulate(REVERSE, fr.Gaussian(), out=path, **(values | options))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_contents(tmp_path, dtype):
    run = make(tmp_path / "a.h5", dtype=dtype, shard_size=1000)
    memory = make(None, dtype=dtype)
    with h5py.File(run.path) as file:
        assert file["h5md"].attrs["version"].tolist() == [1, 1]
        assert file["h5md/creator"].attrs["name"] == b"fastrev"
        box = file["particles/trajectory/box"].attrs
        assert box["dimension"] == 3
        assert box["boundary"].tolist() == [b"none"] * 3
        position = file["particles/trajectory/position"]
        np.testing.assert_array_equal(position["value"][:], memory.frames)
        assert position["value"].dtype == dtype
        assert position["value"].chunks is None
        np.testing.assert_array_equal(position["step"][:], [0, 5, 10, 15, 20])
        assert np.all(np.diff(position["time"][:]) > 0)  # elapsed time, also in reverse
        np.testing.assert_allclose(file["observables/forward_time/value"][:], run.times)
        np.testing.assert_allclose(position["time"][:], 1.0 - run.times)
        assert file["fastrev/shards"][:].tolist() == [1, 1, 1, 1]
        assert b"VP" in file["fastrev/specification"][()]
        for name in ("host", "versions", "created", "program"):
            assert file["fastrev"].attrs[name]


def test_reads_back_lazily(tmp_path):
    run, memory = make(tmp_path / "a.h5"), make(None)
    opened = fr.open(run.path)
    assert opened.frames.shape == (5, 3001, 3) == memory.frames.shape
    keys = [
        0, -1, slice(1, 3), (slice(None), 17), (2, slice(5, 50, 7)), (slice(None, None, -1),),
        (slice(None), [3, 1, 2]), (0, 5, 1), (..., 2), (slice(None), slice(-10, None)),
    ]  # fmt: skip
    for key in keys:
        np.testing.assert_array_equal(opened.frames[key], memory.frames[key])
    np.testing.assert_array_equal(opened.x, memory.x)
    np.testing.assert_array_equal(opened.times, memory.times)
    assert opened.seed == 6
    assert opened.throughput > 0
    told = [text.splitlines()[:-2] for text in (repr(opened), repr(run))]
    assert told[0] == told[1]


def test_only_committed_particles_are_seen(tmp_path):
    run = make(tmp_path / "a.h5", shard_size=1000)
    with h5py.File(run.path, "r+") as file:
        file["fastrev/shards"][2] = 0
    assert fr.open(run.path).frames.shape == (5, 2000, 3)
    assert fr.open(run.path).n == 2000
    with pytest.raises(IndexError):
        fr.open(run.path).frames[0, 2500]


def test_existing_file_is_kept(tmp_path):
    path = tmp_path / "a.h5"
    make(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="exists and is kept"):
        make(path, seed=7)
    assert path.read_bytes() == before
    make(path, seed=7, overwrite=True)
    assert path.read_bytes() != before


def test_refused_targets(tmp_path, monkeypatch):
    with pytest.raises(StoreError, match="there is no directory"):
        make(tmp_path / "none" / "a.h5")
    with pytest.raises(StoreError, match="must be a file, got the directory"):
        make(tmp_path)
    with pytest.raises(StoreError, match="GB free"):
        make(tmp_path / "a.h5", n=10**13, dim=1)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(StoreError, match="cannot be written"):
        make(tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


def test_foreign_and_damaged_files(tmp_path):
    with pytest.raises(StoreError, match="there is no file"):
        fr.open(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(StoreError, match="not an HDF5 file"):
        fr.open(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(StoreError, match="not of a fastrev run"):
        fr.open(tmp_path / "other.h5")
    run = make(tmp_path / "new.h5")
    with h5py.File(run.path, "r+") as file:
        file["fastrev"].attrs["format"] = 99
    with pytest.raises(StoreError, match="newer fastrev"):
        fr.open(run.path)


def test_a_failing_write_is_told_and_keeps_what_is_committed(tmp_path, monkeypatch):
    from fastrev.store import writer

    real, calls = writer.write_at, []

    def full(file, array, offset):
        calls.append(1)
        if len(calls) > 18:  # two shards: five frames, three entries, the commit byte
            raise OSError(28, "No space left on device")
        real(file, array, offset)

    monkeypatch.setattr(writer, "write_at", full)
    with pytest.raises(StoreError, match="No space left on device; committed shards are kept"):
        make(tmp_path / "a.h5", shard_size=500)
    kept, memory = fr.open(tmp_path / "a.h5"), make(None)
    assert kept.n == 1000
    np.testing.assert_array_equal(kept.frames[:], memory.frames[:, :1000])


def test_failed_creation_leaves_nothing(tmp_path, monkeypatch):
    def fail(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5md, "_reserve", fail)
    with pytest.raises(StoreError, match="No space left"):
        make(tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


GRIDS = [
    {"time": (1, 0), "steps": 7},
    {"time": fr.TimeGrid.power(1, 0.01, 9, rho=3)},
    {"time": fr.TimeGrid.log(1, 0.01, 9)},
    {"time": fr.TimeGrid([1.0, 0.3, 0.1])},
    {"time": fr.TimeGrid([1.0, 0.1]), "frames": 2},
]


@pytest.mark.parametrize("grid", GRIDS, ids=["uniform", "power", "log", "array", "one step"])
@pytest.mark.parametrize(
    "x0",
    [
        fr.Point(1.0),
        fr.Gaussian([0, 1], 2.0),
        fr.GaussianMixture([1, 2], [0.1, 0.2], 0.3),
        fr.Uniform(0, 1),
        fr.Empirical(np.random.default_rng(1).normal(size=(100, 2))),
        np.random.default_rng(1).normal(size=(20, 2)),
    ],
    ids=lambda x0: type(x0).__name__,
)
def test_toml_round_trip(x0, grid):
    """The text alone gives the run again, bit for bit."""
    run = fr.simulate(REVERSE, x0, n=20, dim=2, seed=2**63 + 1, **({"frames": 3} | grid))
    text = to_toml(run.specification)
    again = from_tables(tomllib.loads(text.toml), text.arrays).specification
    assert to_toml(again).toml == text.toml
    from fastrev.engine.simulate import execute

    np.testing.assert_array_equal(execute(again).frames, run.frames)


def test_users_kernel_is_recorded_not_run(tmp_path):
    def drift(x, t, p):
        return -x

    sde = fr.SDE(drift, 1.0)
    run = fr.simulate(sde, fr.Point(0.0), n=100, steps=5, out=tmp_path / "a.h5", seed=1)
    opened = fr.open(run.path)
    assert "return -x" in opened.toml
    with pytest.raises(fr.InputError, match="process.drift is your own function"):
        opened.trace(0)
    np.testing.assert_array_equal(run.trace(3)[[0, -1]], opened.frames[:, [3]])


def test_replaced_while_open(tmp_path):
    run = make(tmp_path / "a.h5")
    make(tmp_path / "a.h5", n=500, overwrite=True)
    with pytest.raises(StoreError, match="was replaced by another file"):
        run.frames[0]


def test_many_coordinates(tmp_path):
    process = fr.Brownian(0.5)
    run = fr.simulate(process, fr.Point(0.0), n=3, dim=20_000, steps=2, out=tmp_path / "a.h5")
    assert run.frames.shape == (2, 3, 20_000)
    assert abs(run.x.var() - 1) < 0.05


def test_rows_are_on_disk_before_the_commit(tmp_path, monkeypatch):
    from fastrev.store import writer

    events, real = [], writer.write_at

    def recorded(file, array, offset):
        events.append("commit" if array.dtype == np.uint8 else "rows")
        real(file, array, offset)

    monkeypatch.setattr(writer, "write_at", recorded)
    monkeypatch.setattr(writer.Writer, "_sync", lambda self: events.append("sync"))
    make(tmp_path / "a.h5", shard_size=2000)
    one = ["rows"] * 8 + ["sync", "commit"]
    assert events == one * 2 + ["sync"]


def test_caller_may_change_its_array_afterwards():
    x0 = np.zeros((10, 1))
    run = fr.simulate(fr.Brownian(0.5), x0, steps=5, seed=1)
    x0 += 100.0
    np.testing.assert_array_equal(run.trace([3])[-1], run.x[[3]])


@pytest.mark.parametrize("value", [np.float32(0.5), np.int64(1)])
def test_numbers_of_numpy(value):
    process = fr.Brownian(value)
    assert type(process.D) is float
    assert f"D={float(value):g}" in repr(fr.simulate(process, fr.Point(0.0), n=5, steps=2))


def test_jitted_kernels_are_taken_as_functions():
    import numba

    @numba.njit
    def drift(x, t, p):
        return -x

    a, b = (
        fr.simulate(fr.SDE(f, 1.0), fr.Point(1.0), n=9, steps=5, seed=1).x
        for f in (drift, drift.py_func)
    )
    np.testing.assert_array_equal(a, b)
