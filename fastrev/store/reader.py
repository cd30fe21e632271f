"""Reading a run's file: header, committed shards, frames on demand."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xxhash
from numpy.typing import NDArray

from fastrev.store.errors import StoreError, replaced
from fastrev.store.h5md import (
    CHECKSUMS,
    FORMAT,
    NON_FINITE,
    OBSERVABLES,
    PASSAGES,
    ROWS,
    SECONDS,
    SHARDS,
    VALUE,
    Header,
    Numbers,
    Offsets,
    offsets_of,
)


def read_header(path: str | Path, arrays: bool = True) -> Header:
    """The header of a run's file.  Raises StoreError where it is none."""
    with open_file(path) as file:
        own, position = file["fastrev"], file["particles/trajectory/position"]
        shape, dtype = file[VALUE].shape, file[VALUE].dtype
        stored = own["arrays"] if arrays and "arrays" in own else {}
        texts = {k: _text(v) for k, v in own.attrs.items() if isinstance(v, bytes | np.bytes_)}
        times, box = file["observables/forward_time/value"][:], file["particles/trajectory/box"]
        return Header(
            rows=file[ROWS][:],
            dim=int(shape[2]),
            dtype=dtype.name,
            frame_steps=position["step"][:],
            times=times,
            t_start=float(own.attrs["t_start"]),
            seed=int(own.attrs["seed"]),
            specification=_text(own["specification"][()]),
            provenance=texts,
            arrays={name: stored[name][()] for name in stored},
            numbers={name: _layout(node) for name, node in file.get(OBSERVABLES, {}).items()},
            passages=file[PASSAGES].dtype.name if PASSAGES in file else None,
            box=box["edges"][:] if "edges" in box else None,
        )


def _layout(node: h5py.Group) -> Numbers:
    if "numbers" not in node or "times" not in node:
        raise StoreError(f"{node.file.filename} is damaged: {node.name} lacks its numbers")
    data = node["numbers"]
    layout = _text(node.attrs.get("layout", b""))
    return Numbers(node["times"][:], int(data.shape[2]), data.dtype.name, layout)


_NEEDED = (
    VALUE,
    SHARDS,
    ROWS,
    CHECKSUMS,
    SECONDS,
    NON_FINITE,
    "/fastrev/specification",
    "/particles/trajectory/box",
    "/particles/trajectory/position/step",
    "/observables/forward_time/value",
)


def open_file(path: str | Path) -> h5py.File:
    """The file, open for reading.  Raises StoreError where it is no run's file."""
    if not isinstance(path, str | os.PathLike):
        raise StoreError(f"a run's file is given by its name, got {path!r}")
    path = Path(path)
    if not path.is_file():
        raise StoreError(f"there is no file {path}")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise StoreError(f"{path} is not an HDF5 file, or is damaged: {error}") from None
    if any(name not in file for name in _NEEDED) or any(
        name not in file["fastrev"].attrs for name in ("format", "seed", "t_start")
    ):
        file.close()
        raise StoreError(f"{path} is an HDF5 file, but not of a fastrev run")
    if file[VALUE].ndim != 3 or file[VALUE].dtype.kind != "f":
        kind = f"{file[VALUE].ndim}-dimensional {file[VALUE].dtype}"
        file.close()
        raise StoreError(f"{path}: frames must be (F, N, D) floating point numbers, got {kind}")
    version = int(file["fastrev"].attrs["format"])
    if version > FORMAT:
        file.close()
        raise StoreError(
            f"{path} has format {version}, made by a newer fastrev; this one reads up to {FORMAT}"
        )
    return file


def _text(value: Any) -> str:
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as error:
        raise StoreError(f"the file is damaged: a text in it is not UTF-8: {error}") from None


@dataclass(frozen=True)
class Progress:
    """How far a file is: committed shards (shards,), their wall time, non-finite coordinates."""

    committed: NDArray[np.bool_]
    seconds: float
    non_finite: int


def read_progress(path: str | Path) -> Progress:
    """What is committed by now.  Raises StoreError."""
    with open_file(path) as file:
        done = file[SHARDS][:] == 1
        seconds, lost = file[SECONDS][:][done].sum(), file[NON_FINITE][:][done].sum()
    return Progress(done, float(seconds), int(lost))


def read_offsets(path: str | Path, token: bytes | None = None) -> Offsets:
    """Where a file's data lie.  Raises StoreError, also where it is not the one of a token."""
    with open_file(path) as file:
        offsets = offsets_of(file)
    if token is not None and offsets.token[1] != token:
        raise replaced(path)
    return offsets


def file_token(path: str | Path) -> bytes:
    """What tells this file from any other of its name; empty of files that have none."""
    return read_offsets(path).token[1]


