"""Observables of a file: what its committed shards measured, put together."""

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastrev.engine.config import build_observables


def read_observables(path: Path, toml: str) -> Mapping[str, Any]:
    """Results by name, over the shards committed by now; empty where there are none."""
    from fastrev.store.reader import read_numbers

    results = {}
    for name, observable in build_observables(tomllib.loads(toml).get("observe", {})).items():
        stored = read_numbers(path, name)
        if stored.shards:
            numbers = functools.reduce(observable.joined, stored.numbers())
            results[name] = observable.result(numbers, stored.times)
    return results
