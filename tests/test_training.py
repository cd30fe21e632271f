"""Training: what the network learns, checkpoints, and bad requests."""

import warnings

import numpy as np
import pytest
from scipy import special
from typer.testing import CliRunner

import fastrev as fr
from fastrev.cli import app
from fastrev.learn.denoising import Denoising

VP = fr.VP()
SMALL = {"hidden": [32, 32], "iterations": 100, "batch": 512, "features": 6, "seed": 3}


def score_at(score, x, t):
    """A network's score in NumPy, through its own schedule."""
    values = {k: v[0] for k, v in score.as_kernel(score.dim).schedule(np.array([t])).items()}
    basis = np.eye(score.dim) if score.basis is None else score.basis
    y = (x - values["centre"]) @ basis
    h = y * values["enter"]
    first = 0
    for k, layer in enumerate(score.layers):
        h = h @ layer.weight.T + values["bias"][first : first + len(layer.bias)]
        first += -(-len(layer.bias) // 6) * 6
        if k < len(score.layers) - 1:
            h = h / (1 + np.exp(-h))
    answer = values["gain"] * h - values["skip"] * y
    if score.mixture is not None:
        centres = score.mixture.centres
        logits = (values["pull"] * y) @ centres.T + values["heights"][: len(centres)]
        answer += values["pull"] * (special.softmax(logits, axis=1) @ centres)
    return answer @ basis.T


def test_what_is_fitted_is_the_score():
    """Of few data points it is their exact score; of many, on average; 0 for a Gaussian."""
    pytest.importorskip("torch")
    p0, times = fr.Gaussian([0.5, -1.0], [0.5, 0.8]), np.array([0.4])
    scale, _, variance = (float(v[0]) for v in VP.transition(times))
    source = Denoising(VP, p0.sample(300, seed=1), times)
    batch, own = source.batch(500, (2, 0)), source.options
    std = np.sqrt(scale**2 * own["std"] ** 2 + variance)
    y = batch.z * np.sqrt(np.mean(std**2))
    gain = scale**2 * np.mean(own["std"] ** 2) / np.mean(std**2) / np.sqrt(variance)
    wanted = VP.marginal(fr.Empirical(source.points), 0.4).score(
        scale * own["mean"] + y @ own["basis"].T
    )
    for sign in (1.0, -1.0):
        found = (sign * gain * batch.target - y / std**2) @ own["basis"].T
        assert np.allclose(found, wanted, atol=1e-4) == (sign == 1.0)
    for factor in (1.0, 1.3):
        source = Denoising(VP, p0.sample(100_000, seed=1), times)
        source._modes[...] *= factor
        batch = source.batch(100_000, (2, 0))
        design = np.column_stack([batch.z, np.ones(len(batch.z))])
        fitted = np.linalg.lstsq(design, batch.target, rcond=None)[0]
        assert (np.abs(fitted).max() < 0.02) == (factor == 1.0)


def test_what_corrects_a_mixture_is_the_score_too():
    """The mixture has the mean and covariance of the data, and with it the target their score."""
    pytest.importorskip("torch")
    p0 = fr.GaussianMixture([0.3, 0.7], [[-1.0, 0.5], [1.0, 0.0]], 0.3)
    source = Denoising(VP, p0.sample(300, seed=1), np.array([0.1]), 7)
    own = source.options
    weights, centres = own["mixture"]
    assert len(weights) == 7
    np.testing.assert_allclose(weights @ centres, 0.0, atol=1e-12)
    among = (weights[:, None] * centres).T @ centres
    within = own["basis"] @ (among + np.diag(own["std"] ** 2)) @ own["basis"].T
    np.testing.assert_allclose(within, np.cov(source.points.T, bias=True))
    batch = source.batch(500, (2, 0))
    scale, _, variance = (float(v[0]) for v in VP.transition(source.times))
    whole = scale**2 * np.mean(source._base.whole_variance)
    y = batch.z * np.sqrt(whole + variance)
    gain = whole / (whole + variance) / np.sqrt(variance)
    x = scale * own["mean"] + y @ own["basis"].T
    law = VP.marginal(fr.Empirical(source.points), 0.1)
    for sign in (1.0, -1.0):
        found = score_at(source._base, x, 0.1) + sign * gain * batch.target @ own["basis"].T
        assert np.allclose(found, law.score(x), atol=1e-3) == (sign == 1.0)


def test_bad_requests(tmp_path):
    good = fr.Gaussian().sample(100, seed=1)
    for call, message in (
        (lambda: fr.learn.train(VP, np.array([[1.0, np.nan]])), r"train: data must be finite"),
        (lambda: fr.learn.train(VP, np.ones((10, 2))), "10 equal points"),
        (lambda: fr.learn.train(VP, fr.Empirical(np.ones((10, 2)))), "10 equal points"),
        (lambda: fr.learn.train(VP, good, time=5), "train: time must be a non-empty 1-D array"),
        (lambda: fr.learn.train(VP, good, time=(0, 0.5, 1)), r"a TimeGrid or \(t0, t1\)"),
        (lambda: fr.learn.train(VP, "absent.npy"), "absent.npy cannot be read"),
        (lambda: fr.learn.train(VP, good, hiden=[8]), "did you mean 'hidden'"),
        (lambda: fr.learn.train(VP, good, activation="silo"), "did you mean 'silu'"),
        (lambda: fr.learn.train(VP, good, time=fr.TimeGrid([0, 1])), "two noise levels or more"),
        (lambda: fr.learn.train(VP, good, time=(0, 2)), "time must lie between 0 and 1"),
        (lambda: fr.learn.train(VP, np.repeat(good, 2), centres=101), "at most the 100 different"),
        (lambda: fr.learn.train(fr.SDE(no_score, 1.0), good, centres=2), "centres must be 1 where"),
        (lambda: fr.learn.train(fr.reverse(VP, fr.Score(no_score)), good), "forward process"),
    ):
        with pytest.raises(fr.InputError, match=message):
            call()


def no_score(x, t, p):
    return 0.0 * x


def still(x, t, p):
    return 0.0 * x[0], 0.0 * x[1]


def test_what_has_no_score_is_not_learned():
    """Of one Wiener process in a plane, and of data that the process has forgotten."""
    pytest.importorskip("torch")
    one = fr.SDE(still, [[0.1], [0.3]], noise="matrix", dim=2)
    with pytest.raises(fr.InputError, match="singular"):
        fr.learn.train(one, fr.Gaussian([0.0, 1.0]), particles=100, **SMALL)
    with pytest.raises(fr.InputError, match="something is left of the data; at t = 4"):
        data = fr.Gaussian().sample(100, seed=1)
        fr.learn.train(fr.OrnsteinUhlenbeck(1.0, 1.0), data, time=(0, 100), **SMALL)


def test_torch_is_left_as_it_was():
    """Its seed is the caller's, and so is the dtype of what the caller makes."""
    torch = pytest.importorskip("torch")
    data = fr.Gaussian().sample(200, seed=1)
    torch.manual_seed(11)
    wanted = torch.rand(3)
    torch.manual_seed(11)
    first = fr.learn.train(VP, data, **(SMALL | {"iterations": 5}))
    assert torch.equal(torch.rand(3), wanted)
    torch.set_default_dtype(torch.float64)
    try:
        again = fr.learn.train(VP, data, **(SMALL | {"iterations": 5}))
    finally:
        torch.set_default_dtype(torch.float32)
    weights = again.layers[0].weight
    assert weights.std() == pytest.approx(first.layers[0].weight.std(), rel=0.3)


def test_runs_that_teach_begin_at_zero():
    """Where times begin later, p0 is still the law at t = 0."""
    pytest.importorskip("torch")
    still = fr.SDE(no_score, 1.0)
    options = {"iterations": 1, "hidden": [8], "features": 4}
    score = fr.learn.train(still, fr.Gaussian(0.0, 0.1), time=(0.5, 1.0), **options)
    times, means, stds = score.spread
    other = fr.learn.train(still, fr.Gaussian(0.0, 0.1), time=(0.5, 1.0), seed=1, **options)
    assert not np.array_equal(other.spread.means, means)
    np.testing.assert_allclose(times[[0, -1]], [0.5, 1.0])
    np.testing.assert_allclose(stds, np.sqrt(0.01 + times), rtol=0.02)
    graded = fr.TimeGrid.power(1.0, 1e-2, 60, rho=3)
    score = fr.learn.train(still, fr.Gaussian(0.0, 0.1), time=graded, **options)
    assert abs(score.spread.stds[0] - np.sqrt(0.02)) < 0.003
    backward = fr.reverse(still, score)
    fr.simulate(backward, fr.Gaussian(), n=10, time=(1.0, 0.02), steps=5)
    for time, t in (((1.2, 0.5), 1.2), ((1.0, 1e-3), 0.005)):
        with pytest.raises(fr.InputError, match=rf"trained for t from 0.01 to 1; .* t = {t}"):
            fr.simulate(backward, fr.Gaussian(), n=10, time=fr.TimeGrid([*time, 0.0]) if
                        t == 1.2 else fr.TimeGrid([1.0, 0.005, 0.001]))  # fmt: skip


def test_a_network_tells_of_times_it_was_not_trained_for():
    """Up to T without being told otherwise; beyond, what it corrects is not known."""
    pytest.importorskip("torch")
    data = fr.Gaussian().sample(200, seed=1)
    score = fr.learn.train(fr.VP(T=2.0), data, **(SMALL | {"iterations": 2}))
    start = {"n": 10, "steps": 5, "dtype": "float64"}
    fr.simulate(fr.reverse(fr.VP(T=2.0), score), fr.Gaussian(), time=(2.0, 0.1), **start)
    score = fr.learn.train(fr.VE(), data, time=(0.1, 0.5), **(SMALL | {"iterations": 2}))
    fr.simulate(fr.reverse(fr.VE(), score), fr.Gaussian(), time=(0.5, 0.1), **start)
    for first, grid in ((0.9, (0.9, 0.1)), (0.05, (0.5, 0.05, 0.02))):
        with pytest.warns(RuntimeWarning, match=f"not trained for t = {first}"):
            fr.simulate(fr.reverse(fr.VE(), score), fr.Gaussian(), n=10, time=fr.TimeGrid(grid))


def test_data_far_from_their_mean_are_told_apart():
    """Of an outlier the score is that of the points beside it: large logits do not cancel."""
    pytest.importorskip("torch")
    near = fr.Gaussian([0.0] * 4, 0.05).sample(50, seed=1)
    points = np.concatenate([near + 300.0, near - 300.0])
    source = Denoising(VP, points, np.array([0.02]))
    batch, own = source.batch(500, (2, 0)), source.options
    scale, _, variance = (float(v[0]) for v in VP.transition(source.times))
    whole = np.mean(scale**2 * own["std"] ** 2)
    std = np.sqrt(scale**2 * own["std"] ** 2 + variance)
    y = batch.z * np.sqrt(whole + variance)
    gain = whole / ((whole + variance) * np.sqrt(variance))
    found = (gain * batch.target - y / std**2) @ own["basis"].T
    x = scale * own["mean"] + y @ own["basis"].T
    wanted = VP.marginal(fr.Empirical(points), 0.02).score(x)
    np.testing.assert_allclose(found, wanted, atol=0.02 / np.sqrt(variance))


def test_constant_columns_are_told():
    pytest.importorskip("torch")
    data = np.column_stack([fr.Gaussian().sample(200, seed=1), np.ones(200)])
    with pytest.warns(UserWarning, match=r"1 of 2 columns of the data are constant \(1\)"):
        score = fr.learn.train(VP, data, **(SMALL | {"iterations": 5}))
    assert np.isfinite(score.arrays()["layers.0.weight"]).all()


@pytest.mark.parametrize("centres", [pytest.param(1, marks=pytest.mark.slow), 12])
def test_a_mixture_is_learned(centres):
    """Near the exact score where particles are; nearer than the Gaussian that it begins from."""
    pytest.importorskip("torch")
    p0 = fr.GaussianMixture([0.3, 0.7], [[-1.0, 0.5], [1.0, 0.0]], 0.3)
    times = fr.TimeGrid.power(1.0, 1e-2, 200, rho=3)
    options = SMALL | {"iterations": 1500, "centres": centres}
    score = fr.learn.train(VP, p0.sample(5000, seed=2), time=times, **options)
    start = fr.learn.train(VP, p0.sample(5000, seed=2), time=times, **(SMALL | {"iterations": 1}))
    for t in (0.05, 0.2):
        law = VP.marginal(p0, t)
        x = law.sample(2000, seed=4)
        errors = [
            np.mean((score_at(s, x, t) - law.score(x)) ** 2) / np.mean(law.score(x) ** 2)
            for s in (score, start)
        ]
        assert errors[0] < 0.1
        assert errors[0] < 0.25 * errors[1]


def test_checkpoints_go_on(tmp_path, monkeypatch):
    """Stopped half-way and gone on: the same weights; another training's file is refused."""
    pytest.importorskip("torch")
    from fastrev.learn import training

    data = fr.Gaussian([0.5, -1.0], [0.5, 0.8]).sample(500, seed=1)
    whole = fr.learn.train(VP, data, **SMALL)
    path, step = tmp_path / "a.pt", training._Trainer._step
    monkeypatch.setattr(training, "_SAVE_EVERY", 0.0)

    def interrupted(self):
        if self.iteration == 40:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(training._Trainer, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fr.learn.train(VP, data, checkpoint=path, **SMALL)
    monkeypatch.setattr(training._Trainer, "_step", step)
    assert fr.learn.train(VP, data, checkpoint=path, **SMALL).sha256 == whole.sha256
    with pytest.raises(fr.InputError, match="of another training"):
        fr.learn.train(VP, data + 1.0, checkpoint=path, **SMALL)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(fr.InputError, match="is not a checkpoint"):
        fr.learn.train(VP, data, checkpoint=path, **SMALL)


@pytest.mark.slow
def test_steps_of_a_simulation_teach_the_score():
    """A process of which only drift and noise are told: an OU process, whose score is known."""
    pytest.importorskip("torch")
    law = fr.OrnsteinUhlenbeck(1.0, 0.8)
    own = fr.SDE(lambda x, t, p: -x, 0.8, dim=None)
    p0 = fr.GaussianMixture([0.5, 0.5], [-1.0, 1.0], 0.25)
    score = fr.learn.train(
        own, p0, time=fr.TimeGrid.uniform(0.0, 1.0, 40), hidden=[32, 32], iterations=500,
        batch=4096, learning_rate=5e-3, ema=0.99, features=6, particles=5000, seed=1,
    )  # fmt: skip
    assert score.spread is not None
    for t in (0.3, 0.8):
        exact = law.marginal(p0, t)
        x = exact.sample(2000, seed=4)
        wanted = exact.score(x)
        assert np.mean((score_at(score, x, t) - wanted) ** 2) < 0.15 * np.mean(wanted**2)
        assert np.mean((score_at(score, x, t) + wanted) ** 2) > np.mean(wanted**2)


TRAIN = """
[process]
kind = "VP"
[data]
points = "points.csv"
[train]
hidden = [16]
iterations = 60
features = 4
[score]
kind = "neural"
path = "score.npz"
[x0]
kind = "Gaussian"
[run]
n = 2000
time = [1.0, 0.01]
steps = 20
dim = 4
"""


def test_train_and_run_by_command(tmp_path, monkeypatch):
    """One configuration for both; files beside it."""
    pytest.importorskip("torch")
    points = np.random.default_rng(1).normal(size=(200, 4))
    (tmp_path / "points.csv").write_text("\n".join(",".join(map(str, row)) for row in points))
    (tmp_path / "a.toml").write_text(TRAIN)
    (tmp_path / "b.toml").write_text(TRAIN.replace("[train]", "[train]\nhiden = 3"))
    made = CliRunner().invoke(app, ["train", str(tmp_path / "b.toml")])
    assert "did you mean 'hidden'" in str(made.exception)
    (tmp_path / "c.toml").write_text(TRAIN.replace("[train]", "[trian]"))
    made = CliRunner().invoke(app, ["train", str(tmp_path / "c.toml")])
    assert "did you mean 'train'" in str(made.exception)
    (tmp_path / "d.toml").write_text(TRAIN.replace("dim = 4", "dim = 3"))
    made = CliRunner().invoke(app, ["train", str(tmp_path / "d.toml")])
    assert "got 3 of dim, 4 of the data" in str(made.exception)
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(app, ["train", "a.toml"])
    assert made.exit_code == 0, made.output
    assert "score.npz" in made.output
    assert fr.NeuralScore.load("score.npz").dim == 4
    again = CliRunner().invoke(app, ["train", "a.toml"])
    assert "exists" in str(again.exception)
    done = CliRunner().invoke(app, ["run", "a.toml", "--out", "a.h5"])
    assert done.exit_code == 0, done.output
    drawn = CliRunner().invoke(app, ["plot", "a.h5", "--kind", "sheet", "--data", "points.csv"])
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_without_torch_it_says_so(monkeypatch):
    import builtins

    real = builtins.__import__

    def blocked(name, *args, **kwargs):
        if name.partition(".")[0] == "torch":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with (
        warnings.catch_warnings(),
        pytest.raises(fr.InputError, match=r"fastrev\[learn\]"),
    ):
        fr.learn.train(VP, fr.Gaussian().sample(50, seed=1))


@pytest.mark.parametrize("process", [fr.VP(), fr.SDE(drift=lambda x, t, p: -x, diffusion=1.0)])
def test_laws_take_the_dimension_asked_for(process):
    """A law of equal coordinates has none of its own; other laws and processes are held to it."""
    pytest.importorskip("torch")
    few = {"iterations": 2, "batch": 32, "hidden": [8], "particles": 256}
    assert fr.learn.train(process, fr.Gaussian(), dim=3, **few).dim == 3
    assert fr.learn.train(process, fr.Gaussian(), **few).dim == 1
    with pytest.raises(fr.InputError, match="dim must be the same .* got 3 of dim, 2 of the data"):
        fr.learn.train(process, fr.Gaussian([0.0, 1.0]), dim=3, **few)
    with pytest.raises(fr.InputError, match="train: dim must be None or a whole number"):
        fr.learn.train(process, fr.Gaussian(), dim=0, **few)
