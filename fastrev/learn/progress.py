"""A progress bar for training: the loss, averaged, and time left."""

import sys
from types import TracebackType

_EVERY = 20
"""Iterations between two looks at the loss."""


class TrainingProgress:
    """A bar of iterations; enabled None shows it only where the error stream is a terminal."""

    def __init__(self, iterations: int, done: int, enabled: bool | None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("loss {task.fields[loss]}"),
            console=Console(stderr=True),
            disable=not (sys.stderr.isatty() if enabled is None else enabled),
        )
        self._task = self._bar.add_task("", total=iterations, completed=done, loss="")
        self._count, self._mean = 0, 0.0

    def __enter__(self) -> "TrainingProgress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def advance(self, loss: float) -> None:
        """One iteration more, with this loss."""
        self._count += 1
        share = max(0.01, 1.0 / self._count)
        self._mean += share * (loss - self._mean)
        if self._count % _EVERY == 0:
            self._bar.update(self._task, advance=_EVERY, loss=f"{self._mean:.3f}")
