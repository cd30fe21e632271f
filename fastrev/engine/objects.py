"""Objects of the model from tables: a kind, the name of its class, and the class's arguments."""

from collections import namedtuple
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from numpy.typing import NDArray

from fastrev.engine.functions import Resolved
from fastrev.model import check
from fastrev.model.check import InputError
from fastrev.model.distributions import Empirical, Point, Uniform
from fastrev.model.gaussian import Gaussian, GaussianMixture

DISTRIBUTIONS = {c.__name__: c for c in (Point, Gaussian, GaussianMixture, Uniform, Empirical)}


def build_object(
    table: Any, where: str, kinds: Mapping[str, type], arrays: Mapping[str, NDArray[Any]]
) -> Any:
    """The object that a table describes."""
    if not isinstance(table, dict):
        raise InputError(f"{where} must be a table, got {table!r}")
    kind = str(table.get("kind"))
    if kind not in kinds:
        raise InputError(f"{where}.kind: {kind!r} is not known: {check.nearest(kind, kinds)}")
    known = [f.name for f in fields(kinds[kind]) if f.init]
    values = {}
    for key, value in table.items():
        if key == "kind":
            continue
        if key not in known:
            raise InputError(f"{where}.{key} is not known: {check.nearest(key, known)}")
        values[key] = _value(value, f"{where}.{key}", arrays)
    try:
        return kinds[kind](**values)
    except TypeError:
        missing = [f.name for f in fields(kinds[kind]) if f.init and f.name not in values]
        raise InputError(f"{where}: {kind} needs {', '.join(missing)}") from None


def _value(value: Any, where: str, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """A parameter: a plain value, an array by name, a function, or named params."""
    if isinstance(value, Resolved):
        return value.function
    if not isinstance(value, dict):
        return value
    if set(value) == {"array"} and isinstance(value["array"], str):
        return given_array(arrays, value["array"], where)
    try:
        return namedtuple("Params", value)(**value)  # type: ignore[misc]
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


def given_array(arrays: Mapping[str, NDArray[Any]], name: Any, where: str) -> NDArray[Any]:
    """An array given beside the text.  Raises InputError."""
    if not isinstance(name, str) or name not in arrays:
        raise InputError(f"{where}: there is no array {name!r} beside the text")
    return arrays[name]
