"""Scores of data points, networks and callables: against NumPy, in files, and their promises."""

import functools
import itertools
import math
import os
import subprocess
import sys
import uuid
from collections import namedtuple

import h5py
import numpy as np
import pytest
from scipy import special, stats

import fastrev as fr
from fastrev.analysis.sheet import save_sheet
from fastrev.engine import threads
from fastrev.engine.config import read_config
from fastrev.model.clock import Clock
from fastrev.model.kernel import Kernel
from fastrev.model.network_layers import Layer, Mixture, Spread

VP = fr.VP()
RNG = np.random.default_rng(7)


@functools.cache
def compiled_tile(function, dtype):
    from fastrev.kernels.specialise import Specialiser

    return Specialiser(dtype, uuid.uuid4().hex).loop(function)


def tile_of(kernel, x, t, dtype):
    """A tile kernel, compiled alone, at points x (N, d)."""
    given = kernel.constants() | {k: v[0] for k, v in kernel.scheduled(np.array([t])).items()}
    real = np.dtype(dtype).type
    values = {
        k: np.ascontiguousarray(v, dtype) if np.ndim(v) else real(v) for k, v in given.items()
    }
    p = namedtuple("Params", values)(**values)
    tile = np.ascontiguousarray(x.T, dtype)
    out = np.empty_like(tile)
    work = np.zeros((5, len(x)), dtype)
    compiled_tile(kernel.function, dtype)(tile, real(t), p, out, work)
    return out.T


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_data_points_against_the_marginal(dtype):
    """More and fewer points than a chunk, lanes that do not fill a panel, far points."""
    tolerance = {"float32": 2e-4, "float64": 1e-11}[dtype]
    for m, d, n in ((2, 1, 5), (7, 3, 64), (230, 5, 70), (97, 64, 130)):
        points = RNG.normal(size=(m, d)) + 3.0
        for process in (VP, fr.Brownian(0.5), fr.OrnsteinUhlenbeck(1.5, 0.7, mu=2.0)):
            for t in (0.02, 0.7):
                law = process.marginal(fr.Empirical(points), t)
                x = law.sample(n, seed=3)
                kernel = process.score(fr.Empirical(points)).as_kernel(d)
                found, wanted = tile_of(kernel, x, t, dtype), law.score(x)
                scale = np.abs(wanted).max()
                np.testing.assert_allclose(found, wanted, atol=tolerance * scale)
    assert np.abs(found[::-1] - wanted).max() > 0.1 * scale


def test_wide_data_keep_their_digits_in_float32():
    """Data a thousand times wider than the noise, and with outliers, against float64.

    Logits from one centre of all data lose 2.6e-3 and 3.6e-5 here.
    """
    spread = RNG.uniform(-100, 100, (20_000, 1))
    outliers = RNG.normal(size=(2000, 2))
    outliers[[7, 70]] = [[1e4, 1e4], [-3e3, 0.0]]
    for points, g, t, bound in ((spread, 0.1, 0.5, 2e-4), (outliers, 0.05, 0.5, 1.5e-5)):
        process = fr.Brownian(g)
        law = process.marginal(fr.Empirical(points), t)
        x = law.sample(130, seed=3).astype(np.float32)
        found = tile_of(process.score(fr.Empirical(points)).as_kernel(x.shape[1]), x, t, "float32")
        wanted = law.score(np.asarray(x, np.float64))
        np.testing.assert_allclose(found, wanted, atol=bound * np.abs(wanted).max())
    far = tile_of(process.score(fr.Empirical(points)).as_kernel(2), 1e20 + 0 * x, t, "float32")
    assert np.isfinite(far).all() and (far < 0).all()


def test_chunks_of_neighbours():
    """Every point once; along a line, in its order; equal coordinates as they came."""
    from fastrev.model.neighbours import neighbours

    points = RNG.normal(size=(1000, 3))
    order = neighbours(points, 96)
    assert sorted(order) == list(range(1000))
    reach = [np.ptp(points[order[a : a + 96]], axis=0).prod() for a in range(0, 1000, 96)]
    assert np.mean(reach) < 0.1 * np.ptp(points, axis=0).prod()
    line = RNG.permutation(100)[:, None].astype(float)
    chunks = [sorted(line[neighbours(line, 10)][a : a + 10, 0]) for a in range(0, 100, 10)]
    np.testing.assert_array_equal(np.concatenate(chunks), np.arange(100))
    np.testing.assert_array_equal(neighbours(np.ones((50, 2)), 6), np.arange(50))


