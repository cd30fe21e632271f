"""A specification as text: TOML, and beside it the arrays that are too large for it."""

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from fastrev.engine.lastframe import LastFrame
from fastrev.engine.specification import Specification
from fastrev.model.distribution import Distribution, parameters
from fastrev.model.methods import method_table
from fastrev.model.network import NeuralScore
from fastrev.model.reversal import Reverse
from fastrev.model.score import ExactScore

TABLES = (
    "process",
    "data",
    "train",
    "score",
    "reverse",
    "x0",
    "run",
    "boundary",
    "observe",
    "output",
)
"""Of a configuration, in order."""
_INLINE = 64
"""Entries of the largest array written into the text."""


@dataclass
class Text:
    """TOML text and the arrays it refers to by name."""

    toml: str
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


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
    if spec.boundary is not None:
        tables["boundary"] = _describe(spec.boundary, "boundary", text)
    if spec.observed:
        tables["observe"] = {
            name: _describe(one.observable, f"observe.{name}", text)
            for name, one in spec.observed.items()
        }
    ordered = {name: tables[name] for name in TABLES if name in tables}
    text.toml = tomli_w.dumps(ordered)
    return text


def _describe_run(spec: Specification) -> dict[str, Any]:
    grid = spec.grid
    run: dict[str, Any] = {"n": spec.n, "dim": spec.dim, "seed": spec.seed, "dtype": spec.dtype}
    if grid.rule == "array":
        run |= {"time": grid.times.tolist(), "grid": "array"}
    else:
        run |= {"time": [grid.start, grid.end], "steps": grid.steps, "grid": grid.rule}
        run |= {"rho": grid.rho} if grid.rule == "power" else {}
    frames = spec.times.tolist() if spec.frame_steps else 0
    run |= {"frames": frames, "method": method_table(spec.method), "shard_size": spec.shard_size}
    run["storage"] = spec.storage
    run["generator"] = spec.generator
    if spec.until is not None:
        run["until"] = asdict(spec.until)
    if spec.part != (1, 1):
        run["part"] = list(spec.part)
    if isinstance(spec.keep, range):
        run["keep"] = {"start": spec.keep.start, "stop": spec.keep.stop, "step": spec.keep.step}
    else:
        run["keep"] = spec.keep.tolist()
    return run


def _describe(thing: Any, name: str, text: Text) -> dict[str, Any]:
    """A model object as a table."""
    if isinstance(thing, ExactScore):
        return {"kind": "exact", "p0": _describe(thing.p0, f"{name}.p0", text)}
    if isinstance(thing, NeuralScore):
        return _describe_network(thing, name, text)
    table: dict[str, Any] = {"kind": type(thing).__name__}
    for key, value in parameters(thing).items():
        if callable(value):
            table[key] = _describe_function(value)
        elif hasattr(value, "_fields"):
            table[key] = {f: np.asarray(getattr(value, f)).tolist() for f in value._fields}
        elif np.size(value) > _INLINE:
            text.arrays[f"{name}.{key}"] = np.asarray(value)
            table[key] = {"array": f"{name}.{key}"}
        elif value is not None and value != ():
            table[key] = value
    return table


def _describe_network(network: NeuralScore, name: str, text: Text) -> dict[str, Any]:
    """A network: its arrays and hash, and the file that it was in, if any."""
    text.arrays |= {f"{name}.{key}": array for key, array in network.arrays().items()}
    table = {"kind": "neural", "header": network.header(), "sha256": network.sha256}
    return table if network.path is None else table | {"path": str(network.path)}


def _describe_function(function: Callable[..., Any]) -> dict[str, str]:
    """A user's own function: where it was, its content hash, its source."""
    from fastrev.kernels.fingerprint import content_hash

    name = getattr(function, "__qualname__", type(function).__qualname__)
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    return {
        "function": f"{function.__module__}:{name}",
        "sha256": content_hash(function),
        "source": source,
    }