def shard_numbers(file: h5py.File, index: int) -> dict[str, NDArray[Any]]:
    """What a shard adds to each observable, (F, K) by name."""
    return {name: node["numbers"][index] for name, node in file.get(OBSERVABLES, {}).items()}


def shard_passages(file: h5py.File, index: int) -> NDArray[Any]:
    """The passage times of a shard's particles, (m,), or (0,) where the file has none."""
    if PASSAGES not in file:
        return np.empty(0)
    a, b = (int(v) for v in file[ROWS][index : index + 2])
    return np.asarray(file[PASSAGES][a:b])


def read_passages(path: str | Path) -> NDArray[Any] | None:
    """The passage times of the committed particles, None where the file has none."""
    count = FileFrames(path).shape[1]
    with open_file(path) as file:
        return np.asarray(file[PASSAGES][:count]) if PASSAGES in file else None


@dataclass(frozen=True)
class StoredNumbers:
    """An observable's numbers in a file: the times (F,) and the committed shards."""

    path: Path
    name: str
    times: NDArray[np.float64]
    shards: list[int]

    def numbers(self) -> Iterator[NDArray[Any]]:
        """(F, K) of each committed shard, in order."""
        with open_file(self.path) as file:
            data = file[f"{OBSERVABLES}/{self.name}/numbers"]
            for index in self.shards:
                yield data[index]


def read_numbers(path: Path, name: str, first: int | None = None) -> StoredNumbers:
    """An observable of a run's file, of all shards or the first so many.  Raises StoreError."""
    with open_file(path) as file:
        node = file.get(f"{OBSERVABLES}/{name}")
        if node is None or "numbers" not in node or "times" not in node:
            raise StoreError(f"{path} is damaged: it lacks the observable {name!r}")
        committed = np.flatnonzero(file[SHARDS][:first] == 1).tolist()
        return StoredNumbers(path, name, node["times"][:], committed)


def content_digest(path: str | Path) -> str:
    """A hash of the specification and of every shard's checksum: two equal ones, equal data."""
    with open_file(path) as file:
        digest = xxhash.xxh3_128(bytes(file["fastrev/specification"][()]))
        digest.update(file[CHECKSUMS][:].tobytes())
    return digest.hexdigest()


class FileFrames:
    """The committed frames (F, N, D) of a file, read as they are indexed.

    Indexing follows NumPy: `frames[i]`, `frames[:, a:b]`, `frames[-1, 5]`; nothing
    else is loaded.  The file may still be growing: N counts the particles of the
    committed shards from the first on.
    """

    ndim = 3

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with open_file(path) as file:
            self._shape: tuple[int, int, int] = file[VALUE].shape
            self.dtype: np.dtype[Any] = file[VALUE].dtype
            self._offset: int | None = file[VALUE].id.get_offset()
            self._rows: NDArray[np.int64] = file[ROWS][:]
        self._identity = self._identify()

    def _identify(self) -> tuple[int, int]:
        status = os.stat(self.path)
        return status.st_dev, status.st_ino

    def committed(self) -> NDArray[np.bool_]:
        """Which shards are complete, (shards,)."""
        return read_progress(self.path).committed

    @property
    def shape(self) -> tuple[int, int, int]:
        """(F, committed particles, D)."""
        done = self.committed()
        if self._identify() != self._identity:
            raise StoreError(f"{self.path} was replaced by another file since it was opened")
        prefix = len(done) if done.all() else int(np.argmin(done))
        return self._shape[0], int(self._rows[prefix]), self._shape[2]

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        mapped = self.mapped()
        if mapped is not None:
            return np.array(mapped[key])
        n, parts = self.shape[1], key if isinstance(key, tuple) else (key,)
        with open_file(self.path) as file:
            data = file[VALUE]
            if parts and isinstance(parts[0], int | np.integer):
                return np.asarray(data[int(parts[0]), :n][parts[1:]])
            if parts and isinstance(parts[0], slice):
                frames = range(len(self))[parts[0]]
                if not frames:
                    return np.empty((0, n, self._shape[2]), self.dtype)[(slice(None), *parts[1:])]
                return np.array([data[f, :n][parts[1:]] for f in frames], dtype=self.dtype)
            return np.asarray(data[:, :n][key])

    def mapped(self) -> NDArray[Any] | None:
        """The frames as a read-only view of the file, None where it is compressed."""
        if self._offset is None:
            return None
        n = self.shape[1]
        if 0 in self._shape:
            return np.empty((self._shape[0], n, self._shape[2]), self.dtype)
        data = np.memmap(self.path, self.dtype, "r", self._offset, self._shape)
        return data[:, :n]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def __repr__(self) -> str:
        return f"FileFrames({str(self.path)!r}, shape={self.shape}, dtype={self.dtype})"
