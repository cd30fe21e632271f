"""A specification as TOML, and back.

    [process]   kind and parameters of the forward process
    [score]     present: the process is run in reverse; kind = "exact" with [score.p0]
    [reverse]   noise
    [x0]        kind and parameters of the initial law, or kind = "marginal"
    [run]       n, time, steps, grid, dim, seed, dtype, frames, method, shard_size
    [output]    file, figure

A kind is the name of the class in Python.  Large arrays stay out of the text:
they are given beside it, by name.
"""

import functools
import importlib
import inspect
import re
import sys
import textwrap
import tomllib
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tomli_w
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fastrev.engine.lastframe import LastFrame, last_frame
from fastrev.engine.specification import Options, Specification, checked, specify
from fastrev.model import check, distribution, process, sde
from fastrev.model.check import InputError
from fastrev.model.distribution import Distribution, parameters
from fastrev.model.reversal import Reverse, reverse
from fastrev.model.score import ExactScore, Score

PROCESSES = {
    c.__name__: c
    for c in (
        process.Brownian,
        process.OrnsteinUhlenbeck,
        process.VP,
        process.SubVP,
        process.VE,
        sde.SDE,
    )
}
DISTRIBUTIONS = {
    c.__name__: c
    for c in (
        distribution.Point,
        distribution.Gaussian,
        distribution.GaussianMixture,
        distribution.Uniform,
        distribution.Empirical,
    )
}
TABLES = ("process", "score", "reverse", "x0", "run", "output")
_INLINE = 64
"""Entries of the largest array written into the text."""


class Output(BaseModel):
    """The `[output]` table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str | None = None
    figure: str | None = None


class ReverseOptions(BaseModel):
    """The `[reverse]` table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    noise: float = 1.0


@dataclass
class Text:
    """TOML text and the arrays it refers to by name."""

    toml: str
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


class Config(NamedTuple):
    """A configuration file, read."""

    specification: Specification
    output: Output


def to_toml(spec: Specification) -> Text:
    """The specification as TOML; whatever it depends on is in the text or its arrays."""
    text = Text("")
    tables: dict[str, Any] = {}
    forward = spec.process
    if isinstance(spec.process, Reverse):
        forward = spec.process.process
        tables["score"] = _describe(spec.process.score, "score", text)
        tables["reverse"] = {"noise": float(spec.process.noise)}
    tables["process"] = _describe(forward, "process", text)
    if isinstance(spec.x0, Distribution):
        tables["x0"] = _describe(spec.x0, "x0", text)
    elif isinstance(spec.x0, LastFrame):
        tables["x0"] = {"kind": "file", "path": str(spec.x0.path), "hash": spec.x0.digest}
    else:
        text.arrays["x0"] = spec.x0
        tables["x0"] = {"kind": "array", "array": "x0"}
    tables["run"] = _describe_run(spec)
    ordered = {name: tables[name] for name in TABLES if name in tables}
    text.toml = tomli_w.dumps(ordered)
    return text


def _describe_run(spec: Specification) -> dict[str, Any]:
    grid = spec.grid
    run: dict[str, Any] = {"n": spec.n, "dim": spec.dim, "seed": spec.seed, "dtype": spec.dtype}
    if grid.rule == "array":
        run["time"] = grid.times.tolist()
    else:
        run |= {"time": [grid.start, grid.end], "steps": grid.steps, "grid": grid.rule}
        run |= {"rho": grid.rho} if grid.rule == "power" else {}
    run |= {"frames": spec.times.tolist(), "method": spec.method, "shard_size": spec.shard_size}
    run["storage"] = spec.storage
    if isinstance(spec.keep, range):
        run["keep"] = {"start": spec.keep.start, "stop": spec.keep.stop, "step": spec.keep.step}
    else:
        run["keep"] = spec.keep.tolist()
    return run


def _describe(thing: Any, name: str, text: Text) -> dict[str, Any]:
    """A model object as a table."""
    if isinstance(thing, ExactScore):
        return {"kind": "exact", "p0": _describe(thing.p0, f"{name}.p0", text)}
    table: dict[str, Any] = {"kind": type(thing).__name__}
    for key, value in parameters(thing).items():
        if inspect.isfunction(value):
            table[key] = _describe_function(value)
        elif hasattr(value, "_fields"):
            table[key] = {f: np.asarray(getattr(value, f)).tolist() for f in value._fields}
        elif np.size(value) > _INLINE:
            text.arrays[f"{name}.{key}"] = np.asarray(value)
            table[key] = {"array": f"{name}.{key}"}
        elif value is not None and value != ():
            table[key] = value
    return table


def _describe_function(function: Callable[..., Any]) -> dict[str, str]:
    """A user's kernel: where it was, its content hash, its source."""
    from fastrev.kernels.fingerprint import fingerprint

    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    return {
        "function": f"{function.__module__}:{function.__qualname__}",
        "sha256": fingerprint(function),
        "source": source,
    }


def read_config(path: str | Path) -> Config:
    """A configuration file.  Raises InputError, which names the file and the field."""
    path = Path(path)
    try:
        tables = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None
    try:
        return from_tables(tables, imports=True)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from None


