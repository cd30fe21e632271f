"""The engine's promises: the oracle's numbers, and the same bits however a run is cut up."""

import hashlib
import itertools
import os
import subprocess
import sys
import threading

import naive
import numpy as np
import pytest
from problems import MIXTURE

import fastrev as fr
from fastrev.engine import threads
from fastrev.engine.prepare import noise_key

PROCESS = fr.Brownian(0.5)
REVERSE = fr.reverse(PROCESS, PROCESS.score(fr.Point(0.0)))


def digest(x):
    return hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()


generators = pytest.mark.parametrize("generator", ["philox", "ars"])


@generators
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float64", 1e-12)])
def test_reference_loop(dtype, tolerance, generator):
    """The reference document's loop, fed the same normals, to rounding."""
    n, steps, seed, dim = 5000, 50, 2**40 + 7, 2
    start = np.random.default_rng(1).normal(size=(n, dim)).astype(dtype)
    run = fr.simulate(
        REVERSE, start, time=(1, 0), steps=steps, seed=seed, dtype=dtype, generator=generator
    )
    for j in range(dim):
        x0 = start[:, j].astype(np.float64)

        def noise(i, j=j, shift=0):
            key = noise_key(run.specification)
            return naive.normals(np.arange(n), i + shift, j, key, dtype, generator=generator)

        want = naive.reverse_brownian(x0, 0.5, 1.0, steps, noise)
        assert np.max(np.abs(run.x[:, j] - want)) < tolerance
        late = naive.reverse_brownian(x0, 0.5, 1.0, steps, lambda i: noise(i, shift=1))
        assert np.max(np.abs(run.x[:, j] - late)) > 0.1


def test_reference_loop_for_a_users_sde():
    """Euler-Maruyama with x-dependent noise and a non-uniform grid."""
    sde = fr.SDE(lambda x, t, p: x - t * x**3, lambda x, t, p: 0.3 + 0.1 * x, noise="diagonal")
    grid = fr.TimeGrid.power(0.1, 1.0, 37, rho=2)
    start = np.random.default_rng(1).normal(size=(300, 1))
    run = fr.simulate(sde, start, time=grid, seed=5, dtype="float64")
    want = naive.euler_maruyama(
        start[:, 0],
        grid.times,
        lambda x, t: x - t * x**3,
        lambda x, t: 0.3 + 0.1 * x,
        lambda i: naive.normals(np.arange(300), i, 0, noise_key(run.specification), "float64"),
    )
    np.testing.assert_allclose(run.x[:, 0], want, atol=1e-12)


MODELS = {
    "brownian": (REVERSE, fr.Gaussian(0, 1), 1),
    "mixture": (fr.reverse(fr.VP(), fr.VP().score(MIXTURE)), fr.Gaussian(0, 1), 1),
    "mixture-3d": (
        fr.reverse(
            fr.VP(), fr.VP().score(fr.GaussianMixture([1, 1], [[0, 1, 2], [1, 0, -1]], 0.3))
        ),
        fr.Gaussian(0, 1),
        3,
    ),
    "vp-5d": (fr.VP(), MIXTURE, 5),
}


@generators
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_same_bits_however_cut(name, dtype, generator, monkeypatch, tmp_path):
    process, x0, dim = MODELS[name]
    n = 10_007  # aligned to nothing
    common = {"n": n, "steps": 20, "seed": 9, "dtype": dtype, "dim": dim, "frames": 4}
    common["generator"] = generator
    common["time"] = (1, 0) if isinstance(process, fr.Reverse) else (0, 1)
    whole = fr.simulate(process, x0, **common)
    assert np.isfinite(whole.frames).all()
    for count in (1, 2, 5):
        monkeypatch.setattr(threads, "count", lambda count=count: count)
        for size in (n, 4096, 1000, 77):
            run = fr.simulate(process, x0, shard_size=size, **common)
            assert digest(run.frames) == digest(whole.frames)
    fewer = fr.simulate(process, x0, **(common | {"n": 1234}))
    assert digest(fewer.frames) == digest(whole.frames[:, :1234])
    filed = fr.simulate(process, x0, shard_size=999, out=tmp_path / "a.h5", **common)
    assert digest(filed.frames[:]) == digest(whole.frames)
    other = fr.simulate(process, x0, **(common | {"seed": 10}))
    assert digest(other.frames) != digest(whole.frames)


