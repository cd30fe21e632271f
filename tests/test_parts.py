"""A run in parts: each a file of its own, and together, byte for byte, the whole run."""

import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor

import h5py
import numpy as np
import problems
import pytest
from typer.testing import CliRunner

import fastrev as fr
from fastrev.cli import app
from fastrev.store.reader import content_digest
from fastrev.store.validate import validate


def square(x, t, p):
    return x * x


STATES = np.random.default_rng(1).normal(size=(3001, 2)).astype(np.float32)
COMMON = {"steps": 20, "seed": 5, "frames": 3, "shard_size": 250, "time": (0.0, 1.0)}
OBSERVE = {"h": fr.Histogram(-2, 2, 50), "phi": fr.Mean(square), "m": fr.Moments()}
RUNS = {
    "drawn": (fr.Brownian(0.5), fr.Gaussian(), {"n": 3001, "dim": 2, "observe": OBSERVE}),
    "given": (fr.Brownian(0.5), STATES, {"keep": 3}),
    "walls": (
        fr.Brownian(0.5), fr.Gaussian(),
        {"n": 2999, "boundary": fr.Absorb(-1, 1), "keep": [5, 2000]},
    ),
    "box": (fr.Brownian(0.5), fr.Uniform(0, 1), {"n": 500, "boundary": fr.Periodic(0, 1)}),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_merged_parts_are_the_whole(name, tmp_path, count=3):
    process, x0, options = RUNS[name]
    options = COMMON | options
    if name == "box":
        options["shard_size"] = 100
    whole = fr.simulate(process, x0, out=tmp_path / "whole.h5", **options)
    paths = [tmp_path / f"{k}.h5" for k in range(count, 0, -1)]
    rows = 0
    for k, path in zip(range(count, 0, -1), paths, strict=True):
        part = fr.simulate(process, x0, out=path, part=(k, count), **options)
        inner = fr.simulate(process, x0, part=(k, count), **options)
        np.testing.assert_array_equal(inner.frames, part.frames[:])
        at = np.searchsorted(whole.ids, part.ids)
        np.testing.assert_array_equal(whole.ids[at], part.ids)
        np.testing.assert_array_equal(whole.frames[:][:, at], part.frames[:])
        assert not any(f.level == "error" for f in validate(path, deep=True))
        rows += part.n
    assert rows == whole.n
    merged = fr.merge(paths, tmp_path / "merged.h5")
    assert content_digest(merged.path) == content_digest(whole.path)
    np.testing.assert_array_equal(merged.frames[:], whole.frames[:])
    assert not any(f.level == "error" for f in validate(merged.path, deep=True))
    for key, one in whole.observables.items():
        for field in ("counts", "mean", "cov"):
            if hasattr(one, field):
                again = getattr(merged.observables[key], field)
                np.testing.assert_array_equal(again, getattr(one, field))
    if name == "walls":
        np.testing.assert_array_equal(merged.first_passage, whole.first_passage)
    if name == "box":
        with h5py.File(merged.path) as file:
            assert file["particles/trajectory/box/edges"][:].tolist() == [1.0]
    again = fr.open(merged.path, {"observe.phi.kernel": square} if "observe" in options else None)
    np.testing.assert_array_equal(again.trace(123), whole.trace(123))


def test_a_part_is_resumed(tmp_path):
    process, x0, options = RUNS["drawn"]
    options = COMMON | options
    part = fr.simulate(process, x0, out=tmp_path / "a.h5", part=(2, 3), **options)
    wanted = part.frames[:]
    assert "part       2 of 3" in repr(part)
    assert "committed" not in repr(part)
    with h5py.File(part.path, "r+") as file:
        file["fastrev/shards"][1] = 0
        file["particles/trajectory/position/value"][:, 250:500] = 0
    paths = [tmp_path / f"{k}.h5" for k in (1, 3)]
    for k, path in zip((1, 3), paths, strict=True):
        fr.simulate(process, x0, out=path, part=(k, 3), **options)
    with pytest.raises(fr.InputError, match=r"a.h5 lacks 1 of its shards; resume it first"):
        fr.merge([part.path, *paths], tmp_path / "m.h5")
    again = fr.resume(part.path, kernels={"observe.phi.kernel": square})
    np.testing.assert_array_equal(again.frames[:], wanted)
    assert fr.merge([part.path, *paths], tmp_path / "m.h5").n == 3001


def test_bad_requests(tmp_path):
    process, x0, options = RUNS["drawn"]
    options = COMMON | options

    def make(k, m, name, **changed):
        return fr.simulate(process, x0, out=tmp_path / name, part=(k, m), **(options | changed))

    for call, message in (
        (lambda: make(4, 3, "x.h5"), r"the k-th of m parts from 1 on, got \(4, 3\)"),
        (lambda: make(0, 3, "x.h5"), "part: .* greater than 0"),
        (lambda: make(1, 3, "x.h5", seed=None), "part needs a seed"),
        (lambda: make(1, 14, "x.h5"), "in shards of 250 cannot be cut in 14 parts"),
        (lambda: make(1, 3, "x.h5", until=fr.StandardError("phi", 0.1)), "do not go together"),
    ):
        with pytest.raises(fr.InputError, match=message):
            call()
    assert not (tmp_path / "x.h5").exists()
    one, two = (make(k, 2, f"{k}.h5").path for k in (1, 2))
    third, other = make(1, 3, "3.h5").path, make(2, 2, "other.h5", seed=6).path
    whole = fr.simulate(process, x0, out=tmp_path / "w.h5", **options).path
    shutil.copy(two, tmp_path / "copy.h5")
    for given, message in (
        ([one], "of 2 parts there lack 2"),
        ([one, two, third], r"parts of one run, got parts of \[2, 3\]"),
        ([one, two, tmp_path / "copy.h5"], "are both part 2 of 2"),
        ([one, other], "other.h5 is a part of another run"),
        ([one, whole], "w.h5 is no part of a run"),
        ([], "merge needs the parts of one run"),
    ):
        with pytest.raises(fr.InputError, match=message):
            fr.merge(given, tmp_path / "m.h5")
    assert not (tmp_path / "m.h5").exists()
    with pytest.raises(fr.InputError, match="out must be another file than the parts"):
        fr.merge([one, two], two, overwrite=True)
    with pytest.raises(fr.InputError, match="is part 1 of 2 of a run; merge them first"):
        fr.extend(one, 5000, tmp_path / "m.h5", kernels={"observe.phi.kernel": square})


def test_by_command(tmp_path, monkeypatch):
    """One by one as an array of jobs would, and all by one command, on workers; then merged."""
    monkeypatch.chdir(tmp_path)
    config = problems.brownian_config(n=4000, steps=20, frames=2, seed=3)
    (tmp_path / "c.toml").write_text(config)

    def call(*args):
        done = CliRunner().invoke(app, args)
        assert done.exit_code == 0, (done.output, done.exception)
        return " ".join(done.output.split())

    call("run", "c.toml", "-o", "w.h5", "--no-figure")
    for k in (1, 2, 3):
        call("run", "c.toml", "-o", "a.h5", "--no-figure", "--part", f"{k}/3")
    call("merge", "a.part1of3.h5", "a.part2of3.h5", "a.part3of3.h5", "-o", "a.h5")
    wanted = fr.open("w.h5").frames[:]
    np.testing.assert_array_equal(fr.open("a.h5").frames[:], wanted)
    said = call("run", "c.toml", "-o", "b.h5", "--parts", "3", "--processes", "2")
    assert said.endswith("join them: fastrev merge b.part*of3.h5 -o b.h5")
    parts = sorted(str(path) for path in tmp_path.glob("b.part*of3.h5"))
    before = [path.stat().st_mtime_ns for path in tmp_path.glob("b.part*of3.h5")]
    call("run", "c.toml", "-o", "b.h5", "--parts", "3")  # what is there is not run again
    assert before == [path.stat().st_mtime_ns for path in tmp_path.glob("b.part*of3.h5")]
    call("merge", *parts, "-o", "b.h5")
    np.testing.assert_array_equal(fr.open("b.h5").frames[:], wanted)
    for text in ("3", "3/", "a/b"):
        done = CliRunner().invoke(app, ["run", "c.toml", "--part", text])
        assert "K/M, such as 3/8" in str(done.exception)


@pytest.mark.slow
def test_a_worker_that_lacks_the_users_module(tmp_path, monkeypatch):
    """A function goes to a worker by value: it need not be able to import it."""
    (tmp_path / "only_here.py").write_text(
        "HALF = 0.5\n\n\ndef pull(x, t, p):\n    return -HALF * x\n"
    )
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(int).result()  # started before the folder is known
        monkeypatch.syspath_prepend(tmp_path)
        from only_here import pull

        options = {"n": 2000, "steps": 10, "seed": 1, "shard_size": 500}
        run = fr.simulate(fr.SDE(pull, 1.0), fr.Gaussian(), executor=pool, **options)
    own = fr.simulate(fr.SDE(pull, 1.0), fr.Gaussian(), **options)
    np.testing.assert_array_equal(run.x, own.x)