def stored_specification(
    toml: str,
    arrays: Mapping[str, NDArray[Any]],
    kernels: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> Specification:
    """The specification that a file holds, with the user's own functions put back.

    Nothing named in the text is imported or run: a function comes from `kernels`, by
    its place, and must have the recorded hash; with `trust` from the stored source.
    Raises InputError.
    """
    tables = tomllib.loads(toml)
    given = dict(kernels or {})
    for place, record, put in _functions(tables):
        put(Resolved(_function(place, record, given.pop(place, None), trust)))
    if given:
        name, known = next(iter(given)), [place for place, _, _ in _functions(tables)]
        raise InputError(
            f"kernels: the file records no function {name!r}; it records {known or 'none'}"
        )
    return from_tables(tables, arrays).specification


class Resolved(NamedTuple):
    """A function in place of its record."""

    function: Any


def _functions(table: Any, place: str = "") -> Iterator[tuple[str, Any, Callable[[Any], None]]]:
    """Every recorded function: its place, its record, and how to replace it."""
    for key, value in list(table.items()):
        here = f"{place}.{key}" if place else key
        if isinstance(value, dict) and "function" in value:
            yield here, value, functools.partial(table.__setitem__, key)
        elif isinstance(value, dict):
            yield from _functions(value, here)


def _function(place: str, record: Mapping[str, str], given: Any, trust: bool) -> Any:
    """The function for a record, of the same content.  Raises InputError."""
    from fastrev.kernels.fingerprint import fingerprint

    name = record["function"]
    if given is None and not trust:
        raise InputError(
            f"{place} is your own function ({name}), which the file only records: give it as "
            f"kernels={{{place!r}: function}}, or compile the stored source with trust=True"
        )
    if isinstance(given, str):
        given = import_function(given, place)
    if given is None:
        given = _from_source(place, record)
    if fingerprint(given) != record["sha256"]:
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


def from_tables(
    tables: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]] | None = None,
    imports: bool = False,
) -> Config:
    """A specification and output options from parsed TOML.

    imports   whether "module:function" is imported: for a user's own configuration

    Raises InputError.
    """
    for name in tables:
        if name not in TABLES:
            raise InputError(f"[{name}] is not known: {check.nearest(name, TABLES)}")
        if not isinstance(tables[name], dict):
            raise InputError(f"{name} must be a table, got {tables[name]!r}")
    for name in ("process", "x0"):
        if name not in tables:
            raise InputError(f"the table [{name}] is missing")
    arrays = arrays or {}
    if imports:
        tables = _with_imports(tables)
    forward = _build(tables["process"], "process", PROCESSES, arrays)
    options = checked(Options, tables.get("run", {}), "run.")
    model: Any = forward
    p0 = None
    if "score" in tables or "reverse" in tables:
        score, p0 = _build_score(tables.get("score"), forward, arrays)
        noise = checked(ReverseOptions, tables.get("reverse", {}), "reverse.").noise
        model = reverse(forward, score, noise)
    x0 = _build_x0(tables["x0"], forward, p0, options, arrays)
    output = checked(Output, tables.get("output", {}), "output.")
    return Config(specify(model, x0, options), output)


def _build_score(table: Any, forward: Any, arrays: Mapping[str, Any]) -> tuple[Any, Any]:
    """The score and, where it is exact, the law p0 that it belongs to."""
    if table is None:
        raise InputError("the table [score] is missing: a reverse process needs a score")
    kind = table.get("kind")
    if kind == "exact":
        extra = set(table) - {"kind", "p0"}
        if extra:
            name = extra.pop()
            raise InputError(f"score.{name} is not known: {check.nearest(name, ['kind', 'p0'])}")
        if "p0" not in table:
            raise InputError("score.p0 is missing: the law at t = 0 that the score belongs to")
        if not hasattr(forward, "score"):
            raise InputError(f"score.kind = 'exact' is not known for {type(forward).__name__}")
        p0 = _build(table["p0"], "score.p0", DISTRIBUTIONS, arrays)
        return forward.score(p0), p0
    if kind == "Score":
        return _build(table, "score", {"Score": Score}, arrays), None
    raise InputError(f"score.kind must be 'exact' or 'Score', got {kind!r}")


def _build_x0(
    table: Mapping[str, Any], forward: Any, p0: Any, options: Options, arrays: Mapping[str, Any]
) -> Any:
    if table.get("kind") == "array":
        return arrays[table["array"]]
    if table.get("kind") == "file":
        extra = [name for name in table if name not in ("kind", "path", "hash")]
        if extra or "path" not in table:
            raise InputError(
                f"x0: kind 'file' needs a path, and may have a hash; got {dict(table)}"
            )
        return last_frame(table["path"], table.get("hash"))
    if table.get("kind") == "marginal":
        if p0 is None:
            raise InputError("x0.kind = 'marginal' needs [score] kind = 'exact' with a p0")
        return forward.marginal(p0, options.time_grid().start)
    return _build(table, "x0", DISTRIBUTIONS, arrays)


def _build(
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
    if set(value) == {"array"}:
        return arrays[value["array"]]
    return namedtuple("Params", value)(**value)  # type: ignore[misc]


def _with_imports(table: Any, place: str = "") -> Any:
    """The tables with every "module:function" imported."""
    if isinstance(table, dict):
        return {k: _with_imports(v, f"{place}.{k}" if place else k) for k, v in table.items()}
    if isinstance(table, str) and re.fullmatch(r"[\w.]+:[\w.]+", table):
        return Resolved(import_function(table, place))
    return table


def import_function(name: str, where: str) -> Any:
    """The user's own function "module:function", from the current directory too."""
    module, _, attribute = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{where}: {name!r} cannot be imported: {error}") from None
