"""A specification made ready to run: the compiled kernel and its arguments."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrev.engine.messages import KernelError, compile_message
from fastrev.engine.specification import Specification
from fastrev.model.check import InputError
from fastrev.model.distribution import Distribution, Draw
from fastrev.model.kernel import Kernel
from fastrev.model.reversal import Reverse, reverse_drift

_TILE = 1024
"""Particles per tile: one coordinate and eight steps of noise are 36 kB in float32."""

_kernels: dict[str, Any] = {}
"""Kernels of this process by fingerprint."""


@dataclass(frozen=True)
class Program:
    """What `run_range` needs, all of it a function of the specification."""

    kernel: Callable[..., int]
    compile_seconds: float
    dtype: Any
    seed: Any
    width: int
    tile: int
    frame_steps: NDArray[np.int64]
    step_scalars: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
    correction: Any
    tables: tuple[tuple[Any, ...], ...]
    draw_values: tuple[Any, ...]
    x0: NDArray[Any]

    def run_range(
        self,
        frames: NDArray[Any],
        first: int,
        base: int,
        count: int,
        frame_steps: NDArray[np.int64] | None = None,
    ) -> int:
        """Run particles first .. first+count-1 into rows base.. of frames (F, n, dim).

        Returns how many coordinates ended non-finite.
        """
        return self.kernel(
            frames,
            self.frame_steps if frame_steps is None else frame_steps,
            np.uint64(first),
            base,
            count,
            self.x0[first - base :] if len(self.x0) else self.x0,
            self.seed,
            self.width,
            self.tile,
            *self.step_scalars,
            self.correction,
            self.tables,
            self.draw_values,
        )


def build(spec: Specification) -> Program:
    """Compile, or load from the cache, and evaluate what varies by step.

    Raises KernelError where a kernel does not compile, InputError where a
    coefficient or a score is not finite on the grid.
    """
    from fastrev.kernels import tile as tiles

    start = time.perf_counter()
    real = np.dtype(spec.dtype).type
    parts, tables, correction, eta, combine = [], [], 0.5, 1.0, None
    for role, kernel in _roles(spec):
        part, table = _part(tiles.Part, role, kernel, spec, real)
        parts.append(part)
        tables.append(table)
    if isinstance(spec.process, Reverse):
        combine, eta = reverse_drift, float(spec.process.noise)
        correction = spec.process.correction
    draw = spec.x0.draw(spec.dim) if isinstance(spec.x0, Distribution) else None
    recipe = tiles.Recipe(
        dtype=spec.dtype,
        drift=parts[0],
        diffusion=parts[1],
        score=parts[2] if len(parts) > 2 else None,
        combine=combine,
        noisy=eta > 0.0,
        draw=draw.function if draw else None,
        draw_names=tuple(draw.params) if draw else (),
        draw_uses=(draw.uses_u, draw.uses_v, draw.uses_z) if draw else (False, False, False),
    )
    h = spec.grid.h
    scalars = (spec.grid.times[:-1], h, eta * np.sqrt(np.abs(h)))
    program = Program(
        kernel=_kernel(recipe),
        compile_seconds=0.0,
        dtype=real,
        seed=np.uint64(spec.seed),
        width=spec.dim if recipe.coupled else 1,
        tile=_coupled_tile(spec.dim) if recipe.coupled else _TILE,
        frame_steps=np.array(spec.frame_steps, dtype=np.int64),
        step_scalars=tuple(v.astype(real) for v in scalars),  # type: ignore[arg-type]
        correction=real(correction),
        tables=tuple(tables) if len(tables) == 3 else (*tables, ()),
        draw_values=_draw_values(draw, real),
        x0=np.empty((0, 0), real) if isinstance(spec.x0, Distribution) else spec.x0,
    )
    _compile(program, spec)
    object.__setattr__(program, "compile_seconds", time.perf_counter() - start)
    return program


def _roles(spec: Specification) -> list[tuple[str, Kernel]]:
    """Drift, diffusion and, for a reverse run, score."""
    forward = spec.process.process if isinstance(spec.process, Reverse) else spec.process
    terms = forward.terms()
    roles = [("drift", terms.drift), ("diffusion", terms.diffusion)]
    if isinstance(spec.process, Reverse):
        roles.append(("score", spec.process.score.as_kernel(spec.dim)))
    return roles


def _part(
    part: Any, role: str, kernel: Kernel, spec: Specification, real: Any
) -> tuple[Any, tuple[Any, ...]]:
    """A kernel's Part and the values of its parameters, in the run's dtype."""
    constants = kernel.constants()
    scheduled = kernel.scheduled(spec.grid.times[:-1])
    if kernel.shape == "coordinate":
        scheduled = {name: _per_coordinate(v, spec.dim) for name, v in scheduled.items()}
    for name, values in scheduled.items():
        with np.errstate(over="ignore"):
            by_time = np.isfinite(values.astype(real)).reshape(len(values), -1).all(axis=1)
        if not by_time.all():
            t = float(spec.grid.times[int(np.argmin(by_time))])
            raise InputError(
                f"{role} is singular on the time grid: {name} is not finite at t = {t:g}; "
                "the grid must not step from a time where the law is a point"
            )
    names = (*constants, *scheduled)
    flags = (False,) * len(constants) + (True,) * len(scheduled)
    table = tuple(_cast(v, real) for v in (*constants.values(), *scheduled.values()))
    return part(kernel.function, names, flags, kernel.shape == "tile"), table


def _per_coordinate(values: NDArray[np.float64], dim: int) -> NDArray[np.float64]:
    """(S,) as it is; (S, 1) or (S, dim) as (S, dim)."""
    return values if values.ndim == 1 else np.broadcast_to(values, (len(values), dim))


def _cast(value: NDArray[np.float64], real: Any) -> Any:
    """A scalar or a contiguous array of the run's dtype."""
    return real(value) if np.ndim(value) == 0 else np.ascontiguousarray(value, dtype=real)


def _draw_values(draw: Draw | None, real: Any) -> tuple[Any, ...]:
    return tuple(_cast(v, real) for v in draw.params.values()) if draw else ()


def _coupled_tile(dim: int) -> int:
    """A power of two that keeps a tile of all coordinates near the L1 cache."""
    return 1 << max(6, min(10, (4096 // dim).bit_length() - 1))


def _kernel(recipe: Any) -> Callable[..., int]:
    from fastrev.kernels.tile import make_kernel

    key = recipe.fingerprint()
    if key not in _kernels:
        _kernels[key] = make_kernel(recipe)
    return _kernels[key]  # type: ignore[no-any-return]


def _compile(program: Program, spec: Specification) -> None:
    """Compile by running no particles.  Raises KernelError."""
    from numba.core.errors import NumbaError

    frames = np.empty((len(spec.frame_steps), 0, spec.dim), program.dtype)
    try:
        program.run_range(frames, 0, 0, 0)
    except NumbaError as error:
        functions = [kernel.function for _, kernel in _roles(spec)]
        raise KernelError(compile_message(str(error), functions)) from None
