"""A specification as TOML, and back.

    [process]   kind and parameters of the forward process
    [score]     present: the process is run in reverse; its kinds are in `engine/scores.py`
    [reverse]   noise
    [x0]        kind and parameters of the initial law, or kind = "marginal"
    [observe.*] kind, times and parameters of the observable of that name
    [run]       n, time, steps, grid, dim, seed, dtype, generator, frames, method,
                shard_size
    [data], [train]  of a network that is trained: see `fastrev train`
    [boundary]  kind and walls: Reflect, Periodic or Absorb
    [output]    file, figure

A kind is the name of the class in Python.  Large arrays stay out of the text:
they are given beside it, by name.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fastrev.engine.describe import TABLES
from fastrev.engine.functions import Resolved, import_function, put_back, recorded
from fastrev.engine.lastframe import last_frame
from fastrev.engine.objects import DISTRIBUTIONS, build_object, given_array
from fastrev.engine.observers import OBSERVABLES
from fastrev.engine.options import Options, checked
from fastrev.engine.scores import build_score
from fastrev.engine.specification import Specification
from fastrev.engine.specify import specify
from fastrev.model import check, linear, sde
from fastrev.model.boundary import BOUNDARIES
from fastrev.model.check import InputError
from fastrev.model.process import GAUSSIAN
from fastrev.model.reversal import reverse

PROCESSES: dict[str, Any] = GAUSSIAN | {"Linear": linear.Linear, "SDE": sde.SDE}


class Output(BaseModel):
    """The `[output]` table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str | None = None
    figure: str | None = None


class ReverseOptions(BaseModel):
    """The `[reverse]` table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    noise: float = 1.0


class Config(NamedTuple):
    """A configuration file, read."""

    specification: Specification
    output: Output


def read_config(path: str | Path, run: Mapping[str, Any] | None = None) -> Config:
    """A configuration file; `run` comes before its own table of that name.

    Raises InputError, which names the file and the field.
    """
    tables = read_tables(path)
    try:
        if run:
            check_tables(tables, ())
            tables["run"] = {**tables.get("run", {}), **run}
        return from_tables(tables, imports=True)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from None


def read_tables(path: str | Path) -> dict[str, Any]:
    """A configuration's tables: files named in it lie beside it, or else where it is run.

    Raises InputError.
    """
    path = Path(path)
    try:
        tables = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None
    return _beside(tables, path.parent)


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
    for place, record, put in recorded(tables):
        put(Resolved(put_back(place, record, given.pop(place, None), trust)))
    if given:
        name, known = next(iter(given)), [place for place, _, _ in recorded(tables)]
        raise InputError(
            f"kernels: the file records no function {name!r}; it records {known or 'none'}"
        )
    return from_tables(tables, arrays).specification


def from_tables(
    tables: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]] | None = None,
    imports: bool = False,
) -> Config:
    """A specification and output options from parsed TOML.

    imports   whether "module:function" is imported: for a user's own configuration

    Raises InputError.
    """
    if imports:  # a file's name may have a colon
        tables = {k: v if k == "output" else with_imports(v, k) for k, v in tables.items()}
    check_tables(tables, ("process", "x0"))
    arrays = arrays or {}
    forward = build_object(tables["process"], "process", PROCESSES, arrays)
    options = checked(Options, tables.get("run", {}), "run.")
    model: Any = forward
    p0 = None
    if "score" in tables or "reverse" in tables:
        score, p0 = build_score(tables.get("score"), forward, arrays)
        noise = checked(ReverseOptions, tables.get("reverse", {}), "reverse.").noise
        model = reverse(forward, score, noise)
    x0 = _build_x0(tables["x0"], forward, p0, options, arrays)
    output = checked(Output, tables.get("output", {}), "output.")
    observe = build_observables(tables.get("observe", {}))
    walls = None
    if "boundary" in tables:
        walls = build_object(tables["boundary"], "boundary", BOUNDARIES, arrays)
    spec = specify(model, x0, options, observe=observe, boundary=walls, stored=not imports)
    return Config(spec, output)


def check_tables(tables: Mapping[str, Any], needed: Iterable[str]) -> None:
    """Only tables that are known, and all that are needed.  Raises InputError."""
    for name in tables:
        if name not in TABLES:
            raise InputError(f"[{name}] is not known: {check.nearest(name, TABLES)}")
        if not isinstance(tables[name], dict):
            raise InputError(f"{name} must be a table, got {tables[name]!r}")
    for name in needed:
        if name not in tables:
            raise InputError(f"the table [{name}] is missing")


def build_observables(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Observables by name.  Raises InputError."""
    built = {}
    for name, table in tables.items():
        where = f"observe.{name}"
        if not isinstance(table, dict):
            raise InputError(f"{where} must be a table, got {table!r}")
        plain = {key: value for key, value in table.items() if key != "times"}
        built[name] = replace(build_object(plain, where, OBSERVABLES, {}), times=table.get("times"))
    return built


def _build_x0(
    table: Mapping[str, Any], forward: Any, p0: Any, options: Options, arrays: Mapping[str, Any]
) -> Any:
    if table.get("kind") == "array":
        return given_array(arrays, table.get("array"), "x0")
    if table.get("kind") == "file":
        extra = [name for name in table if name not in ("kind", "path", "hash")]
        if extra or "path" not in table:
            raise InputError(
                f"x0: kind 'file' needs a path, and may have a hash; got {dict(table)}"
            )
        return last_frame(table["path"], table.get("hash"))
    if table.get("kind") == "marginal":
        if p0 is None:
            raise InputError(
                "x0.kind = 'marginal' needs [score] kind = 'exact' with a p0, or 'empirical'"
            )
        return forward.marginal(p0, options.time_grid().start)
    return build_object(table, "x0", DISTRIBUTIONS, arrays)


_FILES = ("points", "path", "run", "file")
"""Keys of [data], [score] and a law within them that name a file to be read."""


def _beside(tables: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The tables with names of files that lie in the configuration's folder made whole."""

    def whole(table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        return {
            key: str(folder / value)
            if key in _FILES and isinstance(value, str) and os.path.exists(folder / value)
            else whole(value)
            for key, value in table.items()
        }

    return tables | {
        name: whole(tables[name]) for name in ("data", "score", "x0") if name in tables
    }


def with_imports(table: Any, place: str = "") -> Any:
    """The tables with every "module:function" imported."""
    if isinstance(table, dict):
        return {k: with_imports(v, f"{place}.{k}" if place else k) for k, v in table.items()}
    if isinstance(table, str) and re.fullmatch(r"[\w.]+:[\w.]+", table):
        return Resolved(import_function(table, place))
    return table
