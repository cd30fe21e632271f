"""What a run's kernel became: its loops, vector code or not, and what a particle-step costs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrev.engine.outcome import make_rows
from fastrev.engine.prepare import build
from fastrev.engine.program import Program
from fastrev.engine.specification import Specification
from fastrev.model.gaussian import Gaussian


@dataclass(frozen=True)
class LoopReport:
    """A loop of the kernel with arithmetic in it.

    role     what it does: "step", "noise", "score", ...
    lanes    numbers worked on at once; 1 where it is not vector code
    bits     of its vectors, 0 where there are none
    stopped  what seems to have kept LLVM from it, "" where it is vector code
    """

    role: str
    lanes: int
    bits: int
    stopped: str

    @property
    def vectorised(self) -> bool:
        """Whether it is vector code."""
        return self.lanes > 1


@dataclass(frozen=True)
class Explanation:
    """What `explain` found; print it.

    loops           every loop with arithmetic
    ns              nanoseconds per particle-step and coordinate on one thread, measured
    noise_ns        of these for random numbers; 0 without noise
    compile_seconds of compiling the kernel anew
    """

    loops: Sequence[LoopReport]
    ns: float
    noise_ns: float
    compile_seconds: float

    @property
    def vectorised(self) -> bool:
        """Whether every loop is vector code."""
        return all(loop.vectorised for loop in self.loops)

    def __str__(self) -> str:
        lines = [f"  {'loop':<14}{'vector code':<26}what stopped it"]
        for loop in self.loops:
            kind = f"{loop.lanes} lanes, {loop.bits} bits" if loop.vectorised else "no"
            lines.append(f"  {loop.role:<14}{kind:<26}{loop.stopped or '-'}")
        rate = 1e3 / self.ns
        lines.append(
            f"  {self.ns:.3g} ns per particle-step and coordinate on one thread "
            f"({rate:,.0f} million a second), {self.noise_ns:.3g} of them for random numbers"
        )
        lines.append(f"  compiled in {self.compile_seconds:.1f} s")
        return "\n".join(lines)


def explain(process: Any, x0: Any = None, **options: Any) -> Explanation:
    """Compile a run's kernel and say which of its loops became vector code.

    process   as for `simulate`
    x0        as for `simulate`; a standard Gaussian unless given
    options   those of `simulate` that belong to the run itself

    Nothing is kept, on disk or in memory.  Raises InputError.
    """
    from fastrev.engine.simulate import specified

    return explained(specified(process, Gaussian() if x0 is None else x0, **options))


def explained(spec: Specification) -> Explanation:
    """The same for a specification."""
    from fastrev.kernels.loops import loops_of

    program = build(spec, stored=False)
    kernel: Any = program.kernel
    reports = [
        LoopReport(role, *loop)
        for role, function in kernel.fastrev_loops
        for loop in loops_of(function)
    ]
    noisy = program.recipe.noisy or program.recipe.corrected
    return Explanation(
        list(dict.fromkeys(reports)),
        _cost(program),
        _noise_cost(spec, program.tile) if noisy else 0.0,
        program.compile_seconds,
    )


_PARTICLE_STEPS = 1 << 22
"""Of one timing: some milliseconds."""


def _cost(program: Program) -> float:
    """Nanoseconds per particle-step and coordinate of one thread, the best of five."""
    spec = program.spec
    per_particle = spec.grid.steps * spec.dim
    tiles = max(1, _PARTICLE_STEPS // (per_particle * program.tile))
    count = min(spec.n, tiles * program.tile)
    rows = make_rows(spec, count)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        program.run_range(rows, 0, count, 0)
        seconds.append(time.perf_counter() - start)
    return 1e9 * min(seconds) / (count * per_particle)


def _noise_cost(spec: Specification, tile: int) -> float:
    """Nanoseconds per standard normal of one thread, the best of many."""
    from fastrev.kernels.aligned import aligned
    from fastrev.kernels.jit import loop
    from fastrev.kernels.noise import NOISE, WHOLE

    noise, u64, size = NOISE[spec.generator], np.uint64, -(-tile // WHOLE) * WHOLE
    z = aligned((8, 1, size), spec.dtype)
    low, high, stream, k0, k1 = (u64(number) for number in (0, 0, 1 << 24, 1, 2))
    words = noise.words(spec.dtype, size, low, high, stream, k0, k1)
    fill_normals = noise.fill_normals

    @loop
    def fill(z: Any, words: Any, count: int) -> None:
        for block in range(count):
            fill_normals(z, 0, 8, words, low, high, u64(8 * block), stream, k0, k1)

    fill(z, words, 1)
    seconds, count = [], 100
    for _ in range(20):
        start = time.perf_counter()
        fill(z, words, count)
        seconds.append(time.perf_counter() - start)
    return 1e9 * min(seconds) / (8 * size * count)