def test_centres_are_as_many_as_bring_points_nearer():
    """Each chunk its own along a line and in two far clusters; one for all in many dimensions."""
    from fastrev.model.neighbours import centred, neighbours

    def groups(points, size=12):
        points = points[neighbours(points, size)]
        away, centres, group = centred(points, size)
        of = np.arange(len(points)) // (group * size)
        np.testing.assert_allclose(centres[of] + away, points)
        return len(centres)

    assert groups(np.arange(120.0)[:, None]) >= 5
    assert groups(RNG.normal(size=(120, 64))) == 1
    assert groups(RNG.normal(size=(96, 64)) + 1e3 * (np.arange(96) > 47)[:, None]) == 2
    assert groups(np.ones((120, 2))) == 1


ACTIVATIONS = {
    "silu": lambda v: v * special.expit(v),
    "tanh": np.tanh,
    "relu": lambda v: np.maximum(v, 0),
    "gelu": lambda v: 0.5 * v * (1 + special.erf(v / np.sqrt(2))),
    "softplus": lambda v: np.logaddexp(0, v),
}


def layers(sizes, features=1, seed=5, scale=1.0):
    rng = np.random.default_rng(seed)
    made = []
    for a, b in itertools.pairwise(sizes):
        weight = scale * rng.normal(size=(b, a)) / np.sqrt(a)
        made.append(Layer(weight, rng.normal(size=b), 0.3 * rng.normal(size=(b, features))))
    return made


def network_in_numpy(score, x, t):
    """F at x (N, d), h by h."""
    u = t
    if score.clock.kind == "log-snr":
        scale, _, variance = score.process.transition(t)
        u = 0.5 * np.log(variance / scale**2)
    phi = [u]
    if score.clock.count:
        u = np.clip(
            (2 * u - score.clock.low - score.clock.high) / (score.clock.high - score.clock.low),
            -1,
            1,
        )
        phi = [np.cos(k * np.arccos(u)) for k in range(1, score.clock.count + 1)]
    h = x
    for k, layer in enumerate(score.layers):
        h = (
            h @ layer.weight.T
            + layer.bias
            + (0 if layer.time is None else layer.time @ np.array(phi))
        )
        if k < len(score.layers) - 1:
            h = ACTIVATIONS[score.activation](h)
    return h


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_network_against_numpy(activation, dtype):
    """Widths that fill no block of rows, particles that fill no panel, every activation."""
    score = fr.NeuralScore(layers([5, 17, 30, 5]), activation, clock=Clock("t"))
    x = RNG.normal(size=(100, 5))
    found = tile_of(score.as_kernel(5), x, 0.3, dtype)
    wanted = network_in_numpy(score, x, 0.3)
    tolerance = {"float32": 2e-5, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * 10)
    assert np.abs(found - network_in_numpy(score, x, 0.4)).max() > 0.01


