"""The file: H5MD 1.1, whole and valid before the first step.

Every dataset is contiguous and allocated at creation, and the HDF5 handle is
then closed.  Rows go to the data's byte offset with plain positioned writes, so
no metadata changes while a run writes: a reader needs no SWMR, and a killed
writer leaves a valid file.  A shard's byte in `/fastrev/shards` is set after its
rows are on disk; that byte is the commit.

    /h5md                                   version, author, creator
    /particles/trajectory/box               dimension, boundary
    /particles/trajectory/position/value    (F, N, D) float16, float32 or float64
    /particles/trajectory/position/step     (F,) step numbers
    /particles/trajectory/position/time     (F,) elapsed time |t - t_start|, increasing
    /observables/forward_time/value         (F,) the forward time t
    /fastrev/rows                           (shards + 1,) where the rows of each shard begin
    /fastrev/token                          16 random bytes: no other file has them
    /fastrev/shards                         (shards,) 1 where committed
    /fastrev/checksums                      (shards,) XXH3 of a committed shard's rows
    /fastrev/specification                  the run as TOML
    /fastrev/seconds                        (shards,) wall time of each
    /fastrev/non_finite                     (shards,) coordinates that ended infinite or NaN
    /fastrev/first_passage                  (N,) when a wall absorbed each, infinite for never
    /fastrev/observables/*/numbers          (shards, F, K) what each shard adds to an observable
    /fastrev/observables/*/times            (F,) forward time t of its rows
    /fastrev/observables/*                  attribute layout: what the K numbers are
    /fastrev/arrays/*                       arrays too large for TOML
    /fastrev                                attributes: format, seed, versions, host, ...

Specification: https://h5md.nongnu.org/h5md.html
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from fastrev.store.errors import StoreError, replaced
from fastrev.store.lock import claimed

FORMAT = 1
"""Version of the `/fastrev` group."""

VALUE = "/particles/trajectory/position/value"
SHARDS = "/fastrev/shards"
TOKEN = "/fastrev/token"
ROUNDED = "rounded_bits"
"""Of `/fastrev`: the mantissa bits that repacking left of the frames."""
_TOKEN_BYTES = 16
_MAKING = ".creating"
"""Behind a file's name while it is made."""
_LONGEST = 255 - len(_MAKING)
"""Bytes of a file's name."""
CHECKSUMS = "/fastrev/checksums"
SECONDS = "/fastrev/seconds"
NON_FINITE = "/fastrev/non_finite"
ROWS = "/fastrev/rows"
OBSERVABLES = "/fastrev/observables"
PASSAGES = "/fastrev/first_passage"


class Numbers(NamedTuple):
    """Of an observable: forward times (F,), numbers per time, their dtype, what they are."""

    times: NDArray[np.float64]
    width: int
    dtype: str
    layout: str = ""


