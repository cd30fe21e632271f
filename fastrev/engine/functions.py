"""The user's own functions, named in text: recorded, put back, checked, imported."""

import functools
import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastrev.model.check import InputError


class Resolved(NamedTuple):
    """A function in place of its record."""

    function: Any


def recorded(table: Any, place: str = "") -> Iterator[tuple[str, Any, Callable[[Any], None]]]:
    """Every recorded function: its place, its record, and how to replace it."""
    for key, value in list(table.items()):
        here = f"{place}.{key}" if place else key
        if isinstance(value, dict) and isinstance(value.get("function"), str):
            yield here, value, functools.partial(table.__setitem__, key)
        elif isinstance(value, dict):
            yield from recorded(value, here)


def put_back(place: str, record: Mapping[str, str], given: Any, trust: bool) -> Any:
    """The function for a record, of the same content.  Raises InputError."""
    from fastrev.kernels.fingerprint import UNKNOWN, content_hash

    name = record["function"]
    if given is None and not trust:
        raise InputError(
            f"{place} is your own function ({name}), which the file only records: give it as "
            f"kernels={{{place!r}: function}}, or compile the stored source with trust=True; for "
            f"commands: --kernel {place}=module:function, or --trust"
        )
    if isinstance(given, str):
        given = import_function(given, place)
    if given is None:
        given = _from_source(place, record)
    found = content_hash(given)
    if UNKNOWN in (found, record["sha256"]):
        raise InputError(
            f"{place}: what {name} does cannot be told from its code, as it uses an object of a "
            "kind that has no hash; such a run can be read, but not resumed, traced or shared "
            "among processes"
        )
    if found != record["sha256"]:
        origin = "stored source alone" if trust else "function given"
        raise InputError(
            f"{place}: the {origin} differs from {name}, with which the file began "
            "(its code, a helper, a constant or a closure value)"
        )
    return given


def _from_source(place: str, record: Mapping[str, str]) -> Any:
    """The function that the stored source defines; the caller trusts it."""
    import math

    scope: dict[str, Any] = {"math": math, "np": np, "numpy": np}
    name = record["function"].rpartition(":")[2].rpartition(".")[2]
    try:
        exec(textwrap.dedent(record["source"]), scope)
        return scope[name]
    except (SyntaxError, NameError, KeyError) as error:
        raise InputError(f"{place}: the stored source cannot be compiled: {error!r}") from None


def import_function(name: str, where: str) -> Any:
    """The user's own function "module:function", from the current directory too."""
    module, _, attribute = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the user's module runs here, and may raise anything
        raise InputError(f"{where}: {name!r} cannot be imported: {error!r}") from None