def test_forms_of_a_network():
    """What the output means, and the features of time."""
    x, t = RNG.normal(size=(50, 3)), 0.4
    scale, _, variance = VP.transition(t)
    mean = np.array([0.5, -1.0, 0.2])
    same = {"clock": Clock("log-snr", 4, -3.0, 2.0), "process": VP}
    made = layers([3, 8, 3], features=4)
    noise = fr.NeuralScore(made, form="noise", **same)
    np.testing.assert_allclose(
        tile_of(noise.as_kernel(3), x, t, "float64"),
        -network_in_numpy(noise, x, t) / np.sqrt(variance), rtol=1e-10,
    )  # fmt: skip
    basis = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    for std, axes in ((0.7, None), (np.array([0.7, 0.1, 0.0]), basis)):
        law = {"mean": mean, "std": std, "basis": axes}
        turn = np.eye(3) if axes is None else axes
        score = fr.NeuralScore(made, form="gaussian", **law, **same)
        own = scale**2 * std**2
        y = (x - scale * mean) @ turn
        inner = network_in_numpy(score, y / np.sqrt(np.mean(own + variance)), t)
        gain = np.mean(own + 0 * mean) / np.mean(own + variance + 0 * mean) / np.sqrt(variance)
        wanted = (gain * inner - y / (own + variance)) @ turn.T
        found = tile_of(score.as_kernel(3), x, t, "float64")
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    zero = [Layer(0 * one.weight, 0 * one.bias, None) for one in made]
    gaussian = fr.NeuralScore(zero, form="gaussian", **law, **same)
    whole = scale**2 * basis @ np.diag(std**2) @ basis.T + variance * np.eye(3)
    found = tile_of(gaussian.as_kernel(3), x, t, "float64")
    np.testing.assert_allclose(found, fr.Gaussian(scale * mean, cov=whole).score(x))
    spread = Spread([0.0, 1.0], [[0, 0, 0], [1, 1, 1]], [1.0, 2.0])
    table = fr.NeuralScore(zero, form="gaussian", spread=spread)
    np.testing.assert_allclose(tile_of(table.as_kernel(3), x, t, "float64"), -(x - 0.4) / 1.4**2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_of_zeros_is_its_mixture(dtype, tmp_path):
    """More centres than a block of rows and fewer, with a basis and without, from a file too."""
    tolerance = {"float32": 5e-5, "float64": 1e-11}[dtype]
    zero, t, d = [Layer(np.zeros((5, 5)), np.zeros(5), None)], 0.4, 5
    mean, std = np.linspace(-1, 1, d), np.array([0.7, 0.1, 0.4, 1.0, 0.3])
    for count, turned in ((2, True), (6, False), (13, True)):
        weights, centres = RNG.dirichlet(np.ones(count)), 2.0 * RNG.normal(size=(count, d))
        basis = np.linalg.qr(RNG.normal(size=(d, d)))[0] if turned else None
        score = fr.NeuralScore(
            zero, form="gaussian", process=VP, mean=mean, std=std, basis=basis,
            mixture=Mixture(weights, centres),
        )  # fmt: skip
        back = fr.NeuralScore.load(score.save(tmp_path / f"{count}.npz"))
        assert back.sha256 == score.sha256
        axes = np.eye(d) if basis is None else basis
        covs = np.repeat((axes @ np.diag(std**2) @ axes.T)[None], count, axis=0)
        law = VP.marginal(fr.GaussianMixture(weights, mean + centres @ axes.T, covs=covs), t)
        x = law.sample(130, seed=3)
        wanted = law.score(x)
        for one in (score, back):
            found = tile_of(one.as_kernel(d), x, t, dtype)
            np.testing.assert_allclose(found, wanted, atol=tolerance * np.abs(wanted).max())
    assert np.abs(found[::-1] - wanted).max() > 0.1


POINTS = RNG.normal(size=(120, 4))
NETWORK = fr.NeuralScore(layers([4, 24, 24, 4], scale=0.3), process=VP, form="noise")
SCORES = {
    "points": VP.score(fr.Empirical(POINTS)),
    "network": NETWORK,
    "callable": fr.BatchedScore(lambda x, t: np.tanh(x @ np.ones((4, 4), x.dtype)) - x, block=256),
}
RUN = {"n": 2000, "dim": 4, "time": (1.0, 0.01), "steps": 12, "seed": 5, "frames": 3}


@pytest.mark.parametrize("name", SCORES)
def test_bits_of_learned_scores(name, monkeypatch, tmp_path):
    """Threads, shard sizes, a file, resuming, one particle again; and another seed differs."""
    process = fr.reverse(VP, SCORES[name])
    whole = fr.simulate(process, fr.Gaussian(), **RUN).frames
    assert np.isfinite(whole).all()
    for count, size in ((1, None), (2, 512), (5, 77)):
        monkeypatch.setattr(threads, "count", lambda count=count: count)
        run = fr.simulate(process, fr.Gaussian(), shard_size=size, **RUN)
        np.testing.assert_array_equal(run.frames, whole)
    run = fr.simulate(process, fr.Gaussian(), out=tmp_path / "a.h5", shard_size=512, **RUN)
    np.testing.assert_array_equal(run.frames[:], whole)
    with h5py.File(run.path, "r+") as file:
        file["fastrev/shards"][[1, 3]] = 0
        file["particles/trajectory/position/value"][:, 512:1024] = 0
    kernels = {"score.function": SCORES[name].function} if name == "callable" else None
    resumed = fr.resume(run.path, kernels=kernels)
    np.testing.assert_array_equal(resumed.frames[:], whole)
    np.testing.assert_array_equal(resumed.trace(1777)[-1, 0], whole[-1, 1777])
    other = fr.simulate(process, fr.Gaussian(), **(RUN | {"seed": 6})).frames
    assert not np.array_equal(other, whole)


PROCESSORS = """
import sys, hashlib
sys.path.insert(0, {tests!r})
import numpy as np
from test_learned_scores import NETWORK, POINTS, VP, tile_of
import fastrev as fr
x = np.random.default_rng(3).normal(size=(150, 4))
for score, dtype in ((NETWORK, "float64"), (VP.score(fr.Empirical(POINTS)), "float32")):
    found = np.ascontiguousarray(tile_of(score.as_kernel(4), x, 0.3, dtype))
    print(hashlib.sha256(found.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_same_bits_on_every_processor():
    """Products of matrices too: AVX2 in 16 registers, AVX-512 in 32."""
    script = PROCESSORS.format(tests=os.path.dirname(__file__))
    answers = set()
    for target in (
        {},
        {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+fma,+avx2"},
    ):
        done = subprocess.run(
            [sys.executable, "-c", script], env=os.environ | target, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        answers.add(done.stdout)
    assert len(answers) == 1
    assert len(set(answers.pop().split())) == 2


def test_network_files(tmp_path):
    """Saved and read back in both kinds; the hash does not depend on the kind."""
    score = fr.NeuralScore(
        layers([4, 9, 4], features=3), "tanh", "gaussian", Clock("log-snr", 3, -4.0, 2.0), VP,
        mean=np.arange(4.0), std=0.5,
    )  # fmt: skip
    kinds = ["a.npz"]
    try:
        import safetensors  # noqa: F401

        kinds.append("a.safetensors")
    except ImportError:
        with pytest.raises(fr.InputError, match=r"fastrev\[learn\]"):
            score.save(tmp_path / "a.safetensors")
    for kind in kinds:
        back = fr.NeuralScore.load(score.save(tmp_path / kind))
        assert back.sha256 == score.sha256
        assert back.process == VP
        assert repr(back) == repr(score)
    other = layers([4, 9, 4], features=3)
    other[1].bias[0] += 1e-12
    changed = fr.NeuralScore(other, "tanh", "gaussian", score.clock, VP, np.arange(4.0), 0.5)
    assert changed.sha256 != score.sha256
    first = (tmp_path / "a.npz").read_bytes()
    score.save(tmp_path / "b.npz")
    assert (tmp_path / "b.npz").read_bytes() == first


def test_a_file_refuses_another_network(tmp_path):
    """The network's hash is recorded: another is refused; without its file the run has its own."""
    weights = NETWORK.save(tmp_path / "net.npz")
    process = fr.reverse(VP, fr.NeuralScore.load(weights))
    run = fr.simulate(process, fr.Gaussian(), out=tmp_path / "a.h5", shard_size=512, **RUN)
    whole = run.frames[:]
    with h5py.File(run.path, "r+") as file:
        assert NETWORK.sha256 in file["fastrev/specification"][()].decode()
        file["fastrev/shards"][2] = 0
    moved = tmp_path / "moved.npz"
    weights.rename(moved)
    alone = fr.open(run.path)
    np.testing.assert_array_equal(alone.trace(3)[-1, 0], whole[-1, 3])
    assert "net.npz" in repr(alone) and "fastrev network" not in repr(alone)
    other = fr.NeuralScore(layers([4, 24, 24, 4], seed=6), process=VP, form="noise")
    other.save(weights)
    with pytest.raises(fr.InputError, match="not the network that this run began with"):
        fr.resume(run.path)
    assert fr.open(run.path).n == 512 * 2
    moved.replace(weights)
    np.testing.assert_array_equal(fr.resume(run.path).frames[:], whole)


def wrong(answer):
    return lambda x, t: answer(x)


WRONG = {
    "shape": (wrong(lambda x: x[:, :2]), "must return an array of shape"),
    "rows": (wrong(lambda x: x[:-1]), "must return an array of shape"),
    "dtype": (wrong(lambda x: x.astype(complex)), "of complex128"),
    "objects": (wrong(lambda x: "no"), "of <U2"),
    "error": (wrong(lambda x: x / undefined), "NameError"),  # noqa: F821
}


@pytest.mark.parametrize("name", WRONG)
def test_a_callable_that_answers_wrongly(name, tmp_path):
    """The run ends with what is wrong; what is committed stays."""
    function, message = WRONG[name]

    def good_first(x, t):
        return function(x, t) if t < 0.5 else -x

    process = fr.reverse(VP, fr.BatchedScore(good_first, block=256))
    with pytest.raises(ValueError, match=message):
        fr.simulate(process, fr.Gaussian(), out=tmp_path / "a.h5", shard_size=512, **RUN)
    assert fr.open(tmp_path / "a.h5").n == 0


def test_a_callable_that_answers_nan_is_counted():
    def score(x, t):
        return np.where(x > 2.0, np.nan, -x)

    process = fr.reverse(VP, fr.BatchedScore(score, block=256))
    with pytest.warns(RuntimeWarning, match="ended infinite or NaN"):
        run = fr.simulate(process, fr.Gaussian(), **RUN)
    assert 0 < run.non_finite < RUN["n"] * 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_are_the_same_particles_however_cut(dtype):
    """Also where blocks begin with odd ids, which in float32 share a counter with the id before."""
    seen = []

    def score(x, t):
        seen.append((len(x), float(x.sum())))
        return -x

    process = fr.reverse(VP, fr.BatchedScore(score, block=333))
    runs = []
    for size in (None, 333, 999):
        seen.clear()
        run = fr.simulate(process, fr.Gaussian(), **(RUN | {"shard_size": size, "dtype": dtype}))
        assert {count for count, _ in seen} == {333, RUN["n"] % 333}
        runs.append((run.frames.tobytes(), set(seen)))
    assert runs[0] == runs[1] == runs[2]


def test_a_callable_in_steps_of_the_flow():
    """In float64 against the recursion, block by block; a particle again, alone."""
    score = fr.BatchedScore(lambda x, t: -x / (1 + t), block=300)
    x = RNG.normal(size=(1000, 2))
    run = fr.simulate(
        fr.reverse(VP, score, noise=0.0), x, time=(1.0, 0.5), steps=10, dtype="float64"
    )
    for t in np.linspace(1.0, 0.5, 11)[:-1]:
        beta = VP.beta_min + t * (VP.beta_max - VP.beta_min)
        x = x + (-0.5 * beta * x + 0.5 * beta * x / (1 + t)) * -0.05
    np.testing.assert_allclose(run.x, x, rtol=1e-12)
    np.testing.assert_array_equal(run.trace(999)[-1, 0], run.x[999])


class Session:
    """What an ONNX session offers."""

    class Input:
        def __init__(self, name):
            self.name = name

    def get_inputs(self):
        return [self.Input("state"), self.Input("time")]

    def run(self, outputs, inputs):
        assert inputs["time"].dtype == inputs["state"].dtype
        return [-inputs["state"] / 2]


def test_sessions_and_torch_modules():
    from fastrev.model.batched import _adapted

    x = RNG.normal(size=(20, 4)).astype(np.float32)
    np.testing.assert_allclose(_adapted(Session())(x, 0.5), -x / 2)
    torch = pytest.importorskip("torch")

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 4)

        def forward(self, x, t):
            return self.layer(x) * t

    module = Module()
    called = _adapted(module)(x.astype(np.float64), 0.5)
    weight, bias = (v.detach().numpy() for v in module.layer.parameters())
    np.testing.assert_allclose(called.numpy(), 0.5 * (x @ weight.T + bias), rtol=1e-5, atol=1e-6)
    from fastrev.kernels.fingerprint import UNKNOWN, content_hash

    first = content_hash(module)
    assert first == content_hash(module) != UNKNOWN
    with torch.no_grad():
        module.layer.bias[0] += 1.0
    assert content_hash(module) != first


