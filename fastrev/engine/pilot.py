"""Bins that a pilot lays: a few particles run before the others, at every time of an observable."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrev.engine.outcome import Kept, passages
from fastrev.engine.program import Program, make_due
from fastrev.model.distribution import Distribution

_PARTS = 64
"""Places among given states from which a pilot takes particles: they may be sorted."""
_GOLDEN = 0x9E3779B9
"""2^32 over the golden ratio: its multiples, modulo 2^32, lie evenly and repeat no pattern."""


def laid(program: Program, pilot: Program) -> tuple[tuple[Any, ...], ...]:
    """The observables' tables of a program, with bins where a pilot lays them: the same whoever
    runs it.

    pilot   the program itself, or one whose frames hold what it meets
    """
    tables = []
    for one, table in zip(program.spec.observed.values(), program.observed_tables, strict=True):
        if one.observable.pilot:
            bins = one.observable.bins(_frames(pilot, one.steps, one.observable.pilot))
            tables.append(tuple(map(np.ascontiguousarray, bins)))
        else:
            tables.append(table)
    return tuple(tables)


def _frames(program: Program, steps: Sequence[int], count: int) -> NDArray[Any]:
    """Frames (F, m, d) of the first particles, or, of given states, of some all over.

    Of drawn ones as many whatever n is, so that a run with more has the same bins.
    """
    spec, due = program.spec, make_due(steps, [()] * len(program.spec.observed))
    drawn, count = isinstance(spec.x0, Distribution), max(count, program.block or 0)
    count = count if drawn else min(spec.n, count)
    parts = 1 if drawn or program.block else min(count, _PARTS)
    size = count // parts
    frames = np.empty((len(steps), parts * size, spec.dim), spec.storage)
    rows, every = Kept(frames, passages(spec, 0)), np.empty(0, np.int64)
    share = spec.n // parts
    for k in range(parts):  # somewhere in its share: given states may repeat
        first = k * share + (k * _GOLDEN % 2**32 * (share - size + 1) >> 32)
        program.call(rows, due, first, size, k * size, every)
    return frames
