"""The methods by name: `simulate(method=...)` takes one of these, or its name."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from fastrev.model.check import InputError, nearest
from fastrev.model.exponential import Exponential
from fastrev.model.method import EulerMaruyama, Heun, Method, Milstein
from fastrev.model.predictor_corrector import PredictorCorrector

METHODS: dict[str, type[Method]] = {
    m.name: m for m in (EulerMaruyama, Milstein, Heun, Exponential, PredictorCorrector)
}


def as_method(given: Any) -> Method:
    """A method from an object, a name, or a table with its name as `kind`.  Raises InputError."""
    if isinstance(given, Method):
        return given
    values = dict(given) if isinstance(given, Mapping) else {"kind": given}
    name = values.pop("kind", None)
    if not isinstance(name, str) or name not in METHODS:
        raise InputError(f"method: {name!r} is not known: {nearest(str(name), METHODS)}")
    known = [field.name for field in fields(METHODS[name])]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(f"method.{key} is not known: {nearest(key, known)}")
    return METHODS[name](**values)


def method_table(method: Method) -> Any:
    """What `as_method` takes, in plain values: the name alone where nothing else was said."""
    values = vars(method)
    return method.name if method == type(method)() else {"kind": method.name, **values}
