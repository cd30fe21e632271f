"""Methods: how a step is taken.  `simulate(method=...)` takes one of these, or its name."""

from dataclasses import dataclass
from typing import Any, ClassVar

from fastrev.model.check import InputError, nearest


@dataclass(frozen=True)
class EulerMaruyama:
    """x + b h + G sqrt|h| z.

    Weak order 1; strong order 1 where G does not depend on x, else 1/2.
    """

    name: ClassVar[str] = "euler-maruyama"
    strong_order: ClassVar[float] = 0.5
    strong_order_additive: ClassVar[float] = 1.0
    weak_order: ClassVar[float] = 1.0


@dataclass(frozen=True)
class Milstein:
    """Euler-Maruyama and the term 1/2 g g' |h| (z^2 - 1), for scalar or diagonal noise.

    g' = dg_j/dx_j is a central difference; a diagonal g_j that depends on other
    coordinates keeps order 1/2.  Strong order 1, weak order 1.
    """

    name: ClassVar[str] = "milstein"
    strong_order: ClassVar[float] = 1.0
    strong_order_additive: ClassVar[float] = 1.0
    weak_order: ClassVar[float] = 1.0


@dataclass(frozen=True)
class Heun:
    """The drift averaged over both ends of the step, for noise that does not depend on x.

    Strong order 1, weak order 2; order 2 for the probability-flow ODE.  Two evaluations a
    step.  A reverse run's last step, if it ends at t = 0, is Euler-Maruyama's: the score may
    be singular there.
    """

    name: ClassVar[str] = "heun"
    strong_order: ClassVar[float | None] = None
    strong_order_additive: ClassVar[float] = 1.0
    weak_order: ClassVar[float] = 2.0


METHODS: dict[str, Any] = {m.name: m() for m in (EulerMaruyama, Milstein, Heun)}


def method_name(method: Any) -> str:
    """The name of a method given as an object or by name.  Raises InputError."""
    name = getattr(method, "name", method)
    if not isinstance(name, str) or name not in METHODS or isinstance(method, type):
        raise InputError(f"method: {method!r} is not known: {nearest(str(name), METHODS)}")
    return name


def check_method(name: str, structure: str, depends_on_x: bool) -> None:
    """Refuse noise that a method is not made for.  Raises InputError."""
    if name == "milstein" and structure == "matrix":
        raise InputError("method 'milstein' is for scalar or diagonal noise, got a matrix")
    if name == "heun" and depends_on_x:
        raise InputError(
            "method 'heun' is for noise that does not depend on x, noise='scalar' or 'matrix'; "
            "use 'milstein' or 'euler-maruyama'"
        )