SCRIPT = """
import hashlib, sys
import numpy as np
sys.path.insert(0, {tests!r})
from problems import MIXTURE
import fastrev as fr
for dtype in ("float32", "float64"):
    vp = fr.VP()
    for generator in ("philox", "ars"):
        run = fr.simulate(fr.reverse(vp, vp.score(MIXTURE)), fr.Gaussian(), n=20_001, time=(1, 0),
                          steps=50, seed=1, dtype=dtype, generator=generator)
        print(hashlib.sha256(run.x.tobytes()).hexdigest())
x = np.linspace(-4, 4, 201)
grid = fr.GridScore([0.001, 1.0], x, np.array([np.sin(3 * x) - x, -x]))  # values are looked up
run = fr.simulate(fr.reverse(vp, grid), fr.Gaussian(), n=20_001, time=(1, 0.001), steps=50, seed=1)
print(hashlib.sha256(run.x.tobytes()).hexdigest())
"""


def test_same_bits_on_every_processor(tmp_path):
    """AVX2 with FMA on one thread, AVX-512, and this machine's own instructions; rounds of AES by a
    table, one at a time, two and four."""
    haswell = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+fma,+avx2"}
    targets = [{"NUMBA_NUM_THREADS": "2"}, haswell | {"NUMBA_NUM_THREADS": "1"}]
    if " avx512f " in _cpu_flags():
        features = "+fma,+avx2,+avx512f,+avx512bw,+avx512dq,+avx512vl,+aes"
        targets.append({"NUMBA_CPU_NAME": "skylake-avx512", "NUMBA_CPU_FEATURES": features})
    for flag, features in ((" aes ", "+fma,+avx2,+aes"), (" vaes ", "+fma,+avx2,+aes,+vaes")):
        if flag in _cpu_flags():
            targets.append(haswell | {"NUMBA_CPU_FEATURES": features})
    script = SCRIPT.format(tests=os.path.dirname(__file__))
    answers = set()
    for target in targets:
        environment = os.environ | target
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        answers.add(done.stdout)
    assert len(answers) == 1
    assert len(set(answers.pop().split())) == 5


def _cpu_flags():
    try:
        with open("/proc/cpuinfo") as file:
            return next((f" {line} " for line in file if line.startswith("flags")), "")
    except OSError:
        return ""


def test_trace_equals_the_frames(tmp_path):
    cases = itertools.product(
        (("brownian", "float32"), ("mixture-3d", "float64")), ("philox", "ars")
    )
    for (name, dtype), generator in cases:
        process, x0, dim = MODELS[name]
        run = fr.simulate(
            process, x0, n=5000, time=(1, 0), steps=40, seed=2, dim=dim, dtype=dtype, frames=5,
            generator=generator, out=tmp_path / f"{name}-{generator}.h5",
        )  # fmt: skip
        ids = [0, 17, 1024, 4999]
        paths = fr.open(run.path).trace(ids)
        assert paths.shape == (41, 4, dim)
        np.testing.assert_array_equal(paths[::10], run.frames[:, ids])
    with pytest.raises(fr.InputError, match="ids must lie between 0 and 4999, got 5000"):
        run.trace(5000)


def test_probability_flow_draws_nothing():
    process = fr.reverse(fr.VP(), fr.VP().score(fr.Gaussian(0.5, 0.5)), noise=0.0)
    start = np.random.default_rng(1).normal(size=(100, 1))
    common = {"time": (1, 0), "steps": 50}
    a, b = (fr.simulate(process, start, seed=s, **common).x for s in (1, 2))
    assert digest(a) == digest(b)


def test_frames_and_times():
    run = fr.simulate(PROCESS, fr.Point(0.0), n=10, time=(0, 2), steps=10, frames=[2.0, 0.39, 0.61])
    np.testing.assert_allclose(run.times, [0.4, 0.6, 2.0])
    run = fr.simulate(PROCESS, fr.Point(0.0), n=10, time=(0, 2), steps=10, frames=4)
    np.testing.assert_allclose(run.times, [0, 0.6, 1.4, 2.0])
    every = fr.simulate(
        PROCESS, fr.Point(0.0), n=10, time=(0, 2), steps=10, frames=11, seed=run.seed
    )
    np.testing.assert_array_equal(every.frames[[0, 3, 7, 10]], run.frames)


def test_seed_is_drawn_and_recorded():
    a, b = (fr.simulate(PROCESS, fr.Point(0.0), n=100, steps=5) for _ in range(2))
    assert a.seed != b.seed
    again = fr.simulate(PROCESS, fr.Point(0.0), n=100, steps=5, seed=a.seed)
    assert digest(again.x) == digest(a.x)


def test_non_finite_particles_are_counted():
    sde = fr.SDE(lambda x, t, p: 50.0 * x * x * x, 1.0)
    with pytest.warns(RuntimeWarning, match="ended infinite or NaN"):
        run = fr.simulate(sde, fr.Gaussian(), n=1000, steps=100, seed=1)
    assert run.non_finite == np.count_nonzero(~np.isfinite(run.x)) > 0