def test_functions_that_name_torch(tmp_path):
    """torch itself, as a global of a callable, has a `detach` and is no tensor."""
    torch = pytest.importorskip("torch")
    globals()["torch"] = torch

    class Module(torch.nn.Module):
        def forward(self, x, t):
            return torch.cat([-x[:, :1], -x[:, 1:]], dim=1)

    try:
        for score in (
            fr.BatchedScore(Module()),
            fr.BatchedScore(lambda x, t: -torch.as_tensor(x).numpy()),
        ):
            process = fr.reverse(VP, score)
            options = {"n": 100, "dim": 2, "time": (1, 0.1), "steps": 50, "seed": 1}
            run = fr.simulate(process, fr.Gaussian(), out=tmp_path / "a.h5", **options)
            assert abs(run.x.std() - 1.0) < 0.2
            run.path.unlink()
    finally:
        del globals()["torch"]


def test_a_module_is_known_by_the_code_of_its_parts():
    """Equal weights, another forward in a child, or another number kept beside them."""
    torch = pytest.importorskip("torch")
    from fastrev.kernels.fingerprint import UNKNOWN, content_hash

    class Once(torch.nn.Module):
        def forward(self, x):
            return x

    class Twice(Once):
        def forward(self, x):
            return x + x

    Twice.__qualname__ = Once.__qualname__

    class Whole(torch.nn.Module):
        def __init__(self, part, scale=1.0):
            super().__init__()
            self.part, self.scale = part, scale

        def forward(self, x, t):
            return self.scale * self.part(x)

    wholes = (Whole(Once()), Whole(Twice()), Whole(Once(), scale=2.0))
    hashes = [content_hash(whole) for whole in wholes]
    assert len({*hashes, UNKNOWN}) == 4
    assert content_hash(Whole(Once())) == hashes[0]

    class Trainer:
        """Not a module, though it has one's weights."""

        def state_dict(self):
            return {}

    assert content_hash(Trainer()) == UNKNOWN


