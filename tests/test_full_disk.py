"""A file system with no room left, really: a tmpfs in a name space of its own."""

import shutil
import subprocess
import sys

import pytest

_MOUNT = ["unshare", "--mount", "--map-root-user", "sh", "-c"]


def on_small_disk(tmp_path, code, megabytes=4):
    """Run Python code with `out`, a folder of so many megabytes."""
    room = tmp_path / "room"
    room.mkdir()
    mount = f"mount -t tmpfs -o size={megabytes}m none {room}"
    if shutil.which("unshare") is None or subprocess.run([*_MOUNT, mount]).returncode:
        pytest.skip("no small file system can be mounted here")
    script = tmp_path / "script.py"
    script.write_text(
        f"import fastrev as fr\nfrom pathlib import Path\nout = Path({str(room)!r})\n"
    )
    with script.open("a") as file:
        file.write(code)
    command = f"{mount} && {sys.executable} {script}"
    done = subprocess.run([*_MOUNT, command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_too_small_from_the_start(tmp_path):
    """Refused before the first step, with and without the question how much is free."""
    said = on_small_disk(
        tmp_path,
        """
import shutil
from fastrev.store import h5md

def attempt():
    try:
        fr.simulate(fr.Brownian(0.5), fr.Point(0.0), n=2_000_000, steps=2, out=out / "a.h5")
    except ValueError as error:
        print(type(error).__name__, error)
    print(list(out.iterdir()))

attempt()
h5md.shutil.disk_usage = lambda folder: shutil._ntuple_diskusage(2**40, 0, 2**40)
attempt()
""",
    )
    lines = said.splitlines()
    assert "StoreError out needs 0.02 GB" in lines[0]
    assert "StoreError out: " in lines[2] and "No space left" in lines[2]
    assert lines[1] == lines[3] == "[]"


def test_full_half_way(tmp_path):
    """Where a file system cannot reserve: committed shards stay, and resume ends the run."""
    said = on_small_disk(
        tmp_path,
        """
import numpy as np
import shutil
from fastrev.store import h5md

h5md._reserve = lambda path: None
h5md.shutil.disk_usage = lambda folder: shutil._ntuple_diskusage(2**40, 0, 2**40)
ballast = out / "ballast"
ballast.write_bytes(bytes(2**21))
options = dict(n=300_000, steps=2, seed=1, shard_size=10_000, observe=fr.Moments())
try:
    fr.simulate(fr.Brownian(0.5), fr.Point(0.0), out=out / "a.h5", **options)
except ValueError as error:
    print(type(error).__name__, error)
part = fr.open(out / "a.h5")
want = fr.simulate(fr.Brownian(0.5), fr.Point(0.0), **options)
print(part.n, np.array_equal(part.frames[:], want.frames[:, :part.n]))
ballast.unlink()
print(fr.resume(out / "a.h5").n, np.array_equal(fr.open(out / "a.h5").frames[:], want.frames))
""",
    )
    error, part, whole = said.splitlines()
    assert (
        "StoreError" in error and "No space left" in error and "committed shards are kept" in error
    )
    n, right = part.split()
    assert 0 < int(n) < 300_000 and right == "True"
    assert whole == "300000 True"


def test_quota(tmp_path):
    """A limit on the size of files, as a quota sets it."""
    code = f"""
import resource
import fastrev as fr
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
try:
    fr.simulate(fr.Brownian(0.5), fr.Point(0.0), n=300_000, steps=2, out={str(tmp_path / "a.h5")!r})
except ValueError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "StoreError out: " in done.stdout and "cannot be made" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []
