"""Functions of whole tiles, against the same mathematics by particle."""

import math

import numpy as np
import pytest

import fastrev as fr

D = 3


def ring(x, t, p):
    return (-x[0] + 0.5 * math.tanh(x[2]), -x[1] + t * math.tanh(x[0]), -x[2] + x[1])


def ring_tile(x, t, p, out):
    for l in range(x.shape[1]):
        out[0, l] = -x[0, l] + 0.5 * math.tanh(x[2, l])
        out[1, l] = -x[1, l] + t * math.tanh(x[0, l])
        out[2, l] = -x[2, l] + x[1, l]


def pull(x, t, p):
    return (-x[0], -x[1] / (1 + t), -x[2])


def pull_tile(x, t, p, out):
    for j in range(x.shape[0]):
        for l in range(x.shape[1]):
            out[j, l] = -x[j, l] / (1 + t) if j == 1 else -x[j, l]


def spread(x, t, p):
    return (0.3 + 0.1 * x[0], 0.4, 0.2 * x[2])


def spread_tile(x, t, p, out):
    for l in range(x.shape[1]):
        out[0, l], out[1, l], out[2, l] = 0.3 + 0.1 * x[0, l], 0.4, 0.2 * x[2, l]


def divergence_tile(x, t, p, out):
    for l in range(x.shape[1]):
        out[0, l] = 2 * (0.3 + 0.1 * x[0, l]) * 0.1
        out[1, l] = 0.0
        out[2, l] = 2 * 0.2 * x[2, l] * 0.2


def pair(noise):
    """The reverse process by particle, and by tile."""
    if noise == "scalar":
        forms = (fr.SDE(ring, lambda x, t, p: 0.3 + t, dim=D),
                 fr.SDE(ring_tile, lambda x, t, p: 0.3 + t, dim=D, tile=True))  # fmt: skip
    else:
        forms = (fr.SDE(ring, spread, dim=D, noise=noise),
                 fr.SDE(ring_tile, spread_tile, dim=D, noise=noise, divergence=divergence_tile,
                        tile=True))  # fmt: skip
    scores = fr.Score(pull, dim=D), fr.Score(pull_tile, dim=D, tile=True)
    return [fr.reverse(form, score) for form, score in zip(forms, scores, strict=True)]


OPTIONS = {"n": 3001, "time": (1, 0.2), "steps": 21, "seed": 4, "dtype": "float64", "frames": 3}


@pytest.mark.slow
def test_heun_and_walls(monkeypatch, tmp_path):
    """Two stages, a score of tiles, absorbing walls; in a file, in other shards, on one thread."""
    options = OPTIONS | {"method": "heun", "boundary": fr.Absorb([-1.5, -9.0, -9.0], 2.0)}
    by_particle, by_tile = (fr.simulate(p, fr.Gaussian(), **options) for p in pair("scalar"))
    np.testing.assert_allclose(by_tile.frames, by_particle.frames, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(by_tile.first_passage, by_particle.first_passage, rtol=1e-9)
    assert 100 < np.isfinite(by_tile.first_passage).sum() < 2900
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    process = pair("scalar")[1]
    stored = fr.simulate(process, fr.Gaussian(), shard_size=700, out=tmp_path / "a.h5", **options)
    assert stored.frames[:].tobytes() == by_tile.frames.tobytes()
    np.testing.assert_array_equal(stored.trace(9)[-1, 0], stored.frames[-1, 9])


def test_noise_that_depends_on_x():
    """With the divergence of G G^T given; by particle it is numeric."""
    by_particle, by_tile = (fr.simulate(p, fr.Gaussian(), **OPTIONS) for p in pair("diagonal"))
    np.testing.assert_allclose(by_tile.x, by_particle.x, rtol=1e-6, atol=1e-7)
    free = fr.SDE(ring_tile, spread_tile, dim=D, noise="diagonal", tile=True)
    with pytest.raises(fr.InputError, match="needs its divergence"):
        fr.simulate(fr.reverse(free, fr.Score(pull, dim=D)), fr.Gaussian(), **OPTIONS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fr.SDE(ring_tile, 0.5, tile=True), "SDE.tile needs dim"),
        (lambda: fr.SDE(ring_tile, np.eye(3), dim=3, noise="matrix", tile=True), "SDE.tile needs"),
        (lambda: fr.SDE(ring, 0.5, dim=3, tile=True), r"function \(x, t, p, out\), got one of"),
        (lambda: fr.SDE(ring_tile, 0.5, dim=3), r"function \(x, t, p\), got one of \(x, t, p, out"),
        (lambda: fr.Score(pull_tile, tile=True), "Score.tile needs dim"),
        (lambda: fr.Score(lambda x: -x), r"Score.kernel must be a function \(x, t, p\)"),
    ],
)
def test_bad_forms(make, message):
    with pytest.raises(fr.InputError, match=message):
        make()


def test_milstein_is_refused():
    process = fr.SDE(ring_tile, spread_tile, dim=D, noise="diagonal", tile=True)
    with pytest.raises(fr.InputError, match="not for a diffusion of whole tiles"):
        fr.simulate(process, fr.Gaussian(), n=10, steps=2, method="milstein")
