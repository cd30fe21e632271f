"""Models with kernels of a user's own: as fastrev's users write them, and as Numba's and JAX's do.

Each model has `process` and `x0` for fastrev, `numba(x, steps, h)` in place over rows,
and `jax_step(x, t, h, z)` for arrays (N, d).
"""

import math
from types import SimpleNamespace

import numba
import numpy as np

import fastrev as fr
from fastrev.bench import models, peers


def with_jax(model, jax_step):
    """A model of `fastrev bench`, whose loop takes (N,), for rows."""

    def rows(x, steps, h):
        peers.LOOPS[model.name](x[:, 0], steps, h)

    return SimpleNamespace(
        process=model.process, dim=1, numba=rows, jax_step=jax_step, backwards=True
    )


def double_well():
    """A double well with a tanh wall and a barrier, run back with a score of the same kind."""

    def jax_step(jnp, x, t, h, z):
        f = jnp.tanh(2.0 * x) - x + 2.0 * x * jnp.exp(-x * x)
        s = (jnp.tanh(2.0 * x) - x) * jnp.exp(-0.1 * x * x)
        return x + (0.25 * s - f) * h + 0.5 * jnp.sqrt(h) * z

    return with_jax(models.double_well(), jax_step)


def mixture():
    """Reverse VP with the exact score of eight components."""
    means, weights, std = models.MEANS, models.WEIGHTS, models.STD

    def jax_step(jnp, x, t, h, z):
        beta = 0.1 + 7.9 * t
        a = jnp.exp(-0.5 * (0.1 * t + 3.95 * t * t))
        variance = a * a * std * std + 1.0 - a * a
        away = a * means.astype(np.float32) - x
        w = weights.astype(np.float32) * jnp.exp(-0.5 * away * away / variance)
        s = (w * away).sum(1, keepdims=True) / (w.sum(1, keepdims=True) * variance)
        return x + (0.5 * beta * x + beta * s) * h + jnp.sqrt(beta * h) * z

    return with_jax(models.mixture(), jax_step)


def van_der_pol():
    """The stochastic van der Pol oscillator."""

    def drift(x, t, p):
        return (x[1], (1.0 - x[0] * x[0]) * x[1] - x[0])

    @numba.njit(parallel=True)
    def fused(x, steps, h):
        root = 0.5 * math.sqrt(h)
        for i in numba.prange(len(x)):
            a, b = x[i, 0], x[i, 1]
            for _ in range(steps):
                f, g = b, (1.0 - a * a) * b - a
                a += f * h + root * np.random.standard_normal()
                b += g * h + root * np.random.standard_normal()
            x[i, 0], x[i, 1] = a, b

    def jax_step(jnp, x, t, h, z):
        a, b = x[:, 0], x[:, 1]
        f = jnp.stack([b, (1.0 - a * a) * b - a], axis=1)
        return x + f * h + 0.5 * jnp.sqrt(h) * z

    process = fr.SDE(drift, 0.5, dim=2)
    return SimpleNamespace(process=process, dim=2, numba=fused, jax_step=jax_step, backwards=False)


def lorenz():
    """The stochastic Lorenz system."""

    def drift(x, t, p):
        return (
            10.0 * (x[1] - x[0]),
            x[0] * (28.0 - x[2]) - x[1],
            x[0] * x[1] - 8.0 / 3.0 * x[2],
        )

    @numba.njit(parallel=True)
    def fused(x, steps, h):
        root = 0.5 * math.sqrt(h)
        for i in numba.prange(len(x)):
            a, b, c = x[i, 0], x[i, 1], x[i, 2]
            for _ in range(steps):
                f, g, k = 10.0 * (b - a), a * (28.0 - c) - b, a * b - 8.0 / 3.0 * c
                a += f * h + root * np.random.standard_normal()
                b += g * h + root * np.random.standard_normal()
                c += k * h + root * np.random.standard_normal()
            x[i, 0], x[i, 1], x[i, 2] = a, b, c

    def jax_step(jnp, x, t, h, z):
        a, b, c = x[:, 0], x[:, 1], x[:, 2]
        f = jnp.stack([10.0 * (b - a), a * (28.0 - c) - b, a * b - 8.0 / 3.0 * c], axis=1)
        return x + f * h + 0.5 * jnp.sqrt(h) * z

    process = fr.SDE(drift, 0.5, dim=3)
    return SimpleNamespace(process=process, dim=3, numba=fused, jax_step=jax_step, backwards=False)


def vp64():
    """VP in 64 coordinates, each alike."""
    vp = fr.VP(0.1, 8.0)

    @numba.njit(parallel=True)
    def fused(x, steps, h):
        for i in numba.prange(len(x)):
            for k in range(steps):
                beta = 0.1 + 7.9 * k * h
                root = math.sqrt(beta * h)
                for j in range(x.shape[1]):
                    x[i, j] += -0.5 * beta * x[i, j] * h + root * np.random.standard_normal()

    def jax_step(jnp, x, t, h, z):
        beta = 0.1 + 7.9 * t
        return x - 0.5 * beta * x * h + jnp.sqrt(beta * h) * z

    return SimpleNamespace(process=vp, dim=64, numba=fused, jax_step=jax_step, backwards=False)


MODELS = {f.__name__: f for f in (double_well, mixture, van_der_pol, lorenz, vp64)}
