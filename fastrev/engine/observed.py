"""Observables of a file: what its committed shards measured, put together."""

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastrev.engine.config import build_observables
from fastrev.engine.functions import Resolved, recorded


def read_observables(path: Path, toml: str, first: int | None = None) -> Mapping[str, Any]:
    """Results by name, over the shards committed by now, or those of the first so many; empty
    where there are none."""
    from fastrev.store.reader import read_numbers

    results, tables = {}, tomllib.loads(toml).get("observe", {})
    for _, _, put in recorded(tables):  # a function is not needed to read what it measured
        put(Resolved(_not_called))
    for name, observable in build_observables(tables).items():
        stored = read_numbers(path, name, first)
        if stored.shards:
            numbers = functools.reduce(observable.joined, stored.numbers())
            results[name] = observable.result(numbers, stored.times)
    return results


def _not_called(x: Any, t: Any, p: Any) -> Any:
    raise NotImplementedError