def test_run_prints_as_one_screen():
    run = fr.simulate(REVERSE, fr.Gaussian(), n=1000, time=(1, 0), steps=10, seed=4)
    text = repr(run)
    for part in ("Brownian(D=0.5)", "1,000 particles", "1 -> 0", "seed", "in memory", "10 ("):
        assert part in text
    assert len(text.splitlines()) < 15
    assert run._repr_html_().startswith("<table>")


def test_thread_counts(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert threads.count() == 3
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "5")
    assert threads.count() == 3
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    assert threads.count() == 5
    monkeypatch.delenv("SLURM_CPUS_PER_TASK")
    assert threads.count() == threads.available_cores() >= 1
    for text, cores in (("150000 100000", 2), ("max 100000", 8), ("50000 100000", 1)):
        (tmp_path / "cpu.max").write_text(text)
        assert threads._cgroup_quota(8, tmp_path) == cores
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("400000")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")
    assert threads._cgroup_quota(8, tmp_path) == 4


def test_interrupt_stops_between_pieces():
    done = []

    def work(piece):
        if piece == 3:
            raise KeyboardInterrupt
        done.append(piece)

    with pytest.raises(KeyboardInterrupt):
        threads.for_each(range(1000), work)
    assert len(done) < 1000


def test_a_run_does_not_wait_for_another(monkeypatch):
    """While another has the pool's thread, its own does all of its pieces."""
    monkeypatch.setattr(threads, "count", lambda: 2)
    begun, done, in_time = threading.Barrier(3), threading.Event(), []

    def hold(_):
        begun.wait(10)
        in_time.append(done.wait(10))

    other = threading.Thread(target=threads.for_each, args=([0, 1], hold))
    other.start()
    begun.wait(10)
    assert threads.for_each(range(5), lambda k: k * k) == [0, 1, 4, 9, 16]
    done.set()
    other.join()
    assert in_time == [True, True]


@generators
def test_ids_beyond_32_bits(generator):
    """A range across 2^32, against the same particles one by one, and the oracle."""
    from fastrev.engine.options import Options
    from fastrev.engine.outcome import Kept
    from fastrev.engine.prepare import build
    from fastrev.engine.specify import specify

    options = Options(n=2**33, steps=9, seed=5, keep={"start": 0}, generator=generator)
    program = build(specify(PROCESS, fr.Gaussian(), options))
    first, count = 2**32 - 1501, 3000  # within a counter
    frames = np.empty((2, count, 1), np.float32)
    program.run_range(Kept(frames, np.empty(0, np.float32)), first, count, first)
    for particle in (first, 2**32 - 1, 2**32, 2**32 + 1, first + count - 1):
        path = program.run_path(particle)
        np.testing.assert_array_equal(frames[:, particle - first], path[[0, -1]])
    ids = first + np.arange(count)

    def normals(ids, step):
        return naive.normals(ids, step, 0, 5, generator=generator)

    start = naive.first_normals(ids, 0, 5, generator=generator)
    assert np.max(np.abs(frames[0, :, 0] - start)) < 1e-5
    z = sum(normals(ids, i) for i in range(9))
    assert np.max(np.abs(frames[-1, :, 0] - start - z / 3)) < 1e-5
    low = sum(normals(ids % 2**32, i) for i in range(9))
    assert np.max(np.abs(frames[-1, :, 0] - start - low / 3)) > 1.0


def test_verdicts_can_tell():
    from fastrev.analysis.compare import variance_table, verdict

    def judge(process, x0, **options):
        run = fr.simulate(process, x0, **options)
        return verdict(variance_table(run), run.n)

    heavy = fr.GaussianMixture([0.99, 0.01], [0.0, 0.0], [0.1, 10.0])
    for seed in range(5):
        assert "agrees" in judge(PROCESS, heavy, n=100_000, steps=10, seed=seed, frames=6)
    assert "too few" in judge(PROCESS, fr.Point(0.0), n=1, steps=10)
    unstable = fr.OrnsteinUhlenbeck(1e5, 1.0)
    with pytest.warns(RuntimeWarning):
        assert "DIFFERS" in judge(unstable, fr.Gaussian(), n=1000, steps=100, frames=4)
    from fastrev.analysis.compare import frame_moments, z_scores
    from fastrev.analysis.exact import scheme_moments

    run = fr.simulate(PROCESS, fr.Gaussian(), n=100_000, steps=10, seed=1)
    wrong = frame_moments(run.frames * np.float32(1.02))
    assert np.abs(z_scores(wrong, scheme_moments(run.specification)).variance).max() > 4.5
