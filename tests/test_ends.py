"""Where runs end, or go on, otherwise than they were meant to: other files, other rounds, other
numbers than a frame holds."""

import os
import signal
import threading
import time
from concurrent.futures import Executor, Future

import h5py
import numpy as np
import pytest

import fastrev as fr
from fastrev.engine.options import checked
from fastrev.engine.program import Program
from fastrev.store import h5md, writer
from fastrev.store.repack import repack

B, P = fr.Brownian(0.5), fr.Point(0.0)


class Here(Executor):
    """Runs a task when it is given out; one number is lost with its machine."""

    def __init__(self, lost=None):
        self.lost, self.given = lost, []

    def submit(self, function, index, *args):
        future = Future()
        self.given.append((function, index, args))
        if index == self.lost:
            future.set_exception(OSError("machine lost"))
        else:
            future.set_result(function(index, *args))
        return future


UNTIL = {
    "n": 400_000, "steps": 4, "frames": 2, "shard_size": 500,
    "observe": {"a": fr.Quantiles([0.01])}, "until": fr.StandardError("a", 0.03),
}  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_a_run_that_may_stop_ends_the_same_after_an_interruption(tmp_path, monkeypatch, seed):
    whole, path, real, count = fr.simulate(B, P, seed=seed, **UNTIL), tmp_path / "a.h5", None, []
    real = Program.run_shard

    def interrupted(self, *args):
        count.append(1)
        if len(count) == 6:
            raise KeyboardInterrupt
        return real(self, *args)

    monkeypatch.setattr(Program, "run_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fr.simulate(B, P, seed=seed, out=path, **UNTIL)
    monkeypatch.setattr(Program, "run_shard", real)
    ended = fr.resume(path)
    assert ended.n == whole.n
    np.testing.assert_array_equal(ended.frames[:], whole.frames)


def test_a_run_that_may_stop_keeps_what_a_lost_machine_left(tmp_path):
    path = tmp_path / "a.h5"
    with pytest.raises(fr.WorkerError):
        fr.simulate(B, P, seed=5, out=path, executor=Here(lost=2), **UNTIL)
    before = int(fr.open(path).observables["a"].n[0])
    ended = fr.resume(path)
    assert ended.n >= before and ended.n == fr.simulate(B, P, seed=5, **UNTIL).n
    assert np.nanmax(ended.observables["a"].stderr) <= 0.03


def test_a_run_that_stops_before_its_kept_particles(tmp_path):
    options = UNTIL | {"keep": [399_998, 399_999], "observe": fr.Moments()}
    options["until"] = fr.StandardError("moments", 0.05)
    path = tmp_path / "a.h5"
    assert fr.simulate(B, P, seed=1, out=path, **options).x.shape == (0, 1)
    run = fr.open(path)
    assert run.ids.size == 0 and run.trace(3).shape == (5, 1, 1) and run.particles < 400_000


def test_a_late_worker_does_not_write_into_another_file(tmp_path):
    path, options = tmp_path / "a.h5", {"n": 4000, "steps": 5, "shard_size": 1000}
    pool = Here(lost=3)
    with pytest.raises(fr.WorkerError):
        fr.simulate(B, fr.Point(100.0), seed=1, out=path, executor=pool, **options)
    function, index, args = pool.given[-1]
    run = fr.simulate(B, P, seed=2, out=path, overwrite=True, **options)
    before = np.array(run.frames[:])
    with pytest.raises(fr.StoreError, match="replaced by another file"):
        function(index, *args)
    np.testing.assert_array_equal(fr.open(path).frames[:], before)


def test_a_file_that_is_being_written_is_not_replaced(tmp_path):
    path = tmp_path / "a.h5"

    def also(self, *args):
        with pytest.raises(fr.StoreError, match="being written by another process"):
            h5md.create(path, header, overwrite=True)
        return real(self, *args)

    from fastrev.store.reader import read_header

    fr.simulate(B, P, n=100, steps=2, out=path)
    header, real = read_header(path), Program.run_shard
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Program, "run_shard", also)
        fr.simulate(B, P, n=100, steps=2, out=path, overwrite=True)


def test_a_run_whose_file_was_replaced_says_so(tmp_path, monkeypatch):
    path, real = tmp_path / "a.h5", Program.run_shard
    fr.simulate(B, fr.Point(9.0), n=100, steps=2, out=tmp_path / "b.h5")

    def replaced(self, *args):
        if (tmp_path / "b.h5").exists():
            os.replace(tmp_path / "b.h5", path)
        return real(self, *args)

    monkeypatch.setattr(Program, "run_shard", replaced)
    with pytest.raises(fr.StoreError, match="replaced by another file"):
        fr.simulate(B, P, n=100, steps=2, out=path)


