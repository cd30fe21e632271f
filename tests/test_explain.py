"""What became vector code, and what is said where it did not."""

import gc
import math
import warnings

import numba
import numpy as np
import pytest

import fastrev as fr
from fastrev.engine.prepare import build
from fastrev.kernels.jit import INNER, loop
from fastrev.kernels.loops import Loop, _without_remainders, loops_of
from fastrev.kernels.processor import wide_registers


def slow(x, t, p):
    return math.gamma(1.0 + x * x)


def choice(x, t, p):
    if x > 0.0:
        return math.exp(-x) * x
    return 1.0


def test_a_kernel_that_is_vector_code_and_one_that_is_not():
    good = fr.explain(fr.SDE(choice, 0.5), steps=100)
    assert good.vectorised and {loop.role for loop in good.loops} == {"noise", "step"}
    assert all(loop.lanes >= 4 and loop.bits >= 128 for loop in good.loops)
    if wide_registers():
        assert {loop.bits for loop in good.loops} == {512}
    bad = fr.explain(fr.SDE(slow, 0.5), steps=100)
    told = {loop.role: loop.stopped for loop in bad.loops if not loop.vectorised}
    assert list(told) == ["step"] and "gamma" in told["step"]
    assert bad.ns > 3 * good.ns > 0 and good.noise_ns < good.ns
    assert "no" in str(bad) and "16 lanes" in str(good).replace("8 lanes", "16 lanes")


def test_scores_and_correctors_have_their_own_loops():
    process = fr.VP()
    mixture = fr.GaussianMixture([0.5, 0.5], [-1.0, 1.0], [0.3, 0.3])
    found = fr.explain(
        fr.reverse(process, process.score(mixture)), time=(1, 0), steps=50, dim=2,
        method="predictor-corrector", dtype="float64",
    )  # fmt: skip
    roles = {loop.role for loop in found.loops}
    assert found.vectorised and roles == {"step", "score", "corrector", "noise"}


def test_said_once(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTREV_CACHE_DIR", str(tmp_path))

    def own(x, t, p):
        return math.atan2(x, t)

    with pytest.warns(fr.PerformanceWarning, match="step did not become vector code.*calls atan2"):
        fr.simulate(fr.SDE(own, 0.5), fr.Point(1.0), n=10, steps=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fr.simulate(fr.SDE(own, 0.5), fr.Point(1.0), n=10, steps=2)
        fr.simulate(fr.Brownian(0.5), fr.Point(1.0), n=10, steps=2)


def test_narrow_copies_of_a_loop_are_not_counted():
    wide, narrow, scalar = Loop(16, 512, ""), Loop(4, 128, ""), Loop(1, 0, "why")
    assert _without_remainders([(narrow, 10), (wide, 10), (scalar, 11)]) == [wide]
    assert _without_remainders([(wide, 10), (scalar, 30)]) == [wide, scalar]
    assert _without_remainders([(scalar, 5)]) == [scalar]


@pytest.mark.parametrize(
    "options",
    [{}, {"boundary": fr.Reflect(-3, 3)}, {"boundary": fr.Periodic(-3, 3)}, {"method": "heun"}],
)
def test_a_whole_kernel_is_vector_code(options):
    """What is by itself might not be within one: a loop around a loop of two was not."""
    run = fr.simulate(fr.OrnsteinUhlenbeck(1.0, 1.0), fr.Point(1.0), n=10, steps=2, **options)
    found = loops_of(build(run.specification, stored=False).kernel, linked=True)
    assert found and all(loop.lanes > 1 for loop in found)


def test_what_only_compiled_code_calls():
    """It is judged as it would be alone, and Python that calls it gets an error."""

    def triple(x):
        for i in range(len(x)):
            x[i] *= np.float32(3)

    inner = loop(triple, **INNER)

    @numba.njit
    def outer(x):
        inner(x)

    x = np.ones(100, np.float32)
    outer(x)
    assert set(x) == {3}
    (library,) = [result.library for result in inner.overloads.values()]
    assert "<8 x float>" not in library.get_llvm_str()  # not optimised by itself
    assert [found.lanes > 1 for found in loops_of(inner)] == [True]
    for arguments in ((x,), ()):
        with pytest.raises(TypeError):
            inner(*arguments)
    assert set(x) == {3}


def test_garbage_is_looked_for_again():
    """Not while a kernel compiles, but after, also where that fails; nor against one's wish."""
    for wanted in (True, False):
        (gc.enable if wanted else gc.disable)()
        try:
            fr.simulate(fr.SDE(lambda x, t, p: -x, 1.0), fr.Point(0.0), n=1, steps=1)
            assert gc.isenabled() == wanted
            with pytest.raises(fr.KernelError):
                fr.simulate(fr.SDE(lambda x, t, p: x.none, 1.0), fr.Point(0.0), n=1, steps=1)
            assert gc.isenabled() == wanted
        finally:
            gc.enable()


def test_bad_options():
    with pytest.raises(fr.InputError, match="step is not known: did you mean 'steps'"):
        fr.explain(fr.Brownian(0.5), step=10)
