"""What streaming to a file costs, and what finding and mending damage does."""

import time

import h5py
import numpy as np
import pytest

import fastrev as fr
from fastrev.bench.disk import plain_write
from fastrev.store.checksum import Checksum
from fastrev.store.validate import damaged_shards

PROCESS = fr.Brownian(0.5)
BACK = fr.reverse(PROCESS, PROCESS.score(fr.Point(0.0)))


def simulate(n, steps, **options):
    x0 = PROCESS.marginal(fr.Point(0.0), 1.0)
    return fr.simulate(BACK, x0, n=n, time=(1, 0), steps=steps, seed=1, **options)


def timed(function, *arguments, **options):
    start = time.perf_counter()
    result = function(*arguments, **options)
    return time.perf_counter() - start, result


def test_streaming_against_its_parts(benchmark, tmp_path):
    """11 frames streamed, against the same run without output and a raw write, in turns."""
    n, steps, rounds = (4_000_000, 1000, 3) if not benchmark.disabled else (300_000, 100, 2)
    path, raw = tmp_path / "a.h5", tmp_path / "raw"
    simulate(1000, steps)
    ratios = []
    for _ in range(rounds):
        alone, memory = timed(simulate, n, steps)
        writing, _ = timed(plain_write, raw, n * 11 * 4)
        streaming, run = timed(simulate, n, steps, frames=11, out=path)
        assert np.array_equal(run.frames[-1, ::1000], memory.x[::1000])
        ratios.append(streaming / max(alone, writing))
        print(f"alone {alone:.2f} s, raw {writing:.2f} s, streaming {streaming:.2f} s")
        path.unlink()
        raw.unlink()
    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info.update(ratios=ratios, megabytes=n * 11 * 4 / 1e6, seconds=streaming)
    print(f"streaming / max(alone, raw): median {np.median(ratios):.3f} of {np.round(ratios, 3)}")
    if not benchmark.disabled:
        assert np.median(ratios) < 1.15


def test_checksums_cost_little(benchmark, tmp_path, monkeypatch):
    """Time within the checksum as a share of the run's, in the thread that writes."""
    n, steps = (5_000_000, 1000) if not benchmark.disabled else (300_000, 100)
    spent, real = [], Checksum.add

    def counted(*arguments):
        spent.append(timed(real, *arguments)[0])

    monkeypatch.setattr(Checksum, "add", counted)
    run = benchmark.pedantic(
        simulate, (n, steps), {"frames": 11, "out": tmp_path / "a.h5"}, rounds=1
    )
    share = sum(spent) / run.seconds
    benchmark.extra_info["share"] = share
    print(f"checksums: {1e3 * sum(spent):.1f} ms of {run.seconds:.2f} s = {share:.2%}")
    if not benchmark.disabled:
        assert share < 0.02


def test_damage_is_named_and_mended(benchmark, tmp_path):
    """Twenty random bytes of a finished file of 1 GB; the shards named are exactly theirs."""
    n = 22_700_000 if not benchmark.disabled else 300_000
    run = simulate(n, 20, frames=11, out=tmp_path / "a.h5", shard_size=n // 40)
    want = digest(run.path)
    with h5py.File(run.path) as file:
        offset = file["particles/trajectory/position/value"].id.get_offset()
        bounds = file["fastrev/rows"][:]
    rng, hit = np.random.default_rng(), set()
    with open(run.path, "r+b") as file:
        for place in rng.choice(n * 11 * 4, 20, replace=False).tolist():
            file.seek(offset + place)
            byte = file.read(1)[0]
            file.seek(offset + place)
            file.write(bytes([byte ^ int(rng.integers(1, 256))]))
            hit.add(int(np.searchsorted(bounds, place // 4 % n, side="right")) - 1)
    assert digest(run.path) != want
    found = benchmark.pedantic(damaged_shards, (run.path,), rounds=1)
    assert found == sorted(hit)
    fr.resume(run.path, repair=True)
    assert damaged_shards(run.path) == [] and digest(run.path) == want
    size = run.path.stat().st_size / 1e9
    print(f"{size:.2f} GB: {len(hit)} of {len(bounds) - 1} shards damaged, named, mended")


def digest(path):
    """SHA-256 of a file."""
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("frames", [2, 11])
def test_streaming(benchmark, record, tmp_path, frames):
    n, steps = 2**21, 200
    common = {"n": n, "steps": steps, "frames": frames}
    simulate(10, 5)
    alone, memory = timed(simulate, **common)
    run = benchmark(simulate, out=tmp_path / "a.h5", overwrite=True, **common)
    np.testing.assert_array_equal(run.frames[-1], memory.x)
    record(n * steps, megabytes=n * frames * 4 / 1e6, seconds_in_memory=alone)
