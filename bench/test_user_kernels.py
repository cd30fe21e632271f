"""Kernels of a user's own against the same mathematics in fused Numba and in JAX, in one process.

float32 for fastrev and JAX, float64 for Numba's `np.random`, which has no other; no output;
compile time apart; two standard errors of mean and spread tie the answers together.
"""

import time

import numpy as np
import pytest
from user_models import MODELS

import fastrev as fr

STEPS, SPAN = 200, 1.0
LEAST = {"double_well": 6, "mixture": 7, "van_der_pol": 6, "lorenz": 6, "vp64": 12}


def jax_run(model, n, steps, h):
    """A jitted scan over steps, on all cores, as JAX's users write it."""
    jax = pytest.importorskip("jax")
    jnp = jax.numpy

    @jax.jit
    def run(x, key):
        def body(carry, i):
            x, key = carry
            key, sub = jax.random.split(key)
            t = SPAN - i * h if model.backwards else i * h
            z = jax.random.normal(sub, x.shape, dtype=jnp.float32)
            return (model.jax_step(jnp, x, t, h, z), key), None

        return jax.lax.scan(body, (x, key), jnp.arange(steps, dtype=jnp.float32))[0][0]

    start = jax.random.normal(jax.random.PRNGKey(1), (n, model.dim), dtype=jnp.float32)
    return lambda: np.asarray(run(start, jax.random.PRNGKey(2)).block_until_ready())


def agree(a, b):
    """Mean and mean square of every coordinate, within five standard errors of each other."""
    for power in (1, 2):
        x, y = a.astype(np.float64) ** power, b.astype(np.float64) ** power
        error = np.sqrt(x.var(axis=0) / len(x) + y.var(axis=0) / len(y))
        assert np.all(np.abs(x.mean(axis=0) - y.mean(axis=0)) < 5 * error + 2e-4)


@pytest.mark.parametrize("name", MODELS)
def test_ratio(benchmark, record, request, name):
    model, timed = MODELS[name](), not request.config.getoption("benchmark_disable")
    n = 2**16 // model.dim if timed else 2**12
    time_range = (SPAN, 0.0) if model.backwards else (0.0, SPAN)
    start = np.random.default_rng(1).standard_normal((n, model.dim))

    def ours(n=n):
        options = {"n": n, "time": time_range, "steps": STEPS, "dim": model.dim}
        return fr.simulate(model.process, fr.Gaussian(), **options).x

    def numba_peer():
        x = start.copy()
        model.numba(x, STEPS, SPAN / STEPS)
        return x

    calls = {"fastrev": ours, "numba": numba_peer}
    if timed:
        try:
            calls["jax"] = jax_run(model, n, STEPS, SPAN / STEPS)
        except pytest.skip.Exception:
            print("jax is not installed: left out")
    answers = {peer: call() for peer, call in calls.items()}  # compiles
    for answer in answers.values():
        agree(answers["fastrev"], answer)
    best = dict.fromkeys(calls, np.inf)
    for _ in range(3 if timed else 1):
        for peer, call in calls.items():
            begin = time.perf_counter()
            call()
            best[peer] = min(best[peer], time.perf_counter() - begin)
    benchmark.pedantic(ours, rounds=1)
    ratios = {peer: seconds / best["fastrev"] for peer, seconds in best.items()}
    record(n * STEPS, ratios=ratios)
    rate = n * STEPS / best["fastrev"] / 1e6
    print(f"{name:12s} {rate:7,.0f} M particle-steps/s; {ratios}")
    if timed:
        assert ratios["numba"] > LEAST[name]
        assert ratios.get("jax", np.inf) > 4
