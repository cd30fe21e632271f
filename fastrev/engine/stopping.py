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
    spec: Specification, todo: list[Shard], results: Callable[[int], Mapping[str, Any]]
) -> Iterator[list[Shard]]:
    """The shards to compute, in order; all at once where the run has no `until`.

    todo      those that are not computed yet
    results   the observables over the first so many shards

    Rounds begin anew from the first shard, whatever is computed: so a run that was interrupted
    ends where it would have ended.
    """
    if spec.until is None:
        yield todo
        return
    every, missing = list(spec.shards()), {shard.index for shard in todo}
    judged = 0
    while judged < len(every):
        done = every[judged].first
        ratio = spec.until.ratio(results(judged)) if judged else np.inf
        if ratio <= 1.0:
            return
        more = done * (ratio**2 - 1.0) if np.isfinite(ratio) else float(done)
        count = max(1, round(_CAUTION * min(more, spec.n) / spec.shard_size))
        batch = every[judged : judged + count]
        judged += len(batch)
        if any(shard.index in missing for shard in batch):
            yield [shard for shard in batch if shard.index in missing]


def cut(spec: Specification, n: int) -> Specification:
    """The specification of its first n particles."""
    keep: Any = spec.keep
    rows = spec.row_of(n)
    keep = keep[:rows]
    x0 = spec.x0[:n] if isinstance(spec.x0, np.ndarray) else spec.x0
    return replace(spec, n=n, x0=x0, keep=keep, shard_size=min(spec.shard_size, n), until=None)
