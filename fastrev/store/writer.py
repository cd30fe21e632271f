"""Rows to the file, one shard behind the computation.

One thread writes while the next shard computes.  Two buffers circulate, so
memory is bounded whatever the number of particles.
"""

import os
import queue
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrev.store.h5md import Header, Offsets, StoreError

_BUFFERS = 2


class Writer:
    """Writes shards of frames (F, m, D) into a file made by `create`."""

    def __init__(self, path: Path, header: Header, offsets: Offsets, durable: bool = True) -> None:
        self._path, self._header, self._offsets = path, header, offsets
        self._durable = durable
        self._file = os.open(path, os.O_WRONLY | getattr(os, "O_BINARY", 0))
        self._error: BaseException | None = None
        self._work: queue.Queue[tuple[int, int, NDArray[Any]] | None] = queue.Queue(1)
        self._free: queue.Queue[NDArray[Any] | None] = queue.Queue()
        for _ in range(_BUFFERS):
            self._free.put(None)  # made on first use: a run of one shard needs one
        self._thread = threading.Thread(target=self._run, name="fastrev-writer", daemon=True)
        self._thread.start()

    def buffer(self, count: int) -> NDArray[Any]:
        """An array (F, count, D) to fill and submit; waits until one is free."""
        room = self._free.get()
        f, _, d = self._header.shape
        if room is None:
            rows = min(self._header.shard_size, self._header.n)
            room = np.empty(f * rows * d, self._header.dtype)
        return room[: f * count * d].reshape(f, count, d)

    def submit(self, index: int, first: int, frames: NDArray[Any]) -> None:
        """Hand over shard `index`, particles first.., and its buffer.  Raises StoreError."""
        self._raise()
        self._work.put((index, first, frames))

    def finish(self, seconds: float, compile_seconds: float, non_finite: int) -> None:
        """Write what was submitted, then the run's summary.  Raises StoreError."""
        self._join()
        summary = np.array([seconds, compile_seconds, non_finite], dtype=np.float64)
        write_at(self._file, summary, self._offsets.summary)

    def close(self) -> None:
        """Write what was submitted and close.  Raises StoreError."""
        try:
            self._join()
        finally:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _join(self) -> None:
        if self._thread.is_alive():
            self._work.put(None)
            self._thread.join()
        self._raise()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _raise(self) -> None:
        if self._error is not None:
            raise StoreError(
                f"writing {self._path} failed: {self._error}; committed shards are kept"
            ) from self._error

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            index, first, frames = item
            try:
                if self._error is None:
                    self._write(index, first, frames)
            except BaseException as error:  # handed to the thread that submits
                self._error = error
            base = frames if frames.base is None else frames.base
            self._free.put(base)

    def _write(self, index: int, first: int, frames: NDArray[Any]) -> None:
        """All rows, then, once they are on disk, the commit byte."""
        row = frames.shape[2] * frames.itemsize
        for f in range(len(frames)):
            at = self._offsets.value + (f * self._header.n + first) * row
            write_at(self._file, frames[f], at)
        self._sync()
        write_at(self._file, np.ones(1, np.uint8), self._offsets.shards + index)

    def _sync(self) -> None:
        if self._durable:
            getattr(os, "fdatasync", os.fsync)(self._file)


def write_at(file: int, array: NDArray[Any], offset: int) -> None:
    """Write a contiguous array's bytes at an offset of an open file."""
    left = array.reshape(-1).view(np.uint8).data
    while left:
        if hasattr(os, "pwrite"):
            written = os.pwrite(file, left, offset)
        else:
            os.lseek(file, offset, os.SEEK_SET)
            written = os.write(file, left)
        left, offset = left[written:], offset + written