def test_networks_of_torch(tmp_path):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    module = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 3))
    score = fr.NeuralScore.from_torch(module, form="noise", process=VP)
    x = RNG.normal(size=(30, 3)).astype(np.float32)
    with torch.no_grad():
        rows = np.column_stack([x, np.full(30, 0.3, np.float32)])
        wanted = -module(torch.from_numpy(rows)).numpy() / np.sqrt(VP.transition(0.3).variance)
    np.testing.assert_allclose(
        tile_of(score.as_kernel(3), x, 0.3, "float32"), wanted, rtol=2e-5, atol=1e-5
    )
    for bad, message in (
        (nn.Sequential(nn.Linear(4, 3)), "takes a Sequential"),
        (nn.Sequential(nn.Linear(3, 8), nn.Hardtanh(), nn.Linear(8, 3)), "one activation"),
        (nn.Sequential(nn.Linear(3, 8), nn.GELU("tanh"), nn.Linear(8, 3)), "approximate"),
        (nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 3)), "outputs differ"),
        (nn.ModuleList([nn.Linear(3, 8), nn.GELU(), nn.Linear(8, 3)]), "takes a Sequential"),
        (
            nn.Sequential(
                *(nn.Linear(3, 8), nn.Softplus()),
                *(nn.Linear(8, 8), nn.Softplus(beta=2.0), nn.Linear(8, 3)),
            ),
            "Softplus",
        ),
        (nn.Sequential(nn.Linear(3, 8), nn.Softplus(1, 2.0), nn.Linear(8, 3)), "threshold"),
    ):
        with pytest.raises(fr.InputError, match=message):
            fr.NeuralScore.from_torch(bad)
    act = nn.GELU()  # one object between all layers is many activations
    shared = nn.Sequential(module[0], act, module[2], act, module[4])
    again = fr.NeuralScore.from_torch(shared, form="noise", process=VP)
    assert again.sha256 == score.sha256


