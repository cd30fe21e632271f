"""The order in which a code generator emits several computations.

A computation is a generator function that emits a stage of its instructions up to each `yield`.
A processor looks ahead by some 150 instructions of vectors, and keeps all its units busy only if
instructions for all of them are among these: so what uses different units is emitted in turns.
"""

from collections.abc import Iterator

Stages = Iterator[None]
_END = object()


def finished(stages: Stages) -> None:
    """Emit all stages."""
    for _ in stages:
        pass


def staggered(*computations: Stages) -> Stages:
    """One stage of each computation is a stage; each begins one stage after the one before it.

    What all of them do at one point, such as a square root, is then not wanted at once.
    """
    waiting, running = list(computations), list[Stages]()
    while waiting or running:
        running += waiting[:1]
        del waiting[:1]
        running = [one for one in running if next(one, _END) is not _END]
        yield


def weave(first: Stages, second: Stages) -> None:
    """Emit two computations in turns, two stages of the first for one of the second."""
    left = right = True
    while left or right:
        for _ in range(2):
            left = left and next(first, _END) is not _END
        right = right and next(second, _END) is not _END
