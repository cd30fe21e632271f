"""A user's own forward SDE."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastrev.model import check
from fastrev.model.check import InputError
from fastrev.model.kernel import Kernel, Terms, named_params


def _constant_diffusion(x, t, p):  # type: ignore[no-untyped-def]
    return p.g


@dataclass(frozen=True)
class SDE:
    """dx = f(x,t) dt + g dw from ordinary Python functions `(x, t, p)`.

    drift      f; x is one coordinate and the same function serves every coordinate
    diffusion  g, a function or a number; of t alone for noise="scalar"
    params     NamedTuple of floats and small arrays, seen as p; new values never recompile
    dim        None: any number of coordinates, treated alike
    noise      "scalar" g(t), or "diagonal" g(x,t) per coordinate (Itô)

    Raises InputError.
    """

    drift: Callable[..., Any]
    diffusion: Any
    params: Any = ()
    dim: int | None = None
    noise: str = "scalar"

    horizon = float("inf")

    def __post_init__(self) -> None:
        object.__setattr__(self, "drift", check.function("SDE.drift", self.drift))
        if callable(self.diffusion):
            diffusion: Any = check.function("SDE.diffusion", self.diffusion)
        else:
            diffusion = check.non_negative("SDE.diffusion", self.diffusion)
        object.__setattr__(self, "diffusion", diffusion)
        if self.dim is not None:
            raise InputError(f"SDE.dim must be None (one coordinate at a time), got {self.dim!r}")
        if self.noise not in ("scalar", "diagonal"):
            raise InputError(f"SDE.noise must be 'scalar' or 'diagonal', got {self.noise!r}")
        named_params("SDE.params", self.params)

    def terms(self, dim: int) -> Terms:
        """The functions as kernels."""
        if callable(self.diffusion):
            diffusion = Kernel(self.diffusion, self.params)
        else:
            constant = float(self.diffusion)
            diffusion = Kernel(
                _constant_diffusion, schedule=lambda times: {"g": 0.0 * times + constant}
            )
        return Terms(Kernel(self.drift, self.params), diffusion)


def check_scalar_noise(process: Any, t: float) -> None:
    """Refuse a diffusion that is called scalar and depends on x.  Raises InputError."""
    forward = getattr(process, "process", process)
    if not isinstance(forward, SDE) or forward.noise != "scalar" or not callable(forward.diffusion):
        return
    try:
        values = {float(forward.diffusion(x, t, forward.params)) for x in (0.25, -1.75, 3.5)}
    except Exception:  # what only the compiler understands is left to it
        return
    if len(values) > 1:
        raise InputError(
            "SDE.diffusion depends on x, but noise is 'scalar', g(t); "
            "say noise='diagonal' for g(x,t) in each coordinate"
        )
