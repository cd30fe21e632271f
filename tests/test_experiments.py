"""The three experiments, as a user runs them, and that a wrong run is told from a right one."""

import dataclasses
import itertools
import sys
import tomllib

import numpy as np
import pytest
from typer.testing import CliRunner

import fastrev as fr
from fastrev.analysis import experiments
from fastrev.analysis.exact import scheme_moments
from fastrev.analysis.experiments import EXPERIMENTS, Part, judging
from fastrev.cli import app, main
from fastrev.engine.config import read_config
from fastrev.model.score import ExactScore

assert set(EXPERIMENTS) == {"anderson", "paradox", "vp"}
RIGHT = {
    "anderson": {"forward": "follows p_t", "reverse": "returns to p_0 up to the scheme's own"},
    "paradox": {
        "drift only": "does NOT follow p_t: at t = 0.5 variance 0.2",
        "noise only": "does NOT return to p_0: variance",
        "naive reversal": "does NOT return to p_0: variance",
        "Anderson": "returns to p_0 up to the scheme's own variance 0.001",
    },
    "vp": {
        "forward": "follows p_t",
        "Anderson": "returns to p_0: largest |z|",
        "probability flow": "returns to p_0: largest |z|",
    },
}
"""experiment -> run -> what is said of it"""


def conducted(name, folder, *options):
    arguments = ["experiment", name, "--n", "20_000", "--folder", str(folder), *options]
    return CliRunner().invoke(app, [a.replace("_000", "000") for a in arguments])


@pytest.mark.parametrize(
    "name", ["anderson", *(pytest.param(n, marks=pytest.mark.slow) for n in ("paradox", "vp"))]
)
def test_experiment(name, tmp_path):
    done = conducted(name, tmp_path)
    assert done.exit_code == 0, done.output
    for label, words in RIGHT[name].items():
        assert f"\n{label} {words}" in done.output
        run = fr.open(tmp_path / f"{name}_{label.lower().replace(' ', '_')}.h5")
        assert run.n == 20_000
        assert len(run.times) == 11
    assert "as theory says" in done.output and "NOT as theory" not in done.output
    assert max(len(line) for line in done.output.splitlines() if "│" in line) <= 80
    assert "…" not in done.output  # nothing of a table is cut
    assert (tmp_path / f"{name}.png").stat().st_size > 20_000

    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = conducted(name, tmp_path)
    assert isinstance(again.exception, fr.InputError)
    assert f"{name}.png: there already, and kept; --overwrite" in str(again.exception)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_a_wrong_sign_is_told(tmp_path, monkeypatch):
    """Of the score: run and recursion go wrong together, and still do not pass."""
    right = ExactScore.affine

    def negative(self, times):
        slope, offset = right(self, times)
        return -slope, -offset

    monkeypatch.setattr(ExactScore, "affine", negative)
    done = conducted("anderson", tmp_path, "--seed", "3")
    assert done.exit_code == 1
    assert "\nforward follows p_t" in done.output
    assert "\nreverse does NOT return to p_0: variance" in done.output
    assert "NOT as theory says: reverse" in done.output


def test_naive_reversal_in_place_of_anderson_is_told(tmp_path, monkeypatch):
    paradox = EXPERIMENTS["paradox"]
    right = paradox.parts[-1]
    naive = Part(right.label, "paradox_naive", right.equation, True, right.config)
    swapped = dataclasses.replace(paradox, parts=(naive,))
    monkeypatch.setitem(EXPERIMENTS, "paradox", swapped)
    done = conducted("paradox", tmp_path)
    assert done.exit_code == 1
    assert "\nAnderson does NOT return to p_0: variance" in done.output
    assert "NOT as theory says: Anderson" in done.output


def test_each_time_is_told_apart(tmp_path):
    """The worked example's times: exact variance 2Dt beside each, seeds in order."""
    done = list(experiments.perform("anderson", tmp_path, n=1000, seed=7))
    assert [one.run.seed for one in done] == [7, 8]
    for one in done:
        np.testing.assert_allclose([row.exact for row in one.rows], one.run.times, atol=1e-12)
        np.testing.assert_allclose(np.sort(one.run.times), np.linspace(0, 1, 11), atol=1e-12)


def test_time_gone_by_becomes_forward_time():
    """Noise alone runs forward from p_T: its last frame stands beside t = 0."""
    spec = experiments.specification(EXPERIMENTS["paradox"].parts[1].path, n=1000)
    right = judging.Reference(read_config(experiments.FOLDER / "anderson_reverse.toml")[0])
    run = fr.simulate(spec.process, spec.x0, n=1000, frames=11, steps=1000)
    np.testing.assert_allclose(judging.forward_times(run, right), 1.0 - run.times)


@pytest.mark.parametrize("name", ["anderson_forward", "anderson_reverse", "vp_forward"])
def test_the_law_of_the_scheme(name):
    """Components pushed through the steps have the moments of the exact recursion."""
    spec = read_config(experiments.FOLDER / f"{name}.toml").specification
    reference = judging.Reference(spec)
    want = scheme_moments(spec)
    for f, t in enumerate(spec.times):
        mean, variance = reference.scheme(float(t)).moments()
        np.testing.assert_allclose([mean, variance], [want.mean[f], want.variance[f]], atol=1e-12)
        assert reference.sound(float(t))


def test_a_scheme_that_is_not_p_t_is_unsound():
    law = fr.Gaussian(0.0, 1.0)
    coarse = fr.simulate(fr.OrnsteinUhlenbeck(1.0, 0.01), law, n=2, time=(0, 4), steps=3, frames=4)
    assert not judging.Reference(coarse.specification).sound(4.0 / 3.0)


def test_every_configuration_is_used_and_reads_and_ships(data):
    used = {part.path for e in EXPERIMENTS.values() for part in e.parts}
    assert used == set(experiments.FOLDER.glob("*.toml"))
    project = tomllib.loads((data.parent / "pyproject.toml").read_text())
    shipped = project["tool"]["setuptools"]["package-data"]["fastrev"]
    assert "analysis/experiments/*.toml" in shipped
    specs = [read_config(path).specification for path in used]
    assert {spec.n for spec in specs} == {1_000_000}
    for experiment in EXPERIMENTS.values():
        seeds = [read_config(part.path).specification.seed for part in experiment.parts]
        assert all(a != b for a, b in itertools.combinations(seeds, 2))


def test_bad_names_and_folders(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fastrev", "experiment", "andersen"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    told = "fastrev: experiment 'andersen' is not known: did you mean 'anderson'?\n"
    assert capsys.readouterr().err == told
    nowhere = conducted("vp", tmp_path / "nowhere")
    assert isinstance(nowhere.exception, fr.InputError)
    assert "is not there or cannot be written" in str(nowhere.exception)
    assert not list(tmp_path.iterdir())