@dataclass(frozen=True)
class Header:
    """What a file says of its run; shard i has rows[i] .. rows[i+1]-1 of each frame.

    passages is the dtype of the particles' passage times, None where there are none;
    box are the sides (D,) of a periodic box.
    """

    rows: NDArray[np.int64]
    dim: int
    dtype: str
    frame_steps: NDArray[np.int64]
    times: NDArray[np.float64]
    t_start: float
    seed: int
    specification: str
    provenance: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    numbers: Mapping[str, Numbers] = field(default_factory=dict)
    passages: str | None = None
    box: NDArray[np.float64] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(F, N, D)."""
        return len(self.frame_steps), int(self.rows[-1]), self.dim

    @property
    def nbytes(self) -> int:
        """Size of the frames and of the passage times in bytes."""
        passages = self.shape[1] * np.dtype(self.passages).itemsize if self.passages else 0
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize + passages

    @property
    def shard_count(self) -> int:
        """Number of shards."""
        return len(self.rows) - 1


@dataclass(frozen=True)
class Offsets:
    """Where raw data starts, in bytes from the beginning of the file, and the token there."""

    token: tuple[int, bytes]
    value: int
    shards: int
    checksums: int
    seconds: int
    non_finite: int
    numbers: Mapping[str, int]
    passages: int


def offsets_of(file: h5py.File) -> Offsets:
    """The offsets of an open file.  Raises StoreError where its data are not contiguous."""

    def offset(name: str) -> int:
        data = file[name]
        if data.chunks is not None:
            raise StoreError(f"{file.filename} is compressed or chunked and cannot be written to")
        return int(data.id.get_offset() or 0)  # none where there is no data: nothing is written

    names = (VALUE, SHARDS, CHECKSUMS, SECONDS, NON_FINITE)
    value, shards, checksums, seconds, non_finite = (offset(name) for name in names)
    numbers = {name: offset(f"{OBSERVABLES}/{name}/numbers") for name in file.get(OBSERVABLES, ())}
    passages = offset(PASSAGES) if PASSAGES in file else 0
    token = (offset(TOKEN), file[TOKEN][:].tobytes()) if TOKEN in file else (0, b"")
    return Offsets(token, value, shards, checksums, seconds, non_finite, numbers, passages)


def check_token(file: int, path: Path, offsets: Offsets) -> None:
    """Refuse an open file that is not the one of these offsets, but another of its name.

    Raises StoreError.
    """
    place, token = offsets.token
    os.lseek(file, place, os.SEEK_SET)
    if os.read(file, len(token)) != token:
        raise replaced(path)


def check_target(path: Path, nbytes: int, overwrite: bool) -> None:
    """Refuse a target that exists, cannot be written or lacks room.  Raises StoreError."""
    if len(os.fsencode(path.name)) > _LONGEST:
        raise StoreError(f"out: a file name may have {_LONGEST} bytes, got {path.name[:40]}...")
    if path.is_dir():
        raise StoreError(f"out must be a file, got the directory {path}")
    if path.exists() and not overwrite:
        raise StoreError(
            f"out exists and is kept: {path} ({_what_is_there(path)}allow it with overwrite)"
        )
    folder = path.parent
    if not folder.is_dir():
        raise StoreError(f"out: there is no directory {folder}")
    if not os.access(folder, os.W_OK):
        raise StoreError(f"out: the directory {folder} cannot be written")
    room = shutil.disk_usage(folder).free  # an old file stays until the new one is whole
    if nbytes > room:
        raise StoreError(
            f"out needs {nbytes / 1e9:.2f} GB and {folder} has {room / 1e9:.2f} GB free; "
            "keep fewer frames or particles"
        )


def _what_is_there(path: Path) -> str:
    """A hint where the file is a run that may go on."""
    from fastrev.store.reader import read_progress

    try:
        committed = read_progress(path).committed
    except StoreError:
        return ""
    if committed.all():
        return ""
    return f"a run with {committed.sum()} of {len(committed)} shards: resume goes on with it; else "


def create(path: Path, header: Header, overwrite: bool = False) -> Offsets:
    """Make the whole file, all data allocated, no shard committed.

    The file is prepared beside the target and moved there when whole, so a failure
    leaves nothing.  Raises StoreError.
    """
    check_target(path, header.nbytes, overwrite)
    if path.exists():
        with claimed(path):
            pass  # no one writes it
    with made_beside(path) as partial:
        with h5py.File(partial, "w", libver=("v108", "v110")) as file:
            offsets = _fill(file, header)
        _reserve(partial)
    return offsets


@contextlib.contextmanager
def made_beside(path: Path) -> Iterator[Path]:
    """A file to make, which then takes the place of `path`; a failure leaves nothing.

    Raises StoreError.
    """
    partial = path.with_name(path.name + _MAKING)
    try:
        yield partial
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # h5py's own, of a full disk, is the second
        raise StoreError(f"out: {path} cannot be made: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def new_token() -> NDArray[np.uint8]:
    """What tells a file from any other."""
    return np.frombuffer(secrets.token_bytes(_TOKEN_BYTES), np.uint8)


def _fill(file: h5py.File, header: Header) -> Offsets:
    _write_h5md(file, header.provenance)
    trajectory = file.create_group("particles/trajectory")
    box = trajectory.create_group("box")
    box.attrs["dimension"] = np.int32(header.dim)
    side = b"none" if header.box is None else b"periodic"
    box.attrs["boundary"] = np.array([side] * header.dim, dtype=f"S{len(side)}")
    if header.box is not None:
        box["edges"] = header.box
    position = trajectory.create_group("position")
    position["step"] = header.frame_steps
    position["time"] = np.abs(header.times - header.t_start)
    _allocate(position, "value", header.shape, np.dtype(header.dtype))
    forward = file.create_group("observables/forward_time")
    forward["step"] = position["step"]
    forward["time"] = position["time"]
    forward["value"] = header.times
    own = file.create_group("fastrev")
    own["specification"] = np.bytes_(header.specification.encode())
    for name, array in header.arrays.items():
        own.create_dataset(f"arrays/{name}", data=array)
    own.attrs.update({"format": np.int32(FORMAT), "seed": np.uint64(header.seed)})
    own.attrs["t_start"] = np.float64(header.t_start)
    own["rows"] = header.rows
    token = new_token()
    _allocate(own, "token", token.shape, token.dtype)[...] = token
    for name, text in header.provenance.items():
        own.attrs[name] = np.bytes_(text.encode(errors="replace"))
    for name, kind in (("shards", "u1"), ("checksums", "<u8"), ("seconds", "<f8")):
        _allocate(own, name, (header.shard_count,), np.dtype(kind))[...] = 0
    _allocate(own, "non_finite", (header.shard_count,), np.dtype("<i8"))[...] = 0
    if header.passages:
        _allocate(own, "first_passage", (header.shape[1],), np.dtype(header.passages))
    for name, numbers in header.numbers.items():
        group = own.create_group(f"observables/{name}")
        group["times"] = numbers.times
        if numbers.layout:
            group.attrs["layout"] = np.bytes_(numbers.layout.encode())
        shape = (header.shard_count, len(numbers.times), numbers.width)
        _allocate(group, "numbers", shape, np.dtype(numbers.dtype))
    return offsets_of(file)


def _write_h5md(file: h5py.File, provenance: Mapping[str, str]) -> None:
    """The root group of H5MD; strings are fixed-length, as its readers expect."""
    root = file.create_group("h5md")
    root.attrs["version"] = np.array([1, 1], dtype=np.int32)
    author = root.create_group("author")
    author.attrs["name"] = np.bytes_(provenance.get("user", "unknown").encode())
    creator = root.create_group("creator")
    creator.attrs["name"] = np.bytes_(b"fastrev")
    creator.attrs["version"] = np.bytes_(provenance.get("version", "unknown").encode())


def _allocate(
    group: h5py.Group, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> h5py.Dataset:
    """A contiguous dataset with its space allocated now and not filled."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.CONTIGUOUS)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    kind = h5py.h5t.py_create(dtype, logical=True)
    identity = h5py.h5d.create(group.id, name.encode(), kind, space, plist)
    return h5py.Dataset(identity)


def _reserve(path: Path) -> None:
    """Claim the disk space, so that a full disk shows now and not half-way."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