BAD_NETWORKS = {
    "no layers": (lambda: fr.NeuralScore([]), "must not be empty"),
    "bias": (lambda: fr.NeuralScore([(np.ones((3, 3)), np.ones(2))]), r"layers\[0\].bias"),
    "next": (
        lambda: fr.NeuralScore([(np.ones((4, 3)), np.ones(4)), (np.ones((3, 5)), np.ones(3))]),
        r"layers\[1\].weight must have 4 columns",
    ),
    "ends": (lambda: fr.NeuralScore([(np.ones((4, 3)), np.ones(4))]), "3 inputs and 4 outputs"),
    "time": (
        lambda: fr.NeuralScore([(np.ones((3, 3)), np.ones(3), np.ones((3, 2)))]),
        r"layers\[0\].time must have shape \(3, 1\)",
    ),
    "nan": (lambda: fr.NeuralScore([(np.full((3, 3), np.nan), np.ones(3))]), "must be finite"),
    "activation": (lambda: fr.NeuralScore(layers([2, 3, 2]), "silo"), "did you mean 'silu'"),
    "form": (lambda: fr.NeuralScore(layers([2, 3, 2]), form="noises"), "did you mean 'noise'"),
    "process": (lambda: fr.NeuralScore(layers([2, 3, 2]), form="noise"), "needs the process"),
    "mean": (
        lambda: fr.NeuralScore(layers([2, 3, 2]), form="gaussian", process=VP, mean=[1.0], std=1.0),
        r"mean must have shape \(2,\)",
    ),
    "mixture": (
        lambda: fr.NeuralScore(
            layers([2, 3, 2]),
            form="gaussian",
            process=VP,
            mean=[1.0, 0.0],
            std=1.0,
            mixture=Mixture([0.5, 0.6], [[0.0, 0.0], [1.0, 1.0]]),
        ),
        r"K weights that sum to 1 and centres \(K, 2\), got \(2,\) that sum to 1.1",
    ),
    "spread": (lambda: fr.NeuralScore(layers([2, 3, 2]), form="gaussian"), "needs mean and std"),
    "spreads": (
        lambda: fr.NeuralScore(
            layers([2, 3, 2]), form="gaussian", spread=Spread([0, 1], np.zeros((2, 2)), [1.0])
        ),
        "2 times, 2 and 1",
    ),
    "falling": (
        lambda: fr.NeuralScore(
            layers([2, 3, 2]), form="gaussian", spread=Spread([1, 0], np.zeros((2, 2)), [1, 1])
        ),
        "increasing times",
    ),
    "layer": (lambda: fr.NeuralScore([np.ones((3, 3))[0]]), r"layers\[0\] must be \(weight, bias"),
    "basis": (
        lambda: fr.NeuralScore(layers([2, 3, 2]), basis=np.eye(2)),
        "basis belongs to form 'gaussian', got form 'score'",
    ),
    "place": (lambda: NETWORK.save("absent/net.npz"), "there is no directory absent"),
    "suffix": (lambda: NETWORK.save("net.pkl"), "must end in .npz or .safetensors"),
    "absent": (lambda: fr.NeuralScore.load("absent.npz"), "absent.npz cannot be read"),
    "dim": (
        lambda: fr.simulate(fr.reverse(VP, NETWORK), fr.Gaussian(), **(RUN | {"dim": 3})),
        "dim must be 4",
    ),
    "not callable": (lambda: fr.BatchedScore(3), "must be a callable"),
    "block": (lambda: fr.BatchedScore(abs, block=0), "BatchedScore.block"),
}


@pytest.mark.parametrize("name", BAD_NETWORKS)
def test_bad_networks(name):
    make, message = BAD_NETWORKS[name]
    with pytest.raises(fr.InputError, match=message):
        make()


