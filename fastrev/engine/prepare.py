"""A specification made ready to run: its kernel compiled, what varies by step evaluated."""

import gc
import hashlib
import importlib
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrev.engine import memory
from fastrev.engine.callback import Called, with_callable
from fastrev.engine.coefficients import affine_steps, cast, check_finite, is_affine
from fastrev.engine.messages import KernelError, PerformanceWarning, compile_message
from fastrev.engine.observers import observer_of
from fastrev.engine.outcome import make_rows
from fastrev.engine.pilot import laid
from fastrev.engine.program import Program, make_due
from fastrev.engine.sizes import tile_size
from fastrev.engine.specification import Specification
from fastrev.model.boundary import Absorb
from fastrev.model.distribution import Distribution, Draw
from fastrev.model.kernel import Kernel, Terms
from fastrev.model.method import Prepared
from fastrev.model.sde import check_scalar_noise

_ROLES = ("drift", "diffusion", "score", "divergence")

_kernels: dict[str, Any] = {}
"""Kernels of this process by fingerprint."""


def build(spec: Specification, stored: bool = True) -> Program:
    """Compile, or load from the cache, and evaluate what varies by step.

    stored   whether a kernel of this process or of the disk will do

    Raises KernelError where a kernel does not compile, InputError where a
    coefficient or a score is not finite on the grid.
    """
    importlib.import_module("fastrev.kernels.tile")  # loading the compiler is not compiling
    start = time.perf_counter()
    program = _prepare(spec, stored)
    functions = [part.function for part in program.recipe.parts]
    compiled: Any = program.kernel
    fresh = not compiled.overloads
    _compile(program, spec, functions)
    if any(one.observable.pilot for one in spec.observed.values()):
        pilot = program
        if spec.storage == "float16":  # it ends at 65504
            pilot = _prepare(replace(spec, storage=spec.dtype), stored=True)
        program = replace(program, observed_tables=laid(program, pilot))
    program = replace(program, compile_seconds=time.perf_counter() - start)
    compiled_now = fresh and not getattr(compiled._cache, "hits", 0)
    if stored and compiled_now and not program.recipe.marked:  # a look-up is no vector code
        _warn_of_scalar_loops(compiled, functions)
    return program


def _warn_of_scalar_loops(compiled: Any, functions: list[Callable[..., Any]]) -> None:
    """Say once, when it is compiled, that a user's own kernel did not become vector code."""
    from fastrev.kernels.loops import loops_of

    if all(str(function.__module__).startswith("fastrev.") for function in functions):
        return
    for role, function in compiled.fastrev_loops:
        if role in ("noise", "walls"):
            continue
        slow = [loop.stopped for loop in loops_of(function) if loop.lanes == 1]
        if slow:
            warnings.warn(
                f"the loop of the {role} did not become vector code and is several times slower "
                f"than it might be: {slow[0]}; fastrev.explain(process) tells more",
                PerformanceWarning,
                stacklevel=5,
            )


def _prepare(spec: Specification, stored: bool) -> Program:
    """A program whose kernel is compiled when it is first called.  Raises InputError."""
    from fastrev.kernels import recipe as recipes
    from fastrev.kernels.specialise import NotAKernelError

    real = np.dtype(spec.dtype).type
    check_scalar_noise(spec.process, float(spec.grid.times[0]))
    prepared = spec.method.prepared(spec.process, spec.dim, spec.grid)
    terms = prepared.terms
    roles = _roles(terms)
    parts: dict[str, Any] = {}
    tables: dict[str, tuple[Any, ...]] = dict.fromkeys(_ROLES, ())
    affine = is_affine(terms, prepared, spec)
    if affine:
        parts = {role: recipes.Part(kernel.function) for role, kernel in roles.items()}
        tables["drift"], tables["diffusion"] = affine_steps(terms, prepared, spec, real)
    else:
        for role, kernel in roles.items():
            parts[role], tables[role] = _part(recipes.Part, role, kernel, spec, real)
    if terms.divergence == "numeric" and terms.score is not None:
        parts["divergence"] = "numeric"
    observers = [observer_of(one, spec) for one in spec.observed.values()]
    draw = spec.x0.draw(spec.dim) if isinstance(spec.x0, Distribution) else None
    shapes = [kernel.shape for kernel in roles.values()]
    shapes += [o.observer.part.shape for o in observers if o.observer.part]
    tuples = "tuple" in shapes
    recipe = recipes.Recipe(
        dtype=spec.dtype,
        generator=spec.generator,
        **parts,
        combine=terms.combine,
        noisy=terms.noise > 0.0,
        draw=draw.function if draw else None,
        draw_names=tuple(draw.params) if draw else (),
        draw_uses=(draw.uses_u, draw.uses_v, draw.uses_z) if draw else (False, False, False),
        correlated=draw is not None and draw.correlated,
        storage=spec.storage,
        observers=tuple(observer.observer for observer in observers),
        stages=spec.method.stages,
        corrected=prepared.repeats > 0,
        affine=affine,
        boundary=_boundary(spec),
        marked=any(kernel.marks for kernel in roles.values()),
        structure=terms.structure,
        dim=spec.dim if tuples else None,  # else a kernel serves every dim
        rank=(terms.rank or spec.dim) if tuples else 1,
    )
    values = _draw_values(draw, real)
    called = terms.score if terms.score is not None and terms.score.callback else None
    steps = (spec.grid.times.astype(real), spec.grid.h.astype(real), prepared.root.astype(real))
    corrector = _corrector(prepared, spec, real)
    walls = spec.boundary.walls(spec.dim) if spec.boundary else (np.empty(0), np.empty(0))
    walls = (walls[0].astype(real), walls[1].astype(real))
    numbers = (*steps, *corrector, *walls, *sum(tables.values(), ()))
    content = recipe.fingerprint()
    try:
        compiled = _kernel(recipe, content if stored else None)
    except NotAKernelError as error:
        raise KernelError(str(error)) from None
    registered = Called(called.callback) if called and called.callback else None
    if registered is not None:
        tables["score"] = (real(registered.number),)
    table = any(kernel.per_step for kernel in roles.values())
    return Program(
        kernel=compiled,
        recipe=recipe,
        content=with_callable(content, called),
        decisive=(*numbers, *values, terms.correction),
        compile_seconds=0.0,
        dtype=real,
        seed=np.uint64(noise_key(spec)),
        width=spec.dim if recipe.coupled else 1,
        tile=(called and called.block) or tile_size(spec, recipe.coupled, table),
        due=make_due(spec.frame_steps, [o.steps for o in spec.observed.values()]),
        observed_tables=tuple(observer.table for observer in observers),
        observed_shapes=tuple(
            ((len(o.steps), o.observable.width(spec.dim)), np.dtype(o.observable.dtype))
            for o in spec.observed.values()
        ),
        step_scalars=steps,
        correction=real(terms.correction),
        corrector=corrector,
        walls=walls,
        tables=tuple(tables.values()),
        draw_values=values,
        spec=spec,
        block=called.block if called else None,
        callback=registered,
    )


