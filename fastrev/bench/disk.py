"""Streaming to a file: megabytes per second on the disk, beside a plain write of as many."""

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fastrev as fr
from fastrev.bench.measure import checked
from fastrev.bench.models import T, brownian, scheme_law

FRAMES, STEPS = 11, 20


@dataclass(frozen=True)
class Bandwidth:
    """The best of some rounds, in 10^6 bytes per second until all is on the disk."""

    megabytes: float
    streaming: float
    plain: float
    z: float


def bandwidth(megabytes: float, rounds: int, folder: Path | None = None) -> Bandwidth:
    """A run of few steps and many frames into a temporary file, the last frame checked.

    At most a quarter of the free space.  Raises WrongAnswerError.
    """
    model, law = brownian(), scheme_law(brownian(), STEPS)
    with tempfile.TemporaryDirectory(prefix="fastrev-bench-", dir=folder) as made:
        size = min(1e6 * megabytes, shutil.disk_usage(made).free / 4.0)
        n = max(1000, int(size / (4 * FRAMES)))
        path, times, zs = Path(made) / "run.h5", [], []
        for _ in range(rounds):
            start = time.perf_counter()
            run = fr.simulate(
                model.process,
                fr.Gaussian(),
                n=n,
                time=(T, 0.0),
                steps=STEPS,
                frames=FRAMES,
                out=path,
            )
            streamed = time.perf_counter() - start - run.compile_seconds
            zs.append(checked("the streamed file", run.frames[-1], law)[1])
            path.unlink()
            start = time.perf_counter()
            plain_write(path, n * FRAMES * 4)
            times.append((streamed, time.perf_counter() - start))
            path.unlink()
    streaming, plain = (n * FRAMES * 4 / 1e6 / min(seconds) for seconds in zip(*times, strict=True))
    return Bandwidth(n * FRAMES * 4 / 1e6, streaming, plain, max(zs, key=abs))


def plain_write(path: Path, nbytes: int) -> None:
    """A sequential write of so many bytes, to the disk."""
    block = np.random.default_rng(1).bytes(2**24)
    with open(path, "wb", buffering=0) as file:
        for at in range(0, nbytes, len(block)):
            file.write(block[: nbytes - at])
        os.fsync(file.fileno())
