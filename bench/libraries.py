"""Reverse Brownian motion as users of torch, JAX, diffrax and torchsde would write it well.

    dx = -(x/t) ds + sqrt(2D) dw,   t = T - s,   from N(0, 1), equal steps

Each function takes particles and steps, float32 where it takes no dtype, and returns a function
of no arguments that runs once and gives the final values; what it compiles is compiled by a first
call.
"""

import functools

import numpy as np

from fastrev.bench.measure import Contender
from fastrev.bench.models import D, T

SIGMA = (2.0 * D) ** 0.5


def _torch_step(x, shrink, spread):
    import torch

    return x * shrink + spread * torch.randn_like(x)


def torch_eager(n, steps, dtype="float32"):
    """In place, all threads."""
    import torch

    h, kind = T / steps, getattr(torch, dtype)

    def run():
        x = torch.randn(n, dtype=kind)
        for i in range(steps):
            x.mul_(1.0 - h / (T - i * h)).add_(torch.randn(n, dtype=kind), alpha=SIGMA * h**0.5)
        return x.numpy()

    return run


def torch_compiled(n, steps):
    """The step through torch.compile, its numbers as tensors so that it compiles once."""
    import torch

    step, h = torch.compile(_torch_step), T / steps
    spread = torch.tensor(SIGMA * h**0.5)
    shrink = [torch.tensor(1.0 - h / (T - i * h)) for i in range(steps)]

    def run():
        x = torch.randn(n)
        for i in range(steps):
            x = step(x, shrink[i], spread)
        return x.numpy()

    return run


def jax_jit(n, steps, dtype="float32"):
    """A scan under jit; the default generator, Threefry."""
    import jax

    h = T / steps
    shrink = (1.0 - h / (T - h * np.arange(steps))).astype(dtype)

    @jax.jit
    def paths(key):
        def step(x, given):
            factor, own = given
            return factor * x + SIGMA * h**0.5 * jax.random.normal(own, x.shape, dtype), None

        first, rest = jax.random.split(key)
        keys = jax.random.split(rest, steps)
        return jax.lax.scan(step, jax.random.normal(first, (n,), dtype), (shrink, keys))[0]

    def run():
        with jax.enable_x64(dtype == "float64"):
            return _with_fresh_key(paths)

    return run


def diffrax_euler(n, steps):
    """diffeqsolve with Euler and the fastest of its Brownian paths, under jit."""
    import diffrax
    import jax
    import lineax

    @jax.jit
    def paths(key):
        first, rest = jax.random.split(key)
        path = diffrax.UnsafeBrownianPath(shape=(n,), key=rest)
        noise = diffrax.ControlTerm(
            lambda s, x, args: lineax.DiagonalLinearOperator(jax.numpy.full((n,), SIGMA)), path
        )
        drift = diffrax.ODETerm(lambda s, x, args: -x / (T - s))
        solution = diffrax.diffeqsolve(
            diffrax.MultiTerm(drift, noise), diffrax.Euler(), 0.0, T, T / steps,
            jax.random.normal(first, (n,)), adjoint=diffrax.DirectAdjoint(), max_steps=steps + 1,
        )  # fmt: skip
        return solution.ys[0]

    return functools.partial(_with_fresh_key, paths)


def torchsde_euler(n, steps):
    """sdeint with diagonal noise."""
    import torch
    import torchsde

    class Reverse(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, s, x):
            return -x / (T - s)

        def g(self, s, x):
            return torch.full_like(x, SIGMA)

    sde, ends = Reverse(), torch.tensor([0.0, T])

    def run():
        with torch.no_grad():
            x = torchsde.sdeint(sde, torch.randn(n, 1), ends, method="euler", dt=DT * T / steps)
        return x[-1, :, 0].numpy()

    return run


DT = 1.0 + 1e-5
"""A step of torchsde's: by equal ones it would fall short of the end, and take one of 1e-7 more."""
_keys = iter(range(1 << 30))


def _with_fresh_key(paths, *arguments):
    import jax

    return np.asarray(paths(jax.random.PRNGKey(next(_keys)), *arguments))


LIBRARIES = {
    "torch": (torch_eager, ("torch",), 2**20),
    "torch, compiled": (torch_compiled, ("torch",), 2**20),
    "JAX": (jax_jit, ("jax",), 2**20),
    "torch float64": (functools.partial(torch_eager, dtype="float64"), ("torch",), 2**19),
    "JAX float64": (functools.partial(jax_jit, dtype="float64"), ("jax",), 2**19),
    "diffrax": (diffrax_euler, ("diffrax",), 2**18),
    "torchsde": (torchsde_euler, ("torchsde",), 2**17),
}
"""By name: its function, the packages that it needs, and particles that take it a second or two."""


def by_library(name, steps, share=1.0, most=3):
    """The contender of that name; compiles when it warms up."""
    import time

    make, _, n = LIBRARIES[name]
    n = max(1000, int(share * n))
    run = make(n, steps)

    def warm():
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    return Contender(name, run, n, warm, most)
