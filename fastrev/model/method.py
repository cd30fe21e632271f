"""Methods: how a step is taken."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from fastrev.model.check import Array, InputError
from fastrev.model.kernel import Terms
from fastrev.model.timegrid import TimeGrid


class Prepared(NamedTuple):
    """What a method makes of a process on a grid of S steps.

    terms      what is compiled
    root       (S,) the factor of the noise of each step, usually eta sqrt|h|
    corrector  (S,) length of the Langevin steps after each step, 0 for none
    repeats    how many of these
    """

    terms: Terms
    root: Array
    corrector: Array
    repeats: int = 0


class Method:
    """What methods share.

    name                   its name in `simulate(method=...)` and in configurations
    stages                 the kernel's way of taking a step
    looks_ahead            whether it asks for drift or score at the end of a step
    strong_order           for noise that depends on x, None where it is not made for that
    strong_order_additive  for noise that does not
    """

    name: ClassVar[str]
    stages: ClassVar[Literal["euler-maruyama", "milstein", "heun"]] = "euler-maruyama"
    looks_ahead: ClassVar[bool] = False
    strong_order: ClassVar[float | None] = 0.5
    strong_order_additive: ClassVar[float] = 1.0
    weak_order: ClassVar[float] = 1.0

    def prepared(self, process: Any, dim: int, grid: TimeGrid) -> Prepared:
        """The process's own terms, and eta sqrt|h|.  Raises InputError."""
        terms = process.terms(dim)
        self.check(terms)
        return Prepared(terms, terms.noise * np.sqrt(np.abs(grid.h)), np.zeros(grid.steps))

    def check(self, terms: Terms) -> None:
        """Refuse noise that the method is not made for.  Raises InputError."""


@dataclass(frozen=True)
class EulerMaruyama(Method):
    """x + b h + G sqrt|h| z.

    Weak order 1; strong order 1 where G does not depend on x, else 1/2.
    """

    name: ClassVar[str] = "euler-maruyama"


@dataclass(frozen=True)
class Milstein(Method):
    """Euler-Maruyama and the term 1/2 g g' |h| (z^2 - 1), for scalar or diagonal noise.

    g' = dg_j/dx_j is a central difference over eps^(1/3) max(1, |x|), 5e-3 or more in float32, and
    is not for a g that ends nearer, as a square root does at 0; a diagonal g_j that depends on
    other coordinates keeps order 1/2.  Strong order 1, weak order 1.
    """

    name: ClassVar[str] = "milstein"
    stages: ClassVar[Any] = "milstein"
    strong_order: ClassVar[float | None] = 1.0

    def check(self, terms: Terms) -> None:
        """Refuse a matrix."""
        if terms.structure == "matrix":
            raise InputError("method 'milstein' is for scalar or diagonal noise, got a matrix")
        if terms.diffusion.shape == "tile":
            raise InputError(
                "method 'milstein' is not for a diffusion of whole tiles; use 'euler-maruyama'"
            )


@dataclass(frozen=True)
class Heun(Method):
    """The drift averaged over both ends of the step, for noise that does not depend on x.

    Strong order 1, weak order 2; order 2 for the probability-flow ODE.  Two evaluations a
    step.  A reverse run's last step, if it ends at t = 0, is Euler-Maruyama's: the score may
    be singular there.
    """

    name: ClassVar[str] = "heun"
    stages: ClassVar[Any] = "heun"
    looks_ahead: ClassVar[bool] = True
    strong_order: ClassVar[float | None] = None
    weak_order: ClassVar[float] = 2.0

    def check(self, terms: Terms) -> None:
        """Refuse noise that depends on x."""
        if terms.divergence is not None:
            raise InputError(
                "method 'heun' is for noise that does not depend on x, noise='scalar' or "
                "'matrix'; use 'milstein' or 'euler-maruyama'"
            )
