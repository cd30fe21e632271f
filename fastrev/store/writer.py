"""Rows to the file, one shard behind the computation.

One thread writes while the next shard computes.  Two buffers circulate, so
memory is bounded whatever the number of particles.
"""

import os
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrev.store.checksum import Checksum, as_bytes
from fastrev.store.errors import StoreError
from fastrev.store.h5md import Header, Offsets, check_token
from fastrev.store.lock import lock, open_to_write

BUFFERS = 2

_PIECE = 1 << 19
"""Bytes that are written, and then read from second-level cache for the checksum: at 50 GB/s, from
memory at 12."""


@dataclass(frozen=True)
class Rows:
    """A computed shard: its rows of each frame, (F, m, D), in a buffer of the writer's.

    passages  its particles' passage times, (m,) or (0,), in the same buffer
    numbers   what it adds to each observable, (F, K)
    repair    rows that replace damaged ones: what the file records of the run stays
    """

    index: int
    frames: NDArray[Any]
    passages: NDArray[Any]
    numbers: Mapping[str, NDArray[Any]]
    seconds: float = 0.0
    non_finite: int = 0
    repair: bool = False


class _Buffer(NamedTuple):
    """Room for the rows of the largest shard."""

    frames: NDArray[Any]
    passages: NDArray[Any]


class Writer:
    """Writes shards of frames (F, m, D) into a file made by `create`.

    shared   by several writers, of other shards, under one claim of whoever sent them
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        offsets: Offsets,
        durable: bool = True,
        shared: bool = False,
    ) -> None:
        self._path, self._header, self._offsets = path, header, offsets
        self._durable = durable
        self._file = open_to_write(path)
        try:
            if not shared:
                lock(self._file, path)
            check_token(self._file, path, offsets)
        except StoreError:
            os.close(self._file)
            raise
        self._error: BaseException | None = None
        self._work: queue.Queue[Rows | None] = queue.Queue(1)
        self._free: queue.Queue[_Buffer | None] = queue.Queue()
        self._lent: dict[int, _Buffer] = {}
        for _ in range(BUFFERS):
            self._free.put(None)  # made on first use: a run of one shard needs one
        self._thread = threading.Thread(target=self._run, name="fastrev-writer", daemon=True)
        self._thread.start()

    def buffer(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Arrays (F, m, D) and (m,) or (0,) for a shard, to fill and submit; waits until free."""
        header, room = self._header, self._free.get()
        f, _, d = header.shape
        sizes = np.diff(header.rows)
        count = int(sizes[index])
        if room is None:
            most = int(sizes.max())
            passages = np.empty(most if header.passages else 0, header.passages or "float32")
            room = _Buffer(np.empty(f * most * d, header.dtype), passages)
        self._lent[index] = room
        return room.frames[: f * count * d].reshape(f, count, d), room.passages[:count]

    def submit(self, shard: Rows) -> None:
        """Hand over a shard and its buffer.  Raises StoreError."""
        self._raise()
        self._work.put(shard)

    def close(self) -> None:
        """Write what was submitted and close.  Raises StoreError.

        Interrupted again it still closes: what waits is then not written.
        """
        if self._file < 0:
            return
        interrupted: BaseException | None = None
        while self._thread.is_alive():
            try:
                self._work.put(None)
                self._thread.join()
            except BaseException as error:
                interrupted = self._error = error
        try:
            if self._error is None:
                self._sync()
        finally:
            os.close(self._file)
            self._file = -1
        if interrupted is not None:
            raise interrupted
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
        while (shard := self._work.get()) is not None:
            try:
                if self._error is None:
                    self._write(shard)
            except BaseException as error:  # handed to the thread that submits
                self._error = error
            self._free.put(self._lent.pop(shard.index))

    def _write(self, shard: Rows) -> None:
        """All rows and their checksum, then, once they are on disk, the commit byte."""
        frames, at = shard.frames, self._offsets
        row = frames.shape[2] * frames.itemsize
        n, first = self._header.shape[1], int(self._header.rows[shard.index])
        digest = Checksum(shard.index)
        for f in range(len(frames)):
            self._put(frames[f], at.value + (f * n + first) * row, digest)
        passages = shard.passages
        if passages.size:
            self._put(passages, at.passages + first * passages.itemsize, digest)
        for name, numbers in sorted(shard.numbers.items()):
            self._put(numbers, at.numbers[name] + shard.index * numbers.nbytes, digest)
        entries: list[tuple[int, str, Any]] = [(at.checksums, "<u8", digest.value())]
        if not shard.repair:
            entries += [
                (at.seconds, "<f8", shard.seconds),
                (at.non_finite, "<i8", shard.non_finite),
            ]
        for offset, kind, value in entries:
            write_at(self._file, np.array([value], kind), offset + 8 * shard.index)
        self._sync()
        write_at(self._file, np.ones(1, np.uint8), at.shards + shard.index)

    def _put(self, array: NDArray[Any], offset: int, digest: Checksum) -> None:
        """Write an array and add it to a checksum, while what was written is in cache."""
        flat = array.reshape(-1)
        count = max(1, _PIECE // array.itemsize)
        for k in range(0, flat.size, count):
            piece = flat[k : k + count]
            write_at(self._file, piece, offset + k * array.itemsize)
            digest.add(as_bytes(piece))

    def _sync(self) -> None:
        if self._durable:
            getattr(os, "fdatasync", os.fsync)(self._file)


def write_at(file: int, array: NDArray[Any], offset: int) -> None:
    """Write a contiguous array's bytes at an offset of an open file."""
    left = as_bytes(array).data
    while left:
        if hasattr(os, "pwrite"):
            written = os.pwrite(file, left, offset)
        else:
            os.lseek(file, offset, os.SEEK_SET)
            written = os.write(file, left)
        left, offset = left[written:], offset + written
