"""One writer at a time.

The lock is on a byte far beyond the data and belongs to the open file (Linux:
open-file-description locks), so readers, and HDF5's own locks, never meet it,
and a killed writer leaves none behind.
"""

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from fastrev.store.errors import StoreError

_BYTE = 1 << 62


def lock(file: int, path: Path) -> None:
    """Claim an open file for writing until it is closed.  Raises StoreError."""
    try:
        import fcntl
    except ImportError:  # no advisory locks on this platform
        return
    try:
        if hasattr(fcntl, "F_OFD_SETLK"):
            request = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, _BYTE, 1, 0)
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, request)
        else:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _BYTE)
    except (BlockingIOError, PermissionError):
        raise StoreError(f"{path} is being written by another process") from None
    except OSError:  # a file system without locks
        return


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """A claim on a file that others write.  Raises StoreError."""
    file = open_to_write(path)
    try:
        lock(file, path)
        yield
    finally:
        os.close(file)


def open_to_write(path: Path) -> int:
    """An open file.  Raises StoreError."""
    try:
        return os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from None