def noise_key(spec: Specification) -> int:
    """The key of a run's random numbers: the seed, where it starts at t = 0.

    Elsewhere the direction and the time of the start are mixed in: a run back, or on, from where
    another of the same seed ended would else meet the very increments that brought it there.
    """
    if spec.grid.start == 0.0:
        return spec.seed
    text = f"{'back' if spec.reverse else 'on'} from {float(spec.grid.start)!r}"
    return spec.seed ^ int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _roles(terms: Terms) -> dict[str, Kernel]:
    """The kernels of a process by what they are for."""
    roles = {"drift": terms.drift, "diffusion": terms.diffusion}
    if terms.score is not None:
        roles["score"] = terms.score
    if isinstance(terms.divergence, Kernel) and terms.score is not None:
        roles["divergence"] = terms.divergence
    return roles


def _part(
    part: Any, role: str, kernel: Kernel, spec: Specification, real: Any
) -> tuple[Any, tuple[Any, ...]]:
    """A kernel's Part and the values of its parameters, in the run's dtype."""
    constants = kernel.constants()
    times = spec.grid.times[:-1]
    if spec.method.looks_ahead:  # to the end of a step, but never to 0 in reverse
        last = spec.grid.end if not spec.reverse or spec.grid.end > 0.0 else times[-1]
        times = np.append(times, last)
    memory.check(kernel.per_step * len(times), f"the table of the {role}, grid x steps,")
    scheduled = kernel.scheduled(times)
    if kernel.shape == "coordinate":
        scheduled = {name: _per_coordinate(v, spec.dim) for name, v in scheduled.items()}
    for name, values in scheduled.items():
        check_finite(f"{role}.{name}", values, times, real)
    if kernel.callback:
        return part(kernel.function, ("number",), (False,), kernel.shape), ()
    names = (*constants, *scheduled)
    flags = (False,) * len(constants) + (True,) * len(scheduled)
    table = tuple(cast(v, real) for v in (*constants.values(), *scheduled.values()))
    return part(kernel.function, names, flags, kernel.shape), table


def _corrector(prepared: Prepared, spec: Specification, real: Any) -> tuple[Any, ...]:
    """Lengths e of the Langevin steps and sqrt(2 e), (S,), and how many; none at t = 0."""
    length = np.where(spec.grid.times[1:] > 0.0, prepared.corrector, 0.0)
    return length.astype(real), np.sqrt(2.0 * length).astype(real), prepared.repeats


def _boundary(spec: Specification) -> Any:
    """The boundary as a recipe names it."""
    if isinstance(spec.boundary, Absorb) and spec.boundary.bridge:
        return "absorb-bridge"
    return spec.boundary.kind if spec.boundary else None


def _per_coordinate(values: NDArray[np.float64], dim: int) -> NDArray[np.float64]:
    """(S,) as it is; (S, 1) or (S, dim) as (S, dim)."""
    return values if values.ndim == 1 else np.broadcast_to(values, (len(values), dim))


def _draw_values(draw: Draw | None, real: Any) -> tuple[Any, ...]:
    return tuple(cast(v, real) for v in draw.params.values()) if draw else ()


def _kernel(recipe: Any, content: str | None) -> Callable[..., tuple[int, int, int]]:
    """The kernel of a recipe, of this process's stock where its content is known."""
    from fastrev.kernels.tile import make_kernel

    if content is None:
        return make_kernel(recipe, None)  # type: ignore[no-any-return]
    if content not in _kernels:
        _kernels[content] = make_kernel(recipe, content)
    return _kernels[content]  # type: ignore[no-any-return]


def _compile(program: Program, spec: Specification, functions: list[Callable[..., Any]]) -> None:
    """Compile by running no particles.  Raises KernelError."""
    from numba.core.errors import NumbaError

    collects = gc.isenabled()
    gc.disable()  # of what compiling makes little is garbage: looking for it is a tenth of the time
    try:
        program.run_range(make_rows(spec, 0), 0, 0, 0)
    except NumbaError as error:
        raise KernelError(compile_message(str(error), functions)) from None
    finally:
        if collects:
            gc.enable()
