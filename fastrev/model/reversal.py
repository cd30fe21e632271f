"""Time reversal: the only file that holds Anderson's minus sign.

A process dx = f dt + G dw with marginals p_t, run from T down to 0 by

    dx = [f - (1 + eta^2)/2 (div a + a s)] dt + eta G dw,   a = G G^T,  s = grad log p_t,
    (div a)_i = sum_j d a_ij / dx_j,   dt < 0,

has the same marginals for every eta >= 0.  eta = 1 is Anderson's reverse-time
process (Stochastic Process. Appl. 12 (1982) 313), eta = 0 the probability-flow
ODE (Song et al. 2021, arXiv:2011.13456, eq. 13).  div a vanishes where G does not
depend on x.
"""

import warnings
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from fastrev.kernels.plain import multiply_add
from fastrev.model import check
from fastrev.model.check import Array, InputError
from fastrev.model.kernel import Affine, Kernel, Terms, affine_terms, remembering


class HasTerms(Protocol):
    """A forward process: anything with drift and diffusion kernels."""

    @property
    def dim(self) -> int | None:
        """Coordinates it asks for."""

    @property
    def horizon(self) -> float:
        """The last time at which it is defined."""

    def terms(self, dim: int) -> Terms:
        """Drift and diffusion."""


class HasKernel(Protocol):
    """A score: anything that becomes a kernel at a given dimension."""

    @property
    def dim(self) -> int | None:
        """Coordinates it asks for."""

    def as_kernel(self, dim: int) -> Kernel:
        """The kernel at this dimension."""


def reverse_drift(f, pull, c):  # type: ignore[no-untyped-def]
    """f - c (div a + a s), with c = (1 + eta^2)/2."""
    return multiply_add(-c, pull, f)


@dataclass(frozen=True)
class Reverse:
    """The reverse-time process of `process`; made by `reverse`."""

    process: HasTerms
    score: HasKernel
    noise: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.process, Reverse | type) or not hasattr(self.process, "terms"):
            raise InputError(f"reverse: process must be a forward process, got {self.process!r}")
        if isinstance(self.score, type) or not hasattr(self.score, "as_kernel"):
            raise InputError(
                f"reverse: score must be a score, such as process.score(p0) or "
                f"Score(kernel), got {self.score!r}"
            )
        object.__setattr__(self, "noise", check.non_negative("noise", self.noise))

    @property
    def dim(self) -> int | None:
        """Coordinates that process or score ask for."""
        return self.process.dim or self.score.dim

    @property
    def horizon(self) -> float:
        """The last time at which the forward process is defined."""
        return self.process.horizon

    @property
    def correction(self) -> float:
        """c = (1 + eta^2)/2."""
        return 0.5 * (1.0 + self.noise**2)

    def affine(self, times: Array) -> Affine | None:
        """The reverse drift where process and score are linear in x, else None."""
        forward, score = (getattr(part, "affine", None) for part in (self.process, self.score))
        s = score(times) if forward and score else None
        if forward is None or s is None:
            return None
        law = forward(times)
        if law.slope.ndim == 3 or s[0].ndim == 3:
            return self._matrix_affine(law, s)
        a = law.g[:, None] ** 2
        f = (law.slope[:, None], law.offset[:, None])
        slope, offset = (
            reverse_drift(f[k], a * s[k], self.correction)  # type: ignore[no-untyped-call]
            for k in (0, 1)
        )
        return Affine(slope, offset, law.g)

    def _matrix_affine(self, law: Affine, s: tuple[Array, Array]) -> Affine:
        """The same where a coordinate depends on others."""
        d = law.slope.shape[1] if law.slope.ndim == 3 else s[0].shape[1]
        a = law.g @ law.g.T if law.g.ndim == 2 else _matrix(law.g**2, d)
        slope = reverse_drift(_matrix(law.slope, d), a @ _matrix(s[0], d), self.correction)  # type: ignore[no-untyped-call]
        f = np.broadcast_to(law.offset.reshape(len(s[1]), -1), (len(s[1]), d))
        pull = (a @ np.broadcast_to(s[1], f.shape)[..., None])[..., 0]
        return Affine(slope, reverse_drift(f, pull, self.correction), law.g)  # type: ignore[no-untyped-call]

    def terms(self, dim: int) -> Terms:
        """Drift, diffusion, score and how they combine; one linear drift where it is one."""
        return self._linear_terms or self.split_terms(dim)

    @cached_property
    def _linear_terms(self) -> Terms | None:
        """Kept, as they remember their numbers: a third of the time before a small run again."""
        first = min(1.0, self.horizon)
        affine = remembering(self.affine)
        if affine(np.array([first])) is None:
            return None
        return affine_terms(affine, self.noise, first)  # type: ignore[arg-type]

    def __getstate__(self) -> dict[str, Any]:
        """What it was made of: its terms cannot be pickled."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def split_terms(self, dim: int) -> Terms:
        """The same with the score on its own, also where all is linear.  Raises InputError."""
        forward = self.process.terms(dim)
        if forward.divergence == "numeric" and forward.diffusion.shape == "tile":
            raise InputError(
                "reverse: a diffusion of whole tiles that depends on x needs its divergence, "
                "SDE(divergence=...), as a function (x, t, p, out)"
            )
        return Terms(
            forward.drift,
            forward.diffusion,
            self.score.as_kernel(dim),
            reverse_drift,
            self.correction,
            self.noise,
            forward.structure,
            forward.rank,
            forward.divergence,
        )


def _matrix(slope: Array, d: int) -> Array:
    """Slopes (S,), (S, 1), (S, d) or (S, d, d) as matrices (S, d, d)."""
    if slope.ndim == 3:
        return slope
    return np.asarray(np.broadcast_to(slope.reshape(len(slope), -1), (len(slope), d)))[
        :, :, None
    ] * np.eye(d)


def reverse(process: Any, score: Any, noise: float = 1.0) -> Reverse:
    """The process that runs from T down to 0 with the marginals of `process`.

        dx = [f - (1 + noise^2)/2 (div G G^T + G G^T s)] dt + noise G dw

    process   a forward process
    score     its score: `process.score(p0)`, or `Score(kernel, params)`
    noise     eta >= 0: 1 is Anderson's process, 0 the probability-flow ODE

    Raises InputError.  Warns of a score that tells of another linear process: a network trained for
    VP does not reverse Brownian motion.
    """
    reversed_ = Reverse(process, score, noise)
    theirs = getattr(score, "process", None)
    if _differ(process, theirs):
        warnings.warn(
            f"reverse: the process is {process!r}, but the score is of {theirs!r}: "
            "the reverse run does not lead back to the start",
            RuntimeWarning,
            stacklevel=2,
        )
    return reversed_


def _differ(one: Any, other: Any) -> bool:
    """Whether two linear processes have other drifts or diffusions; False where one is not."""
    law, other_law = (getattr(process, "affine", None) for process in (one, other))
    if law is None or other_law is None:
        return False
    times = min(1.0, one.horizon, other.horizon) * np.linspace(0.25, 1.0, 4)
    return any(
        a.shape == b.shape and not np.allclose(a, b, rtol=1e-6, atol=1e-12)
        for a, b in zip(law(times), other_law(times), strict=True)
    )
