"""Interrupted, damaged and foreign files: what is committed stays, what is missing comes back."""

import hashlib
import os
import subprocess
import sys
import time

import h5py
import kill
import numpy as np
import pytest

import fastrev as fr
from fastrev.engine import threads
from fastrev.store.errors import StoreError
from fastrev.store.h5md import offsets_of
from fastrev.store.validate import damaged_shards, validate


def test_killed_at_random_moments(tmp_path):
    reference = kill.run()
    rng = np.random.default_rng()
    counts = [
        kill.kill_and_resume(tmp_path / "a.h5", reference, rng.uniform(0, 0.7)) for _ in range(12)
    ]
    assert any(0 < c < -(-kill.N // kill.SHARD) for c in counts)


def test_read_by_plain_h5py_while_it_grows(tmp_path):
    path = tmp_path / "a.h5"
    child, seen = kill.start(path), []
    while child.poll() is None:
        with h5py.File(path, "r") as file:
            seen.append(int(np.count_nonzero(file["fastrev/shards"][:])))
            file["particles/trajectory/position/value"][0, :10]
        assert fr.open(path).n >= seen[-1] * kill.SHARD - kill.SHARD
        time.sleep(0.01)
    assert child.returncode == 0
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


def make(path, **options):
    process = fr.VP()
    reverse = fr.reverse(process, process.score(fr.Gaussian(0.5, 0.5)))
    values = {"n": 5000, "time": (1, 0), "steps": 20, "seed": 6, "frames": 5, "shard_size": 512}
    return fr.simulate(reverse, fr.Gaussian(), out=path, **(values | options))


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def uncommit(path, shards):
    with h5py.File(path, "r+") as file:
        file["fastrev/shards"][shards] = 0
        for index in shards:
            file["particles/trajectory/position/value"][:, index * 512 : (index + 1) * 512] = 0


@pytest.mark.parametrize("x0", ["law", "array"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_resume_computes_only_what_is_missing(tmp_path, monkeypatch, dtype, x0):
    options = {"dtype": dtype, "generator": {"float32": "philox", "float64": "ars"}[dtype]}
    if x0 == "array":
        start = np.random.default_rng(1).normal(size=(5000, 1))
        run = fr.simulate(
            fr.Brownian(0.5), start, steps=20, seed=6, frames=5, shard_size=512,
            out=tmp_path / "a.h5", **options,
        )  # fmt: skip
    else:
        run = make(tmp_path / "a.h5", **options)
    want = run.frames[:]
    uncommit(run.path, [3, 4, 9])
    assert fr.open(run.path).n == 3 * 512
    from fastrev.engine.program import Program

    real, computed = Program.run_shard, []

    def counted(program, shard, *rest):
        computed.append(shard.index)
        return real(program, shard, *rest)

    monkeypatch.setattr(Program, "run_shard", counted)
    resumed = fr.resume(run.path)
    assert computed == [3, 4, 9]
    np.testing.assert_array_equal(resumed.frames[:], want)
    fr.resume(run.path)
    assert computed == [3, 4, 9]


def drift(x, t, p):
    return -x


def other(x, t, p):
    return -1.01 * x


def with_own_drift(path):
    sde = fr.SDE(drift, 1.0)
    run = fr.simulate(sde, fr.Point(0.0), n=2000, steps=5, out=path, seed=1, shard_size=512)
    uncommit(path, [1])
    return run


def test_users_kernel_is_asked_for_and_checked(tmp_path):
    path = tmp_path / "a.h5"
    with_own_drift(path)
    with pytest.raises(fr.InputError, match=r"process.drift is your own function .*kernels="):
        fr.resume(path)
    with pytest.raises(fr.InputError, match="process.drift: the function given differs"):
        fr.resume(path, kernels={"process.drift": other})
    with pytest.raises(fr.InputError, match="records no function 'drift'"):
        fr.resume(path, kernels={"process.drift": drift, "drift": drift})
    assert fr.open(path).n == 512
    assert fr.resume(path, kernels={"process.drift": drift}).n == 2000
    opened = fr.open(path, kernels={"process.drift": "test_resume:drift"})
    np.testing.assert_array_equal(opened.trace([5])[-1], opened.frames[-1, 5:6])


def test_data_that_are_no_numbers_are_refused(tmp_path):
    run = make(tmp_path / "a.h5")
    with h5py.File(run.path, "r+") as file:
        position = file["particles/trajectory/position"]
        shape = position["value"].shape
        del position["value"]
        position.create_dataset("value", shape, h5py.string_dtype())
    for call in (fr.open, fr.resume, validate):
        with pytest.raises(StoreError, match="floating point"):
            call(run.path)


def test_stored_source_runs_only_with_trust(tmp_path):
    path = tmp_path / "a.h5"
    with_own_drift(path)
    assert fr.resume(path, trust=True).n == 2000
    marker = tmp_path / "marker"
    with h5py.File(path, "r+") as file:
        text = file["fastrev/specification"][()].decode()
        assert "return -x" in text
        evil = text.replace("return -x", f"return -x\\nopen({str(marker)!r}, 'w')")
        evil = evil.replace("diffusion = 1.0", 'diffusion = "os:system"')
        del file["fastrev/specification"]
        file["fastrev/specification"] = np.bytes_(evil.encode())
    from fastrev.analysis.figures import save_overview

    run = fr.open(path)
    repr(run)
    run.frames[-1]
    validate(path, deep=True)
    save_overview({"a": run}, tmp_path / "a.png")
    run.compare(fr.open(path))
    for call in (
        lambda: run.trace(0),
        lambda: fr.resume(path),
        lambda: fr.resume(path, kernels={"process.drift": drift}),
    ):
        with pytest.raises(fr.InputError):
            call()
    assert not marker.exists()


def test_other_mathematics_is_refused(tmp_path, monkeypatch):
    run = make(tmp_path / "a.h5")
    uncommit(run.path, [2])
    from fastrev.model import process

    real = process.VP._beta
    monkeypatch.setattr(process.VP, "_beta", lambda self, t: real(self, t) * (1 + 1e-6))
    with pytest.raises(fr.InputError, match="differ from those that began the file"):
        fr.resume(run.path)
    with pytest.raises(fr.InputError, match="differ from those that began the file"):
        fr.open(run.path).trace([0])
    missing = run.specification.n - 1  # of the last shard: no frame to hold its path against
    assert np.isfinite(fr.open(run.path).trace([missing])).all()


def test_repair_restores_every_byte(tmp_path):
    run = make(tmp_path / "a.h5", n=200_000, dim=2)
    before = digest(run.path)
    assert damaged_shards(run.path) == []
    with h5py.File(run.path) as file:
        at = offsets_of(file).value
        size = file["particles/trajectory/position/value"].nbytes
    rng, hit = np.random.default_rng(), set()
    with open(run.path, "r+b") as file:
        for _ in range(20):
            place = int(rng.integers(size))
            hit.add(place // 8 % 200_000 // 512)
            file.seek(at + place)
            byte = file.read(1)[0]
            file.seek(at + place)
            file.write(bytes([byte ^ (1 << int(rng.integers(8)))]))
    assert digest(run.path) != before
    assert damaged_shards(run.path) == sorted(hit)
    found = [f for f in validate(run.path, deep=True) if f.level == "error"]
    assert [f.rule for f in found] == ["checksums of shards"]
    fr.resume(run.path)  # without repair nothing is missing
    assert damaged_shards(run.path) == sorted(hit)
    fr.resume(run.path, repair=True)
    assert digest(run.path) == before


def test_one_writer_at_a_time(tmp_path):
    run = make(tmp_path / "a.h5")
    uncommit(run.path, [2])
    from fastrev.store.reader import read_header
    from fastrev.store.writer import Writer

    with h5py.File(run.path) as file:
        offsets = offsets_of(file)
    script = f"import fastrev as fr; fr.resume({str(run.path)!r})"
    with Writer(run.path, read_header(run.path), offsets):
        fr.open(run.path).frames[0]  # readers are not kept out
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.returncode != 0
        assert "is being written by another process" in done.stderr
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
    assert fr.open(run.path).n == 5000


def test_cut_short_and_damaged_headers(tmp_path):
    run = make(tmp_path / "a.h5")
    whole = run.path.read_bytes()
    run.path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(StoreError, match="damaged"):
        fr.open(run.path)
    run.path.write_bytes(b"\0" * 2048 + whole[2048:])
    with pytest.raises(StoreError, match="damaged"):
        fr.resume(run.path)


def test_validate_finds_broken_rules(tmp_path):
    run = make(tmp_path / "a.h5", dim=3)
    assert {f.level for f in validate(run.path)} <= {"ok", "advice"}
    box = "particles/trajectory/box"
    changes = {
        "version is Integer": lambda f: f["h5md"].attrs.__setitem__("version", "1.1"),
        "author has a string name": lambda f: f["h5md/author"].attrs.__delitem__("name"),
        "box has a dimension": lambda f: f[box].attrs.__delitem__("dimension"),
        "box boundary": lambda f: f[box].attrs.__setitem__("boundary", b"none"),
        "time increases": lambda f: f["particles/trajectory/position/time"].__setitem__(1, 0.0),
        "shards holds": lambda f: f["fastrev/shards"].__setitem__(0, 7),
    }  # fmt: skip
    for rule, change in changes.items():
        make(run.path, dim=3, overwrite=True)
        with h5py.File(run.path, "r+") as file:
            change(file)
        broken = [f.rule for f in validate(run.path) if f.level == "error"]
        assert any(rule in text for text in broken), rule


def test_interrupted_run_is_resumable(tmp_path, monkeypatch):
    calls = []

    def interrupted(pieces, work):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return [work(piece) for piece in pieces]

    monkeypatch.setattr(threads, "for_each", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "a.h5")
    assert fr.open(tmp_path / "a.h5").n == 3 * 512
    assert fr.resume(tmp_path / "a.h5").n == 5000
    np.testing.assert_array_equal(fr.open(tmp_path / "a.h5").frames[:], make(None).frames)
    assert os.listdir(tmp_path) == ["a.h5"]
