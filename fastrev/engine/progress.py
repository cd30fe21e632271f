"""A progress bar for long runs: particle-steps per second and time left."""

import sys
import threading
import time
from types import TracebackType
from typing import Any

_PATIENCE = 0.5
"""Seconds before a bar appears: short runs show none."""


def rich_bar(text: str, **options: Any) -> Any:
    """A rich Progress on the error stream: description, bar, share done, a text, time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn(text),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        **options,
    )


class Progress:
    """Counts particles done, from any thread; shows a bar once a run proves long.

    enabled   None: only where the error stream is a terminal
    """

    def __init__(self, particles: int, steps: int, enabled: bool | None) -> None:
        self._particles, self._steps = particles, steps
        self._enabled = sys.stderr.isatty() if enabled is None else enabled
        self._done = 0
        self._bar: Any = None
        self._task: Any = None
        self._start = time.perf_counter()
        self._lock = threading.Lock()

    def __enter__(self) -> "Progress":
        self._start = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, particles: int) -> None:
        """So many particles more have run all their steps."""
        with self._lock:
            self._done += particles
            elapsed = time.perf_counter() - self._start
            if not self._enabled or (self._bar is None and elapsed < _PATIENCE):
                return
            if self._bar is None:
                self._bar, self._task = self._make()
            rate = self._done * self._steps / max(elapsed, 1e-9)
            self._bar.update(self._task, completed=self._done, rate=f"{rate / 1e6:,.0f}")

    def _make(self) -> tuple[Any, Any]:
        bar = rich_bar("{task.fields[rate]} M particle-steps/s", transient=True)
        bar.start()
        return bar, bar.add_task(f"{self._particles:,} particles", total=self._particles, rate="0")