def test_the_start_of_a_run_is_not_overwritten(tmp_path):
    path = tmp_path / "a.h5"
    fr.simulate(B, P, n=100, steps=2, out=path)
    with pytest.raises(fr.InputError, match="out must not be the file that x0 is read from"):
        fr.simulate(B, path, steps=2, out=path, overwrite=True)
    assert fr.open(path).x.shape == (100, 1)


def test_interrupted_twice_a_writer_still_lets_go(tmp_path, monkeypatch):
    path, real = tmp_path / "a.h5", writer.write_at

    def slow(*args):
        time.sleep(0.25)
        return real(*args)

    def twice():
        for wait in (0.8, 0.3):
            time.sleep(wait)
            os.kill(os.getpid(), signal.SIGINT)

    fr.simulate(B, P, n=1000, steps=20)  # compiled
    monkeypatch.setattr(writer, "write_at", slow)
    # a shell's background jobs ignore the signal, and hand that on
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=twice)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            fr.simulate(B, P, n=200_000, steps=20, seed=1, shard_size=20_000, out=path)
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    monkeypatch.setattr(writer, "write_at", real)
    assert "fastrev-writer" not in [thread.name for thread in threading.enumerate()]
    assert fr.resume(path).n == 200_000


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_float16_frames_do_not_hold_is_counted(dtype):
    with pytest.warns(RuntimeWarning, match="ends at 65504; particle . first at step 0"):
        run = fr.simulate(
            B, fr.Point(70000.0), n=5, steps=3, storage="float16", dtype=dtype, seed=1
        )
    assert run.non_finite == 5 and np.isinf(run.x).all()


def test_float16_is_rounded_once_from_float64():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50_000, 1)) * np.exp(rng.uniform(-20.0, 9.0, (50_000, 1)))
    ties = x.astype("f2").astype("f8") * (1.0 + 2.0**-11) * (1.0 + 2.0**-40)
    x = np.concatenate([x, ties, [[1.0 + 2.0**-11 + 2.0**-30], [1e-300], [-0.0]]])
    x = x[np.abs(x[:, 0]) < 6e4]
    still = fr.SDE(lambda x, t, p: 0.0 * x, 0.0)
    run = fr.simulate(still, x, steps=1, dtype="float64", storage="float16")
    np.testing.assert_array_equal(run.frames[0].view("u2"), x.astype("f2").view("u2"))
    twice = x.astype("f4").astype("f2").view("u2")
    assert (run.frames[0].view("u2") != twice).any()


def test_a_mask_keeps_what_it_says(tmp_path):
    x0 = np.arange(6.0)
    run = fr.simulate(fr.Brownian(1e-9), x0, steps=1, keep=x0 > 2.5, out=tmp_path / "a.h5")
    assert run.ids.tolist() == fr.open(tmp_path / "a.h5").ids.tolist() == [3, 4, 5]
    with pytest.raises(fr.InputError, match="mask must have shape"):
        fr.simulate(B, x0, steps=1, keep=np.ones(5, bool))
    with pytest.raises(fr.InputError, match="keep"):
        fr.simulate(B, x0, steps=1, keep=[True, False])


def test_speed_counts_all_particles(tmp_path):
    for out in (None, tmp_path / "a.h5"):
        run = fr.simulate(B, P, n=10_000, steps=5, keep=10, out=out, shard_size=1000)
        assert run.particles == 10_000 and run.n == 1000
        assert run.throughput * run.seconds == pytest.approx(10_000 * 5)
        assert "committed" not in repr(run) and "kept       1,000" in repr(run)


def test_rounded_rows_go_nowhere_else(tmp_path):
    fr.simulate(B, fr.Gaussian(), n=3000, steps=2, shard_size=1000, out=tmp_path / "a.h5")
    repack(tmp_path / "a.h5", tmp_path / "b.h5", bits=5)
    repack(tmp_path / "a.h5", tmp_path / "c.h5")
    with pytest.raises(fr.StoreError, match="rounded to 5 bits"):
        fr.extend(tmp_path / "b.h5", 4000, tmp_path / "d.h5")
    assert fr.extend(tmp_path / "c.h5", 4e3, tmp_path / "e.h5").n == 4000


def test_repacking_stops_before_the_disk_is_full(tmp_path, monkeypatch):
    from fastrev.store import repack as module

    fr.simulate(B, fr.Gaussian(), n=30_000, steps=2, shard_size=10_000, out=tmp_path / "a.h5")
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=2_100_000))
    with pytest.raises(fr.StoreError, match="2 MB free"):
        repack(tmp_path / "a.h5", tmp_path / "b.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_a_file_without_frames(tmp_path):
    path = tmp_path / "a.h5"
    run = fr.simulate(B, P, n=50, steps=5, frames=0, observe=fr.Moments(), out=path)
    assert run.frames[:, :5].shape == (0, 5, 1)
    with pytest.raises(fr.InputError, match="keeps no frames"):
        fr.simulate(B, path, steps=5)
    repack(path, tmp_path / "b.h5")
    assert fr.open(tmp_path / "b.h5").observables["moments"].n[0] == 50
    fr.simulate(B, P, n=50, steps=5, out=tmp_path / "c.h5")
    repack(tmp_path / "c.h5", tmp_path / "d.h5")
    assert fr.open(tmp_path / "d.h5").frames[1:1].shape == (0, 50, 1)


def test_observables_say_in_the_file_what_they_are(tmp_path):
    path, observe = tmp_path / "a.h5", {"h": fr.Histogram(-2, 2, 8), "m": fr.Moments()}
    run = fr.simulate(B, fr.Gaussian(), n=5000, steps=2, observe=observe, out=path, shard_size=1000)
    with h5py.File(path) as file:
        own = file["fastrev/observables"]
        assert own["h"].attrs["layout"] == b"below -2, counts of 8 even bins up to 2, above, NaN"
        assert own["m"].attrs["layout"].startswith(b"n, r (d), sum y (d)")
        counts = own["h/numbers"][:].sum(axis=0)[:, 1:9]
    np.testing.assert_array_equal(counts, run.observables["h"].counts)


def test_parts_of_other_data_are_run_anew(tmp_path):
    from fastrev.engine.parts import run_parts
    from fastrev.engine.simulate import specified

    def parts(mean, **how):
        points = np.random.default_rng(0).normal(mean, 1.0, 500)
        spec = specified(
            fr.VP(), fr.Empirical(points), n=400, steps=2, seed=1, time=(0, 0.01),
            shard_size=100, part=(1, 2),
        )  # fmt: skip
        paths = run_parts(spec, tmp_path / "a.h5", **how)
        return float(np.mean([fr.open(path).x.mean() for path in paths]))

    assert abs(parts(0.0)) < 1.0
    with pytest.raises(fr.StoreError, match="out exists"):
        parts(50.0)
    assert parts(50.0, overwrite=True) > 40.0
    (tmp_path / "a.part1of2.h5").write_text("hello")
    assert parts(50.0, overwrite=True) > 40.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fr.simulate(B, np.ones(3) * 1j, steps=1), "x0 must be real"),
        (lambda: fr.simulate(B, np.ma.masked_equal([1.0, 2.0], 2.0), steps=1), "masked"),
        (lambda: fr.simulate(B, P, n=2**63, steps=1), "n: .*less than"),
        (lambda: fr.simulate(B, P, n=9, steps=1, out="a" * 300 + ".h5"), "a file name may have"),
        (lambda: fr.simulate(B, P, dim=100_003, observe=fr.Moments()), "observe: .* of memory"),
        (lambda: fr.simulate(B, P, n=9, steps=1).trace(2.5), "ids must be whole"),
    ],
)
def test_bad_requests(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_paths_of_any_collection():
    run = fr.simulate(B, P, n=9, steps=2)
    assert run.trace([]).shape == (3, 0, 1)
    np.testing.assert_array_equal(run.trace(i for i in (3, 4)), run.trace([3, 4]))


def test_damaged_files_say_so(tmp_path):
    for number, damage in enumerate(
        (
            lambda file: file.__delitem__("particles/trajectory/box"),
            lambda file: file["fastrev"].attrs.__delitem__("seed"),
            lambda file: file["fastrev"].attrs.__delitem__("t_start"),
            lambda file: file.__delitem__("fastrev/observables/moments/numbers"),
        )
    ):
        path = tmp_path / f"{number}.h5"
        fr.simulate(B, P, n=9, steps=2, observe=fr.Moments(), out=path)
        with h5py.File(path, "r+") as file:
            damage(file)
        with pytest.raises(fr.StoreError):
            fr.open(path).observables  # noqa: B018


def test_options_are_still_checked():
    from fastrev.engine.options import Options

    assert checked(Options, {"keep": [1, 2]}).keep == [1, 2]
