"""A progress bar for training: the loss, averaged, and time left."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastrev.engine.progress import rich_bar

_EVERY = 20
"""Iterations between two looks at the loss."""


@contextmanager
def progress_bar(
    iterations: int, done: int, enabled: bool | None
) -> Iterator[Callable[[float], None]]:
    """Takes the loss of each iteration; enabled None shows a bar on a terminal."""
    shown = sys.stderr.isatty() if enabled is None else enabled
    count, mean = 0, 0.0
    with rich_bar("loss {task.fields[loss]}", disable=not shown) as bar:
        task = bar.add_task("training", total=iterations, completed=done, loss="")

        def advance(loss: float) -> None:
            nonlocal count, mean
            count += 1
            mean += max(0.01, 1.0 / count) * (loss - mean)
            if count % _EVERY == 0:
                bar.update(task, advance=_EVERY, loss=f"{mean:.3f}")

        yield advance