def test_damaged_network_files(tmp_path):
    path = NETWORK.save(tmp_path / "a.npz")
    whole = path.read_bytes()
    for name, content in {"cut": whole[: len(whole) // 2], "text": b"weights"}.items():
        path.write_bytes(content)
        with pytest.raises(fr.InputError, match=r"a\.npz"):
            fr.NeuralScore.load(path)
        assert name
    np.savez(path, weights=np.ones(3))
    with pytest.raises(fr.InputError, match="does not hold a network"):
        fr.NeuralScore.load(path)
    np.savez(path, weights=np.array([{"a": 1}], dtype=object))
    with pytest.raises(fr.InputError, match=r"a\.npz"):
        fr.NeuralScore.load(path)


def test_points_from_files(tmp_path):
    points = RNG.normal(size=(6, 3))
    np.save(tmp_path / "a.npy", points)
    (tmp_path / "a.csv").write_text(
        "# made by hand\nx,y,z\n"
        + "\n".join(",".join(map(repr, map(float, row))) for row in points)
    )
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/points"] = points
    run = fr.simulate(fr.Brownian(1.0), points, steps=3, out=tmp_path / "run.h5", dtype="float64")
    (tmp_path / "b.csv").write_text((tmp_path / "a.csv").read_text()[15:], "utf-8-sig")
    for name in ("a.npy", "a.csv", "b.csv", "a.h5", "a.h5:/group/points"):
        np.testing.assert_array_equal(fr.Empirical(f"{tmp_path}/{name}").points, points)
    np.testing.assert_array_equal(fr.Empirical(run.path).points, run.x)


BAD_POINTS = {
    "a.csv": ("1,2\n3,x\n", "line 2, column 2: 'x' is not a number"),
    "b.csv": ("1,2\n3\n", "line 2: 1 numbers, 2 before"),
    "c.csv": ("", "holds no numbers"),
    "d.csv": ("1,2\n3,nan\n", r"must be finite, got nan at index \(1, 1\)"),
    "f.csv": ("x,y\n1;2\n3;4\n", "line 2, column 1: '1;2' is not a number"),
    "e.txt": ("1,2\n", "must be a .npy, .csv or HDF5 file"),
}


@pytest.mark.parametrize("name", BAD_POINTS)
def test_bad_point_files(name, tmp_path):
    text, message = BAD_POINTS[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(fr.InputError, match=message):
        fr.Empirical(tmp_path / name)
    with pytest.raises(fr.InputError, match="cannot be read"):
        fr.Empirical(tmp_path / "absent.npy")


def test_points_of_a_run_that_did_not_end(tmp_path):
    """Rows that were never written are no data."""
    path = tmp_path / "a.h5"
    made = fr.simulate(
        fr.Brownian(0.1), fr.Gaussian(), n=100, steps=2, seed=1, shard_size=50, out=path
    )
    np.testing.assert_array_equal(fr.Empirical(path).points, made.frames[-1])
    with h5py.File(path, "r+") as file:
        file["fastrev/shards"][1] = 0
    with pytest.raises(fr.InputError, match="1 of 2 shards are missing"):
        fr.Empirical(path)


CONFIG = """
[process]
kind = "VP"
[score]
{score}
[x0]
kind = "Gaussian"
[run]
n = 100
time = [1.0, 0.01]
steps = 10
dim = 2
"""


def test_scores_in_configurations(tmp_path, monkeypatch):
    """Every kind, from files beside the configuration."""
    monkeypatch.chdir(tmp_path)
    np.save("points.npy", POINTS[:, :2])
    fr.NeuralScore(layers([2, 5, 2])).save("net.npz")
    x = np.linspace(-3, 3, 30)
    values = np.stack(np.meshgrid(-x, -x, indexing="ij"), -1)[None]
    np.savez("grid.npz", times=[0.0], x=x, y=x, values=values)
    (tmp_path / "own_scores.py").write_text(
        "def score(x, t, p):\n    return -p.k * x\n\ndef block(x, t):\n    return -x\n"
    )
    fr.simulate(VP, fr.Gaussian(), n=2000, dim=2, steps=20, frames=5, out="forward.h5")
    kinds = {
        'kind = "empirical"\npoints = "points.npy"': "ExactScore",
        'kind = "neural"\npath = "net.npz"': "NeuralScore",
        'kind = "grid"\nfile = "grid.npz"\ninterpolation = "cubic"': "GridScore",
        'kind = "grid"\nrun = "forward.h5"\npoints = 32': "GridScore",
        'kind = "own_scores:score"\nparams = { k = 1.0 }': "Score",
        'kind = "own_scores:block"\nbatched = true\nblock = 64': "BatchedScore",
    }
    for text, name in kinds.items():
        (tmp_path / "a.toml").write_text(CONFIG.format(score=text))
        assert type(read_config("a.toml").specification.process.score).__name__ == name
    for text, message in {
        'kind = "nerual"': "score.kind must be 'exact', 'empirical', 'grid', 'neural' or",
        'kind = "empirical"': "score.points",
        'kind = "empirical"\npoint = "points.npy"': "did you mean 'points'",
        'kind = "neural"': "needs a path",
        'kind = "neural"\npath = "absent.npz"': "absent.npz cannot be read",
        'kind = "grid"': "needs run, a forward run's file, or file",
        'kind = "grid"\nfile = "points.npy"': "cannot be read|must hold",
        'kind = "own_scores:absent"': "cannot be imported",
    }.items():
        (tmp_path / "a.toml").write_text(CONFIG.format(score=text))
        with pytest.raises(fr.InputError, match=message):
            read_config("a.toml")


def test_digits_come_back(data):
    """Reverse VP with the digits' exact score ends at digits, of every class in proportion."""
    points = fr.Empirical(data / "digits.csv").points
    labels = np.loadtxt(data / "digits_labels.csv", dtype=int)
    last, n = 1e-3, 2000
    scale, _, variance = VP.transition(last)
    time = fr.TimeGrid.power(1.0, last, 250, rho=3)
    expected = np.bincount(labels) * n / len(points)
    found = {}
    for name, chosen in {"all": points, "no sevens": points[labels != 7]}.items():
        process = fr.reverse(VP, VP.score(fr.Empirical(chosen)))
        run = fr.simulate(process, fr.Gaussian(), n=n, dim=64, time=time, seed=11)
        nearest, distance = nearest_points(run.x, scale * points)
        assert np.median(distance) < math.sqrt(variance) * math.sqrt(64) * 1.1
        found[name] = stats.chisquare(np.bincount(labels[nearest], minlength=10), expected).pvalue
    assert found["all"] > 1e-4
    assert found["no sevens"] < 1e-4
    assert np.median(nearest_points(RNG.normal(size=(100, 64)), points)[1]) > 1


def test_sheets_of_pictures(tmp_path, data):
    """Samples beside the points of the score, or of a file; what is no picture is refused."""
    run = fr.simulate(fr.Brownian(0.1), fr.Empirical(data / "digits.csv"), n=50, steps=2, seed=1)
    alone = save_sheet(run, tmp_path / "a.png")
    beside = save_sheet(run, tmp_path / "b.png", data / "digits.csv", "8x8")
    assert image_size(beside)[0] > 1.8 * image_size(alone)[0]
    odd = fr.simulate(fr.Brownian(0.1), fr.Gaussian(), n=5, dim=6, steps=2, seed=1)
    for call, message in (
        (lambda: save_sheet(run, tmp_path / "a.gif"), "must end in .png"),
        (lambda: save_sheet(odd, tmp_path / "a.png"), "product of dim = 6"),
        (lambda: save_sheet(run, tmp_path / "a.png", shape="4x4"), "product of dim = 64"),
        (lambda: save_sheet(odd, tmp_path / "a.png", data / "digits.csv", "2x3"), "6 columns"),
    ):
        with pytest.raises(fr.InputError, match=message):
            call()


def image_size(path):
    from matplotlib.image import imread

    height, width = imread(path).shape[:2]
    return width, height


def nearest_points(x, points):
    from scipy.spatial import cKDTree

    distance, index = cKDTree(points).query(x)
    return index, distance


@pytest.mark.parametrize("kind", ["coordinate", "math", "branch", "tuple", "tile"])
def test_kernels_evaluated_in_numpy(kind):
    """Every shape, all points at once or one by one, in agreement."""
    from fastrev.model.evaluate import evaluated

    x = RNG.normal(size=(40, 2))
    functions = {
        "coordinate": lambda x, t, p: -p.k * x * t,
        "math": lambda x, t, p: -p.k * math.atan(x) * t,
        "branch": lambda x, t, p: -p.k * x if x > 0 else t * x,
        "tuple": lambda x, t, p: (x[1] * t, -p.k * math.sin(x[0])),
        "tile": lambda x, t, p, out: out.__setitem__(slice(None), -p.k * x),
    }
    wanted = {
        "coordinate": -2 * x * 0.5,
        "math": -2 * np.arctan(x) * 0.5,
        "branch": np.where(x > 0, -2 * x, 0.5 * x),
        "tuple": np.stack([x[:, 1] * 0.5, -2 * np.sin(x[:, 0])], 1),
        "tile": -2 * x,
    }
    shape = kind if kind in ("tuple", "tile") else "coordinate"
    kernel = Kernel(functions[kind], namedtuple("P", "k")(2.0), shape=shape)
    np.testing.assert_allclose(evaluated(kernel, x, 0.5), wanted[kind])
