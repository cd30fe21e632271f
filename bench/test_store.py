"""What streaming to a file costs, against the same run without output."""

import time

import numpy as np
import pytest

import fastrev as fr


@pytest.mark.parametrize("frames", [2, 11])
def test_streaming(benchmark, record, tmp_path, frames):
    process, n, steps = fr.Brownian(0.5), 2**21, 200
    common = {"n": n, "steps": steps, "frames": frames, "seed": 1}
    fr.simulate(process, fr.Point(0.0), n=10, steps=5)
    start = time.perf_counter()
    memory = fr.simulate(process, fr.Point(0.0), **common)
    alone = time.perf_counter() - start
    out = tmp_path / "a.h5"
    run = benchmark(fr.simulate, process, fr.Point(0.0), out=out, overwrite=True, **common)
    np.testing.assert_array_equal(run.frames[-1], memory.x)
    record(n * steps, megabytes=n * frames * 4 / 1e6, seconds_in_memory=alone)
