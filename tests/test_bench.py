"""`fastrev bench`: what it says, and that a wrong answer has no speed."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from fastrev.analysis.exact import scheme_moments
from fastrev.bench import limit, measure, models, peers
from fastrev.bench.models import MODELS, brownian, scheme_law
from fastrev.cli import app
from fastrev.engine.simulate import specified
from fastrev.model.gaussian import Gaussian

SMALL = """
import sys
from fastrev import cli
from fastrev.bench import peers
from fastrev.bench.bench import Settings
from fastrev.bench.models import brownian
tiny = Settings(steps=40, rounds=2, slow_rounds=1, n=2**12, share=2**-6, models=(brownian,),
                dtypes=("float32",), megabytes=0.5)
Settings.quick = classmethod(lambda cls: tiny)
right = peers.numpy_float32
"""
WRONG = "peers.numpy_float32 = lambda x, steps: 1.5 * right(x, steps)\n"


def run_bench(*arguments, patch="", **environment):
    """In a process of its own: Numba's threads, once launched, cannot be told another number."""
    command = [sys.executable, "-c", SMALL + patch + "cli.main()", "bench", "--quick"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=300,
        env=os.environ | environment,
    )  # fmt: skip


def test_tables_json_and_figure(tmp_path):
    target, figure = tmp_path / "b.json", tmp_path / "b.png"
    done = run_bench("--json", target, "--plot", figure, "--folder", tmp_path, COLUMNS="200")
    assert done.returncode == 0, done.stderr
    for text in ("fastrev float32", "NumPy", "Numba", "threads", "streamed to HDF5"):
        assert text in done.stdout
    assert "[bold]" not in done.stdout
    found = json.loads(target.read_text())
    assert set(found) == {"machine", "settings", "models", "limit", "scaling", "disk"}
    assert found["settings"]["models"] == ["brownian"]
    rows = found["models"]["reverse Brownian"]
    assert {"fastrev float32", "Numba", "NumPy", "NumPy float32"} <= set(rows)
    assert ("C" in rows) == (found["limit"] == "C")
    for row in rows.values():
        assert row["checked"] and abs(row["z"]) < 5
        assert row["rate"] > 0 and row["seconds"] > 0
        assert all(ratio > 0 for ratio in row["faster_than"].values())
    assert rows["NumPy"]["compile_seconds"] is None
    scaling = found["scaling"]
    assert scaling[0]["threads"] == 1 and scaling[0]["efficiency"] == 1.0
    assert scaling[-1]["threads"] == found["machine"]["threads"]
    assert found["disk"]["streaming"] > 0 and found["disk"]["checked"]
    assert figure.stat().st_size > 10_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.json", "b.png"]


def test_a_wrong_answer_is_refused():
    done = run_bench(patch=WRONG)
    assert done.returncode == 2
    assert "NumPy float32: variance" in done.stderr and "wrong answer has no speed" in done.stderr


@pytest.mark.parametrize("x", [np.zeros(1000), np.full(1000, np.nan)])
def test_degenerate_answers_are_refused(x):
    with pytest.raises(measure.WrongAnswerError, match="mean|variance"):
        measure.checked("peer", x, scheme_law(brownian(), 200))


def test_a_shifted_answer_is_refused():
    x = np.random.default_rng(1).normal(0.01, 0.005**0.5, 100_000)
    with pytest.raises(measure.WrongAnswerError, match="mean"):
        measure.checked("peer", x, scheme_law(brownian(), 200))


def test_without_a_compiler(tmp_path):
    target = tmp_path / "b.json"
    done = run_bench("--json", target, PATH="", COLUMNS="200")
    assert done.returncode == 0, done.stderr
    assert "C: no C compiler" in done.stdout
    found = json.loads(target.read_text())
    assert found["limit"] == "no C compiler" and found["machine"]["compiler"] is None


def test_a_compiler_that_fails(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: sys.executable)  # no compiler at all
    with pytest.raises(limit.LimitError, match="the C compiler failed"):
        limit.build()


@pytest.mark.skipif(not any(map(shutil.which, limit.COMPILERS)), reason="no C compiler")
@pytest.mark.parametrize("generator", ["philox", "ars"])
@pytest.mark.parametrize("taken", [30, 200])
def test_the_c_kernel(taken, generator):
    """After some of the steps too: the last one forgets all that went before."""
    if generator not in measure.generators():
        pytest.skip("no instruction for rounds of AES in vectors")
    kernel = limit.build(generator)
    h = models.T / 200
    variance = 2 * models.D * models.T
    for i in range(taken):
        variance = variance * (1 - h / (models.T - i * h)) ** 2 + 2 * models.D * h
    x = kernel.run(100_001, 200, threads=3, taken=taken)
    assert abs(x.var(dtype=np.float64) / variance - 1) < 5 * (2 / len(x)) ** 0.5
    assert abs(x.mean(dtype=np.float64)) < 5 * (variance / len(x)) ** 0.5


def test_the_scheme_s_law_is_the_recursion_s():
    spec = specified(brownian().process, Gaussian(), n=10, time=(1.0, 0.0), steps=50)
    exact, found = scheme_moments(spec), scheme_law(brownian(), 50)
    np.testing.assert_allclose(found.variance[0], exact.variance[-1], rtol=1e-9)
    np.testing.assert_allclose(found.mean[0], exact.mean[-1], atol=1e-9)


@pytest.mark.parametrize("make", MODELS)
def test_numpy_gives_the_scheme_s_law(make):
    model = make()
    start = np.random.default_rng(1).standard_normal(20_000)
    np.random.seed(1)
    measure.checked(model.name, peers.numpy_loop(start, model, 100), scheme_law(model, 100))


@pytest.mark.parametrize(
    ("option", "value"), [("--json", "nowhere/b.json"), ("--plot", "b.txt"), ("--folder", "no")]
)
def test_targets_are_checked_first(tmp_path, monkeypatch, option, value):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["bench", "--quick", option, value])
    assert done.exit_code != 0 and value.split("/")[0] in str(done.exception)
