"""The commands, as a user runs them."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

import fastrev as fr
from fastrev.cli import main
from fastrev.engine.config import from_tables, read_config
from fastrev.learn.config import read_training


def cli(monkeypatch, *arguments):
    """The exit status of the command."""
    monkeypatch.setattr(sys, "argv", ["fastrev", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


@pytest.fixture
def config(tmp_path, data):
    """The repository's configurations, at a size for tests."""

    def small(name):
        text = (data / name).read_text().replace("1_000_000", "20_000")
        assert "20_000" in text
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return small


def test_demo(tmp_path, monkeypatch, capsys):
    assert cli(monkeypatch, "demo", "--folder", tmp_path, "--n", 20_000) == 0
    out = capsys.readouterr().out
    assert "agrees with the exact recursion" in out
    assert "DIFFERS" not in out
    assert "million particle-steps/s" in out
    for name in ("demo_forward.h5", "demo_reverse.h5", "demo.png"):
        assert (tmp_path / name).stat().st_size > 10_000
    assert fr.open(tmp_path / "demo_reverse.h5").times[-1] == 0.0


@pytest.mark.parametrize(
    "name", ["brownian_forward.toml", "brownian_reverse.toml", "vp_mixture.toml"]
)
def test_run_info_plot(tmp_path, config, name, monkeypatch, capsys):
    path, target = config(name), tmp_path / "result.h5"
    assert cli(monkeypatch, "run", path, "-o", target) == 0
    assert target.with_suffix(".png").exists()
    assert cli(monkeypatch, "info", target) == 0
    out = capsys.readouterr().out
    assert "20,000 particles" in out
    assert "committed" in out
    for ending in ("svg", "pdf"):
        assert cli(monkeypatch, "plot", target, "-o", tmp_path / f"p.{ending}") == 0
        assert (tmp_path / f"p.{ending}").stat().st_size > 5_000
    before = target.read_bytes()
    assert cli(monkeypatch, "run", path, "-o", target) == 2
    assert "exists and is kept" in capsys.readouterr().err
    assert target.read_bytes() == before
    assert cli(monkeypatch, "run", path, "-o", target, "--overwrite") == 0


def test_explain(config, monkeypatch, capsys):
    assert cli(monkeypatch, "explain", config("brownian_forward.toml")) == 0
    out = capsys.readouterr().out
    assert "what stopped it" in out and "noise" in out and "ns per particle-step" in out


def test_every_configuration_is_valid(data):
    for path in data.glob("*.toml"):
        if "[train]" in path.read_text():  # its network is not there before it is trained
            assert read_training(path).data == str(data / "digits.csv")
        else:
            assert read_config(path).specification.n >= 10_000


