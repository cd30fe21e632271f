"""A kernel: a plain function `(x, t, p)` together with what fills `p`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from fastrev.kernels.plain import multiply_add
from fastrev.model import check
from fastrev.model.check import Array, InputError
from fastrev.model.unrolled import matrix_drift, matrix_rows


@dataclass(frozen=True)
class Kernel:
    """A function of (x, t, p), compiled by the engine for one dtype.

    function   `(x, t, p) -> float` for shape "coordinate": x is one coordinate and
               the same function serves every coordinate.  `(x, t, p) -> tuple` for shape
               "tuple": x is a particle, d numbers.  `(x, t, p, out) -> None` for
               shape "tile": x and out are (d, B) arrays; one that takes a fifth argument
               gets (5, B) scratch there, of which the first three rows are its own.
    params     constants: a NamedTuple of floats and small arrays, or ().
    schedule   per-step values: times (S,) -> {name: (S, ...)}, evaluated in float64
               and cast once.  A coordinate kernel sees entry [i] of (S,) and entry
               [i, j] of (S, d); the others see [i], whatever its shape.
    marks      whether it marks, by more than 1/2 in a fifth row of the scratch, particles it is
               not made for
    per_step   bytes that the schedule takes for a step, where that may be much
    callback   `(x (B, d), t, out)`, of a kernel that calls back: the engine registers it and
               gives its number as p.number; identity is what it does, to be hashed, and block
               how many particles make a tile
    The fields of `p` are those of `params`, then those of the schedule.
    """

    function: Callable[..., Any]
    params: Any = ()
    schedule: Callable[[Array], Mapping[str, Array]] | None = None
    shape: Literal["coordinate", "tuple", "tile"] = "coordinate"
    marks: bool = False
    per_step: int = 0
    callback: Callable[..., None] | None = None
    identity: Any = None
    block: int | None = None

    def constants(self) -> dict[str, Array]:
        """The params by name, as float64 arrays of dimension 0 or more."""
        return named_params("params", self.params)

    def scheduled(self, times: Array) -> dict[str, Array]:
        """The schedule at these times: name -> (S, ...) float64."""
        if self.schedule is None:
            return {}
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return dict(self.schedule(times))


class Affine(NamedTuple):
    """b(x,t) = slope x + offset and g(t), at the times asked for.

    slope and offset (S,), or (S, d) by coordinate; g (S,).  With a matrix: slope
    (S, d, d), offset (S, d), and g (S,) or a constant (d, m).
    """

    slope: Array
    offset: Array
    g: Array


@dataclass(frozen=True)
class Terms:
    """What the engine compiles of a process.

    The drift of a step is f, or `combine(f, div a + a s, correction)` where there is a
    score s, with a = G G^T; the noise of a step is noise G dw.

    structure   of G: one number, d of them (a diagonal), or d rows of `rank` numbers
    divergence  the kernel of div a, (div a)_i = sum_j d a_ij / dx_j; "numeric" for
                central differences; None where G does not depend on x
    affine      drift and g once more, where the drift is linear in each coordinate by itself
    """

    drift: Kernel
    diffusion: Kernel
    score: Kernel | None = None
    combine: Callable[..., Any] | None = None
    correction: float = 0.0
    noise: float = 1.0
    structure: Literal["scalar", "diagonal", "matrix"] = "scalar"
    rank: int | None = None
    divergence: Kernel | Literal["numeric"] | None = None
    affine: Callable[[Array], Affine] | None = None


def linear(x, t, p):  # type: ignore[no-untyped-def]
    """slope x + offset: the drift of a linear process, the score of a Gaussian."""
    return multiply_add(p.slope, x, p.offset)


def _diffusion(x, t, p):  # type: ignore[no-untyped-def]
    return p.g


L = TypeVar("L", Affine, Affine | None)
_REMEMBERED = 2**21
"""Bytes of a law that is remembered, at most: a process may live long."""


def remembering(affine: Callable[[Array], L]) -> Callable[[Array], L]:
    """The same function, which at the times asked for last need not be evaluated again."""
    last: list[tuple[Array, L]] = []

    def law(times: Array) -> L:
        known = last[0] if last else None
        if known is None or not np.array_equal(known[0], times):
            known = (times, affine(times))
            if sum(np.asarray(numbers).nbytes for numbers in known[1] or ()) <= _REMEMBERED:
                last[:] = [known]
        return known[1]

    return law


def affine_terms(
    affine: Callable[[Array], Affine], noise: float = 1.0, first: float = 1.0
) -> Terms:
    """The terms of a process with a drift linear in x.

    first   a time at which `affine` may be asked for its shape
    """
    law_at = remembering(affine)  # drift and diffusion are asked for at the same times
    diffusion = Kernel(_diffusion, schedule=lambda times: {"g": law_at(times).g})

    def drift(times: Array) -> Mapping[str, Array]:
        law = law_at(times)
        return {"slope": law.slope, "offset": law.offset}

    sample = law_at(np.array([first]))
    if sample.slope.ndim == 3:
        d = sample.slope.shape[1]
        matrix = sample.g.ndim == 2
        return Terms(
            Kernel(matrix_drift(d), schedule=drift, shape="tuple"),
            constant_matrix(sample.g) if matrix else diffusion,
            noise=noise,
            structure="matrix" if matrix else "scalar",
            rank=sample.g.shape[1] if matrix else None,
        )
    return Terms(Kernel(linear, schedule=drift), diffusion, noise=noise, affine=law_at)


class _Matrix(NamedTuple):
    """Params of a constant G."""

    g: Array


def constant_matrix(g: Array) -> Kernel:
    """The kernel of a constant G (d, m)."""
    return Kernel(matrix_rows(*g.shape), _Matrix(g), shape="tuple")


def named_params(field: str, params: Any) -> dict[str, Array]:
    """A NamedTuple (or ()) of numbers and arrays as a dict.  Raises InputError."""
    if isinstance(params, tuple) and not params:
        return {}
    names = getattr(params, "_fields", None)
    if names is None:
        raise InputError(
            f"{field} must be a NamedTuple of floats and small arrays, or (), got {params!r}"
        )
    return {
        name: check.finite_array(f"{field}.{name}", getattr(params, name), ndim=(0, 1, 2, 3))
        for name in names
    }
