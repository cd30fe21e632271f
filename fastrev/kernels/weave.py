"""The order in which a code generator emits several computations.

A computation is a generator function that emits a stage of its instructions up to each `yield`,
which may give a vector that it goes on with (the very object: it is changed in place).  A processor
looks ahead by some 150 instructions of vectors, and keeps all its units busy only if instructions
for all of them are among these: so what uses different units is emitted in turns.
"""

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import NamedTuple

from fastrev.kernels.lanes import Lanes, keep_together

Stages = Iterator[Lanes | None]


class _Emitted(NamedTuple):
    """A stage: whether there was one, and what it gave."""

    there: bool
    last: Lanes | None = None


def _emit(stages: Stages) -> _Emitted:
    try:
        return _Emitted(True, next(stages))
    except StopIteration:
        return _Emitted(False)


def finished(stages: Stages) -> None:
    """Emit all stages."""
    for _ in stages:
        pass


def side_by_side(*computations: Stages) -> Stages:
    """One stage of each computation in turns, from the first on: these may share what they load."""
    for stages in zip_longest(*computations):
        yield from stages


def staggered(*computations: Stages) -> Stages:
    """One stage of each computation in turns; each begins one turn after the one before it.

    What all of them do at one point, such as a square root, is then not wanted at once.
    """
    waiting, running = list(computations), list[Stages]()
    while waiting or running:
        running += waiting[:1]
        del waiting[:1]
        for one in list(running):
            stage = _emit(one)
            if stage.there:
                yield stage.last
            else:
                running.remove(one)


def weave(computations: Iterable[Stages], pace: Iterable[int]) -> None:
    """Emit computations in turns, so many stages of each; the vectors that these give at the end of
    a turn are kept together, so that LLVM leaves the turns apart."""
    going = list(zip(computations, pace, strict=True))
    while going:
        turn = {}
        for one in going:
            stages, count = one
            turn[one] = [_emit(stages) for _ in range(count)][-1]
        keep_together(*(stage.last for stage in turn.values() if stage.last))
        going = [one for one, stage in turn.items() if stage.there]
