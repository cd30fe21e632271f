"""Other programs read the file: MDAnalysis, pyh5md, h5dump, xarray; and smaller copies of it."""

import shutil
import subprocess
import warnings

import h5py
import numpy as np
import pytest

import fastrev as fr
from fastrev.store.errors import StoreError
from fastrev.store.repack import repack, rounded


def make(path, dim=3, reverse=True, **options):
    process = fr.VP()
    values = {"n": 2000, "steps": 20, "seed": 6, "frames": 5, "dim": dim, "shard_size": 512}
    if reverse:
        values["time"] = (1, 0)
        process = fr.reverse(process, process.score(fr.Gaussian(0.5, 0.5)))
    return fr.simulate(process, fr.Gaussian(), out=path, **(values | options))


@pytest.mark.parametrize("reverse", [False, True])
def test_mdanalysis(tmp_path, reverse):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import MDAnalysis

        run = make(tmp_path / "a.h5", reverse=reverse)
        universe = MDAnalysis.Universe.empty(2000, trajectory=False)
        universe.load_new(str(run.path), format="H5MD", convert_units=False)
        assert universe.trajectory.n_frames == 5
        times = []
        for f, step in enumerate(universe.trajectory):
            np.testing.assert_array_equal(universe.atoms.positions, run.frames[f])
            times.append(step.time)
            assert step.data["forward_time"] == pytest.approx(run.times[f])
        assert np.all(np.diff(times) > 0)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_pyh5md(tmp_path, dim):
    import pyh5md

    run = make(tmp_path / "a.h5", dim=dim)
    with pyh5md.File(str(run.path), "r") as file:
        position = pyh5md.element(file["particles/trajectory"], "position")
        np.testing.assert_array_equal(position.value[:], run.frames[:])
        assert np.all(np.diff(position.time[:]) > 0)


@pytest.mark.skipif(not shutil.which("h5dump"), reason="h5dump (hdf5-tools) is not installed")
def test_h5dump(tmp_path):
    run = make(tmp_path / "a.h5")
    done = subprocess.run(["h5dump", "-H", str(run.path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "position" in done.stdout


def test_xarray(tmp_path):
    run = make(tmp_path / "a.h5")
    data = fr.open(run.path).to_xarray()
    assert data.x.dims == ("time", "particle", "coordinate")
    np.testing.assert_array_equal(data.x.values, run.frames[:])
    np.testing.assert_array_equal(data.time.values, run.times)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_repack(tmp_path, compression, dtype):
    run = make(tmp_path / "a.h5", dtype=dtype)
    saved = repack(run.path, tmp_path / "b.h5", compression, bits=8)
    assert saved.after < 0.6 * saved.before
    small = fr.open(tmp_path / "b.h5")
    np.testing.assert_allclose(small.frames[:], run.frames[:], rtol=2.0**-9)
    assert not np.array_equal(small.frames[:], run.frames[:])
    for key in (0, -1, (slice(None), 17), (2, slice(5, 50, 7)), (..., 2), (slice(1, 3), [4, 1])):
        np.testing.assert_array_equal(small.frames[key], small.frames[:][key])
    from fastrev.store.validate import validate

    assert {f.level for f in validate(small.path, deep=True)} <= {"ok", "advice"}
    assert fr.resume(small.path).n == 2000
    exact = tmp_path / "c.h5"
    repack(run.path, exact, compression)
    np.testing.assert_array_equal(fr.open(exact).frames[:], run.frames[:])


def test_rounding_is_to_nearest():
    x = np.float32([1.0, 1.5, 1 + 2.0**-10, -1 - 3 * 2.0**-10, np.inf, -np.inf])
    want = np.float32([1.0, 1.5, 1.0, -1 - 2.0**-8, np.inf, -np.inf])
    np.testing.assert_array_equal(rounded(x, 23 - 9), want)
    assert np.isnan(rounded(np.float32([np.nan]), 14)).all()


def test_refused_repacks(tmp_path):
    run = make(tmp_path / "a.h5")
    for arguments, message in (
        ({"compression": "rar"}, "compression must be 'gzip' or 'zstd'"),
        ({"level": 11}, "level must be between 0 and 9"),
        ({"bits": 99}, "bits must be between 1 and 23"),
    ):
        with pytest.raises(StoreError, match=message):
            repack(run.path, tmp_path / "b.h5", **arguments)
    with h5py.File(run.path, "r+") as file:
        file["fastrev/shards"][0] = 0
    with pytest.raises(StoreError, match="not finished"):
        repack(run.path, tmp_path / "b.h5")
    assert not (tmp_path / "b.h5").exists()


@pytest.mark.parametrize("keep", [1, 3])
def test_extend(tmp_path, keep):
    run = make(tmp_path / "a.h5", keep=keep)
    longer = fr.extend(run.path, 3333, tmp_path / "b.h5")
    whole = make(None, n=3333, keep=keep)
    np.testing.assert_array_equal(longer.frames[:], whole.frames)
    for few in (2000, None):
        with pytest.raises(fr.InputError, match=f"n must exceed the 2,000 .* got (2,000|{few})"):
            fr.extend(run.path, few, tmp_path / "c.h5")