TABLES = {
    "process": {"kind": "Brownian", "D": 0.5},
    "x0": {"kind": "Point", "x": 0.0},
    "run": {"n": 10},
}
EXACT = {"kind": "exact", "p0": {"kind": "Point", "x": 0}}
BAD = {
    "unknown table": ({"proces": {}}, "proces.*did you mean 'process'"),
    "unknown key": ({"run": {"step": 10}}, "run.step is not known: did you mean 'steps'"),
    "unknown kind": ({"process": {"kind": "Brownain"}}, "did you mean 'Brownian'"),
    "unknown parameter": (
        {"process": {"kind": "Brownian", "d": 1.0}},
        "process.d is not known: (did you mean|allowed:)",
    ),
    "missing parameter": ({"process": {"kind": "Brownian"}}, "Brownian needs D"),
    "bad value": ({"process": {"kind": "Brownian", "D": -1}}, "Brownian.D must be positive"),
    "bad n": ({"run": {"n": -3}}, "run.n: .*greater than 0, got -3"),
    "no score": ({"reverse": {"noise": 1.0}}, r"\[score\] is missing"),
    "no p0": ({"score": {"kind": "exact"}}, "score.p0 is missing"),
    "bad score": ({"score": {"kind": "magic"}}, "score.kind must be"),
    "bad reverse": ({"reverse": {"nois": 1}, "score": EXACT},
                    "reverse.nois is not known: did you mean 'noise'"),
    "bad output": ({"output": {"fil": "a.h5"}}, "output.fil is not known: did you mean 'file'"),
    "missing function": (
        {"process": {"kind": "SDE", "drift": "nowhere:f", "diffusion": 1.0}},
        "cannot be imported",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_configuration(name):
    change, message = BAD[name]
    with pytest.raises(fr.InputError, match=message):
        from_tables(TABLES | change, imports=True)


def test_bad_files(tmp_path, monkeypatch, capsys):
    assert cli(monkeypatch, "run", tmp_path / "none.toml") == 2
    assert "cannot be read" in capsys.readouterr().err
    (tmp_path / "bad.toml").write_text("[run\n")
    assert cli(monkeypatch, "run", tmp_path / "bad.toml") == 2
    assert "not valid TOML" in capsys.readouterr().err
    assert cli(monkeypatch, "info", tmp_path / "none.h5") == 2
    assert "there is no file" in capsys.readouterr().err


def test_own_functions_from_a_configuration(tmp_path, monkeypatch):
    (tmp_path / "mymodel.py").write_text("def drift(x, t, p):\n    return -p.k * x\n")
    monkeypatch.chdir(tmp_path)
    table = {"kind": "SDE", "drift": "mymodel:drift", "diffusion": 1.0, "params": {"k": 2.0}}
    tables = TABLES | {"process": table, "run": {"n": 1000, "seed": 1}}
    spec = from_tables(tables, imports=True).specification
    from fastrev.engine.simulate import execute

    same = fr.OrnsteinUhlenbeck(2.0, 1.0)
    want = fr.simulate(same, fr.Point(0.0), n=1000, seed=1).x
    np.testing.assert_allclose(execute(spec).x, want, atol=1e-5)


def test_file_commands(tmp_path, config, monkeypatch, capsys):
    import h5py

    target = tmp_path / "a.h5"
    assert cli(monkeypatch, "run", config("brownian_reverse.toml"), "-o", target) == 0
    frames = fr.open(target).frames[:]
    with h5py.File(target, "r+") as file:
        file["fastrev/shards"][0] = 0
    assert cli(monkeypatch, "resume", target) == 0
    assert "1 of 1 shards were missing" in capsys.readouterr().out
    np.testing.assert_array_equal(fr.open(target).frames[:], frames)
    assert cli(monkeypatch, "validate", target, "--deep") == 0
    assert cli(monkeypatch, "extend", target, "--n", 30_000, "-o", tmp_path / "b.h5") == 0
    np.testing.assert_array_equal(fr.open(tmp_path / "b.h5").frames[:, :20_000], frames)
    assert cli(monkeypatch, "repack", target, "-o", tmp_path / "c.h5") == 0
    assert "saved)" in capsys.readouterr().out
    np.testing.assert_array_equal(fr.open(tmp_path / "c.h5").frames[:], frames)
    csv = tmp_path / "paths.csv"
    arguments = ("--particle", 17, "--particle", 3, "--every", 100, "-o", csv)
    assert cli(monkeypatch, "trace", target, *arguments) == 0
    table = np.genfromtxt(csv, delimiter=",", names=True)
    np.testing.assert_array_equal(table["x0"][:11].astype(np.float32), frames[:, 17, 0])
    assert cli(monkeypatch, "trace", target, *arguments) == 2
    with h5py.File(target, "r+") as file:
        file["particles/trajectory/position/value"][0, 0] = 9.0
    assert cli(monkeypatch, "validate", target, "--deep") == 1
    assert cli(monkeypatch, "resume", target, "--repair") == 0
    assert cli(monkeypatch, "validate", target, "--deep") == 0


def test_users_kernel_plots_and_resumes(tmp_path, monkeypatch):
    (tmp_path / "ownmodel.py").write_text("def drift(x, t, p):\n    return -x\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(
        '[process]\nkind = "SDE"\ndrift = "ownmodel:drift"\ndiffusion = 1.0\n'
        '[x0]\nkind = "Gaussian"\nmean = 100.0\n[run]\nn = 1000\nsteps = 10\n'
    )
    assert cli(monkeypatch, "run", "c.toml") == 0
    assert cli(monkeypatch, "plot", "c.h5") == 0
    assert cli(monkeypatch, "resume", "c.h5") == 2
    assert cli(monkeypatch, "resume", "c.h5", "--kernel", "process.drift=ownmodel:drift") == 0
    assert cli(monkeypatch, "resume", "c.h5", "--trust") == 0
    assert cli(monkeypatch, "run", "c.toml", "-o", "nowhere/a.h5") == 2
    assert cli(monkeypatch, "unknown") == 2


def test_interrupt_is_told(tmp_path):
    import signal
    import time

    (tmp_path / "c.toml").write_text(
        '[process]\nkind = "Brownian"\nD = 0.5\n[x0]\nkind = "Point"\nx = 0.0\n'
        "[run]\nn = 1_000_000_000\nsteps = 1000\nkeep = 1000\nshard_size = 100_000\n"
    )
    command = [sys.executable, "-m", "fastrev.cli", "run", "c.toml"]
    child = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        # a shell's background jobs ignore the signal, and hand that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while not (tmp_path / "c.h5").exists():
        time.sleep(0.05)
        assert child.poll() is None
    time.sleep(1.0)
    child.send_signal(signal.SIGINT)
    try:
        _, told = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130
    assert "interrupted; shards committed to a file are kept" in told
    assert fr.open(tmp_path / "c.h5").n > 0


def test_installed_command():
    command = shutil.which("fastrev") or shutil.which("fastrev", path=sys.prefix + "/bin")
    assert command
    done = subprocess.run([command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for verb in ("demo", "run", "info", "plot"):
        assert verb in done.stdout
