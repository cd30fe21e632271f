"""A user's own forward SDE."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fastrev.model import check
from fastrev.model.check import InputError
from fastrev.model.kernel import Kernel, Terms, constant_matrix, named_params

NOISES = ("scalar", "diagonal", "matrix", "general")


def _constant_diffusion(x, t, p):  # type: ignore[no-untyped-def]
    return p.g


@dataclass(frozen=True)
class SDE:
    """dx = f(x,t) dt + G(x,t) dw (Ito) from ordinary Python functions `(x, t, p)`.

    drift       f
    diffusion   G: a function, or a constant: a number, or an array (d, m) for a matrix
    params      NamedTuple of floats and small arrays, seen as p; new values never recompile
    dim         None: x is one coordinate, a number comes back, and the same functions serve
                every coordinate; d: x is a tuple of d numbers and d come back
    noise       "scalar"    g(t), one number
                "diagonal"  g(x,t), one number for each coordinate
                "matrix"    G(t), d rows of m numbers, for dim=d
                "general"   G(x,t), the same
    divergence  for a reverse run where G depends on x: (div G G^T)_i = sum_j d(G G^T)_ij/dx_j,
                a function like the drift; None takes central differences over
                eps^(1/3) max(1, |x|), 5e-3 or more in float32, 6e-6 in float64: of relative error
                2e-5 and 4e-11 where G varies on the scale of max(1, |x|).  Give it where G varies
                faster, or ends nearer than that, as a square root does at 0
    tile        True, for large dim: drift, and the others where they depend on x, are
                functions `(x, t, p, out)` of arrays x and out (dim, B), B particles at a time
                in structure-of-arrays order, that fill `out`; noise is "scalar" or "diagonal"

    Raises InputError.
    """

    drift: Callable[..., Any]
    diffusion: Any
    params: Any = ()
    dim: int | None = None
    noise: str = "scalar"
    divergence: Callable[..., Any] | None = None
    tile: bool = False

    horizon = float("inf")

    def __post_init__(self) -> None:
        if self.noise not in NOISES:
            raise InputError(f"SDE.noise must be one of {', '.join(NOISES)}, got {self.noise!r}")
        check.dimension("SDE.dim", self.dim)
        if self.noise in ("matrix", "general") and self.dim is None:
            raise InputError(f"SDE.noise = {self.noise!r} needs dim, the number of coordinates")
        if self.tile and (self.dim is None or self.noise in ("matrix", "general")):
            raise InputError(
                "SDE.tile needs dim, and noise = 'scalar' or 'diagonal', "
                f"got dim = {self.dim}, noise = {self.noise!r}"
            )
        self._set("drift", check.function("SDE.drift", self.drift, self._arguments))
        self._set("diffusion", self._checked_diffusion())
        if self.divergence is not None:
            divergence = check.function("SDE.divergence", self.divergence, self._arguments)
            self._set("divergence", divergence)
        named_params("SDE.params", self.params)

    @property
    def _arguments(self) -> str:
        """Of a function of x."""
        return "x, t, p, out" if self.tile else "x, t, p"

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _checked_diffusion(self) -> Any:
        if callable(self.diffusion):
            own = self._arguments if self.noise == "diagonal" else "x, t, p"
            return check.function("SDE.diffusion", self.diffusion, own)
        if self.noise not in ("matrix", "general"):
            return check.non_negative("SDE.diffusion", self.diffusion)
        matrix = check.finite_array("SDE.diffusion", self.diffusion, ndim=(2,))
        if len(matrix) != self.dim:
            raise InputError(
                f"SDE.diffusion must have dim = {self.dim} rows, got shape {matrix.shape}"
            )
        return matrix

    def terms(self, dim: int) -> Terms:
        """The functions as kernels."""
        shape: Literal["coordinate", "tuple", "tile"] = "tile" if self.tile else "tuple"
        shape = "coordinate" if self.dim is None else shape
        own = callable(self.diffusion)
        by_x = self.noise in ("diagonal", "general") and own
        divergence: Kernel | Literal["numeric"] | None = "numeric" if by_x else None
        if by_x and self.divergence is not None:
            divergence = Kernel(self.divergence, self.params, shape=shape)
        structure: Any = "matrix" if self.noise in ("matrix", "general") else self.noise
        if not own and structure == "diagonal":
            structure = "scalar"  # one number
        return Terms(
            Kernel(self.drift, self.params, shape=shape),
            self._own_diffusion(shape) if own else self._constant(),
            structure=structure,
            rank=self._rank() if structure == "matrix" else None,
            divergence=divergence,
        )

    def _own_diffusion(self, shape: Any) -> Kernel:
        """The user's G; that of a tile's scalar noise is g(t), a number."""
        if self.tile and self.noise == "scalar":
            shape = "coordinate"
        return Kernel(self.diffusion, self.params, shape=shape)

    def _constant(self) -> Kernel:
        """The diffusion as a kernel of no argument but p."""
        if np.ndim(self.diffusion) == 0:
            constant = float(self.diffusion)
            return Kernel(_constant_diffusion, schedule=lambda times: {"g": 0.0 * times + constant})
        return constant_matrix(self.diffusion)

    def _rank(self) -> int:
        """m, the number of noises.  Raises InputError where the function is no matrix."""
        if not callable(self.diffusion):
            return int(self.diffusion.shape[1])
        assert self.dim is not None
        shape: Any
        try:
            shape = np.shape(self.diffusion((0.5,) * self.dim, 0.5, self.params))
        except Exception as error:  # the user's function runs here, and may raise anything
            shape = repr(error)
        if not isinstance(shape, tuple) or len(shape) != 2 or shape[0] != self.dim:
            raise InputError(
                f"SDE.diffusion must return {self.dim} rows of numbers, one for each noise, for "
                f"noise = {self.noise!r}; at x = 0.5, t = 0.5 it gave {shape}"
            )
        return int(shape[1])


def check_scalar_noise(process: Any, t: float) -> None:
    """Refuse a diffusion that is called scalar and depends on x.  Raises InputError."""
    forward = getattr(process, "process", process)
    if not isinstance(forward, SDE) or forward.noise != "scalar" or not callable(forward.diffusion):
        return
    try:
        whole = forward.dim if forward.dim and not forward.tile else 0
        points = [(x,) * whole if whole else x for x in (0.25, -1.75, 3.5)]
        values = {float(forward.diffusion(x, t, forward.params)) for x in points}
    except Exception:  # what only the compiler understands is left to it
        return
    if len(values) > 1:
        raise InputError(
            "SDE.diffusion depends on x, but noise is 'scalar', g(t); "
            "say noise='diagonal' for g(x,t) in each coordinate"
        )
