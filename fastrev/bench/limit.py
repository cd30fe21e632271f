"""The hand-written C kernel: built with the system's compiler when it is asked for."""

import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastrev.bench.models import D, T

SOURCE = Path(__file__).with_name("limit.c")
COMPILERS = ("cc", "gcc", "clang")
_GENERATORS: dict[str, list[str]] = {"philox": [], "ars": ["-DARS"]}
_FLAGS = ["-O3", "-fno-math-errno", "-ffp-contract=fast", "-shared", "-fPIC", "-pthread"]


class LimitError(RuntimeError):
    """There is no limit to compare with; the message says why."""


@dataclass(frozen=True)
class Limit:
    """The compiled kernel.

    compiler   its path
    lanes      floats in a vector
    seconds    of compiling
    generator  of its words
    """

    library: Any
    compiler: str
    lanes: int
    seconds: float
    generator: str

    def run(
        self, n: int, steps: int, threads: int, seed: int = 1, taken: int | None = None
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Final values of n particles after `taken` of the steps (all of them unless given)."""
        count = steps if taken is None else taken
        h, blocks = T / steps, -(-count // 8)
        a, s = np.zeros((2, 8 * blocks), np.float32)  # steps of zeros fill the last block
        a[:count] = -h / (T - h * np.arange(count))
        s[:count] = (2.0 * D * h) ** 0.5
        out = np.empty(n, np.float32)
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (out, a, s)]
        self.library.reverse_brownian(
            pointers[0],
            ctypes.c_int64(n),
            *pointers[1:],
            ctypes.c_int64(blocks),
            ctypes.c_float((2.0 * D * T) ** 0.5),
            ctypes.c_uint64(seed),
            ctypes.c_int(threads),
        )
        return out


def build(generator: str = "philox") -> Limit:
    """The kernel with "philox" or "ars", for this processor.  Raises LimitError."""
    found = [path for path in map(shutil.which, COMPILERS) if path]
    if not found:
        raise LimitError("no C compiler")
    start, said = time.perf_counter(), ""
    for compiler in found:
        for target in ("-march=native", "-mcpu=native", ""):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                path = Path(folder) / f"limit{'.dll' if os.name == 'nt' else '.so'}"
                flags = [*_FLAGS, *_GENERATORS[generator], *([target] if target else [])]
                command = [compiler, *flags, str(SOURCE), "-o", str(path), "-lm"]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode == 0:
                    library = ctypes.CDLL(str(path))
                    seconds = time.perf_counter() - start
                    return Limit(library, compiler, library.lanes(), seconds, generator)
            lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            said = next((line for line in lines if "error" in line), lines[-1])
    raise LimitError(f"the C compiler failed on {platform.machine()}: {said}")
