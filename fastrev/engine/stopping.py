"""Shards in rounds, until the error that was asked for is reached."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fastrev.engine.shards import Shard
from fastrev.engine.specification import Specification

_CAUTION = 0.6
"""The share of what seems to be missing that a round computes: the error is an estimate too."""


def rounds(
    spec: Specification, todo: list[Shard], results: Callable[[], Mapping[str, Any]]
) -> Iterator[list[Shard]]:
    """The shards to compute, in order; all at once where the run has no `until`.

    results   the observables over the shards computed by now
    """
    if spec.until is None:
        yield todo
        return
    done = spec.n - sum(shard.count for shard in todo)
    while todo:
        ratio = spec.until.ratio(results()) if done else np.inf
        if ratio <= 1.0:
            return
        missing = done * (ratio**2 - 1.0) if np.isfinite(ratio) else float(done)
        count = max(1, round(_CAUTION * min(missing, spec.n) / spec.shard_size))
        batch, todo = todo[:count], todo[count:]
        yield batch
        done += sum(shard.count for shard in batch)


def cut(spec: Specification, n: int) -> Specification:
    """The specification of its first n particles."""
    keep: Any = spec.keep
    rows = spec.row_of(n)
    keep = keep[:rows]
    x0 = spec.x0[:n] if isinstance(spec.x0, np.ndarray) else spec.x0
    return replace(spec, n=n, x0=x0, keep=keep, shard_size=min(spec.shard_size, n), until=None)
