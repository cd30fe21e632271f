"""Peak memory does not grow with the number of particles, each case in a fresh process."""

import subprocess
import sys
from pathlib import Path

import pytest

if not Path("/proc/self/status").exists():  # ru_maxrss would count the parent before exec
    pytest.skip("peak memory is read from /proc", allow_module_level=True)

CASES = {
    "observables only": "frames=0, observe=fr.Moments()",
    "3 frames in a file": "frames=3, out=sys.argv[2], overwrite=True",
}
SCRIPT = """
import sys
from pathlib import Path
import fastrev as fr

n = int(sys.argv[1])
run = fr.simulate(fr.Brownian(0.5), fr.Point(0.0), n=n, steps=4, seed=1, {options})
assert run.frames.shape[1] == n
if run.observables:
    moments = run.observables["moments"]
    assert abs(moments.variance[-1, 0] - 1) < 5 * moments.variance_stderr[-1, 0]
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line for line in lines if line.startswith("VmHWM")).split()[1])
"""


def peak(n, path, case):
    """Megabytes of a fresh process."""
    command = [sys.executable, "-c", SCRIPT.format(options=CASES[case]), str(n), str(path)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return int(done.stdout) / 1024


@pytest.fixture(scope="module", autouse=True)
def _compiled(tmp_path_factory):
    """In this process, whose kernels the others find: a compiler takes more memory than a run."""
    out = tmp_path_factory.mktemp("compiled") / "a.h5"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["", "1000", str(out)])
        for options in CASES.values():
            exec(SCRIPT.format(options=options), {})


@pytest.mark.parametrize(
    ("case", "large"), [("observables only", 10**9), ("3 frames in a file", 10**8)]
)
def test_memory_does_not_grow(benchmark, tmp_path, case, large):
    if benchmark.disabled:
        large = 3 * 10**7
    small = peak(10**7, tmp_path / "a.h5", case)
    much = benchmark.pedantic(peak, (large, tmp_path / "a.h5", case), rounds=1)
    benchmark.extra_info.update(megabytes=much, megabytes_at_1e7=small)
    print(f"{case}: {small:.0f} MB at 1e7, {much:.0f} MB at {large:.0e}")
    assert much < 1.1 * small
