"""Kill a writing process at random moments, look at the file, resume, compare.

    python tests/kill.py 200

prints a tally of what was committed at each kill.  `kill_and_resume` is one trial.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

import fastrev as fr

N, STEPS, SHARD, FRAMES = 1_000_003, 1000, 16_384, 3

CHILD = """
import sys
sys.path.insert(0, {tests!r})
import kill
kill.run(sys.argv[1])
"""


def run(out=None):
    process = fr.VP()
    reverse = fr.reverse(process, process.score(fr.Gaussian(0.5, 0.5)))
    return fr.simulate(
        reverse, fr.Gaussian(), n=N, time=(1, 0), steps=STEPS, frames=FRAMES, seed=77,
        shard_size=SHARD, out=out, overwrite=True, observe=fr.Moments(),
    )  # fmt: skip


def start(path):
    """A process that writes the run, once its file is there."""
    code = CHILD.format(tests=os.path.dirname(os.path.abspath(__file__)))
    child = subprocess.Popen([sys.executable, "-c", code, str(path)])
    while not path.exists():
        time.sleep(0.001)
        assert child.poll() is None, "the writing process ended by itself"
    return child


def kill_and_resume(path, reference, delay):
    """Committed shards at the kill; asserts all that a killed run promises.

    reference   an uninterrupted run in memory
    """
    frames, moments = reference.frames, reference.observables["moments"]
    child = start(path)
    time.sleep(delay)
    child.send_signal(signal.SIGKILL)
    child.wait()
    with h5py.File(path, "r") as file:  # plain h5py
        value, shards = file["particles/trajectory/position/value"], file["fastrev/shards"][:]
        assert value.shape == frames.shape
        for index in np.flatnonzero(shards):
            rows = slice(index * SHARD, (index + 1) * SHARD)
            np.testing.assert_array_equal(value[:, rows], frames[:, rows])
    finished = fr.resume(path)
    assert finished.n == N
    np.testing.assert_array_equal(finished.frames[:], frames)
    assert finished.observables["moments"].cov.tobytes() == moments.cov.tobytes()
    committed = int(np.count_nonzero(shards))
    path.unlink()
    return committed


def main(trials):
    reference = run()
    total, rng = -(-N // SHARD), np.random.default_rng()
    print(f"{trials} kills of a run of {total} shards")
    counts = []
    with tempfile.TemporaryDirectory() as folder:
        longest = 1.1 * run(Path(folder) / "whole.h5").seconds
        for trial in range(trials):
            delay = rng.uniform(0.0, longest)
            counts.append(kill_and_resume(Path(folder) / "run.h5", reference, delay))
            print(f"{trial + 1:4d}: killed after {delay:.3f} s, {counts[-1]} committed; right")
    partial = sum(0 < c < total for c in counts)
    print(f"{trials} of {trials} files opened, held only right rows, resumed to equal bytes;")
    print(f"{partial} were killed part-way, {counts.count(0)} before, {counts.count(total)} after")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
