"""A finished file made smaller: chunked, shuffled, compressed, optionally rounded.

Opened by any HDF5 reader (zstd: with the hdf5plugin package); no longer written to.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from fastrev.store.checksum import checksum
from fastrev.store.errors import StoreError
from fastrev.store.h5md import (
    CHECKSUMS,
    ROUNDED,
    ROWS,
    SHARDS,
    TOKEN,
    VALUE,
    check_target,
    made_beside,
    new_token,
)
from fastrev.store.reader import open_file, shard_numbers, shard_passages

_CHUNK_BYTES = 1 << 20
_MANTISSA = {"float16": 10, "float32": 23, "float64": 52}


class Saved(NamedTuple):
    """Bytes before and after."""

    before: int
    after: int


def repack(
    path: str | Path,
    out: str | Path,
    compression: str = "gzip",
    level: int | None = None,
    bits: int | None = None,
    overwrite: bool = False,
) -> Saved:
    """Copy a finished run's file to `out`, compressed.

    compression  "gzip" (everywhere) or "zstd" (needs hdf5plugin)
    level        of the compressor; its own default
    bits         mantissa bits to keep, rounded to nearest: relative error 2^-(bits+1)

    A file with bits of its frames rounded away is not extended or merged.  Raises StoreError.
    """
    source, target = Path(path), Path(out)
    with open_file(source) as file:
        value, bounds = file[VALUE], file[ROWS][:]
        filters = _filters(compression, level)
        keep = _mantissa(value.dtype, bits)
        if not np.all(file[SHARDS][:] == 1):
            raise StoreError(f"{source} is not finished; resume it before repacking")
        if target.exists() and target.samefile(source):
            raise StoreError(f"out must be another file than {source}, which is repacked")
        check_target(target, 0, overwrite)
        with made_beside(target) as partial, h5py.File(partial, "w") as new:
            _copy_all_but_frames(file, new)
            if bits is not None and keep is not None:
                new["fastrev"].attrs[ROUNDED] = np.int32(bits)
            packed = _create(new, value, filters)
            for index in range(len(bounds) - 1):
                a, b = int(bounds[index]), int(bounds[index + 1])
                rows = rounded(value[:, a:b], keep)
                _check_room(target, rows.nbytes)
                packed[:, a:b] = rows
                new[CHECKSUMS][index] = checksum(
                    index, rows, shard_passages(file, index), shard_numbers(file, index)
                )
    return Saved(source.stat().st_size, target.stat().st_size)


def _create(new: h5py.File, value: h5py.Dataset, filters: Mapping[str, Any]) -> h5py.Dataset:
    """Room for the frames, chunked where there are any."""
    if value.size == 0:
        return new.create_dataset(VALUE, value.shape, value.dtype)
    rows = max(1, _CHUNK_BYTES // (value.shape[2] * value.dtype.itemsize))
    chunks = (1, min(rows, value.shape[1]), value.shape[2])
    return new.create_dataset(
        VALUE, value.shape, value.dtype, chunks=chunks, shuffle=True, **filters
    )


_MARGIN = 2 * _CHUNK_BYTES
"""Bytes that HDF5 may hold back, and what describes the data."""


def _check_room(target: Path, nbytes: int) -> None:
    """Refuse a disk that might be full with so many bytes more: HDF5 does not survive that.

    Raises StoreError.
    """
    room = shutil.disk_usage(target.parent).free
    if nbytes + _MARGIN > room:
        raise StoreError(
            f"out: {target.parent} has {room / 1e6:,.0f} MB free, and the next shard may take "
            f"{(nbytes + _MARGIN) / 1e6:,.0f}"
        )


def _filters(compression: str, level: int | None) -> dict[str, Any]:
    """Arguments of create_dataset.  Raises StoreError."""
    most = {"gzip": 9, "zstd": 22}.get(compression, 0)
    if level is not None and most and not (_is_whole(level) and 0 <= level <= most):
        raise StoreError(f"level must be between 0 and {most} for {compression}, got {level!r}")
    if compression == "gzip":
        return {"compression": "gzip", "compression_opts": 4 if level is None else level}
    if compression == "zstd":
        try:
            import hdf5plugin
        except ImportError:
            raise StoreError(
                "compression 'zstd' needs the hdf5plugin package: pip install fastrev[zstd]"
            ) from None
        return dict(hdf5plugin.Zstd(clevel=3 if level is None else level))
    raise StoreError(f"compression must be 'gzip' or 'zstd', got {compression!r}")


def _mantissa(dtype: np.dtype[Any], bits: int | None) -> int | None:
    """Mantissa bits to clear, None for none.  Raises StoreError."""
    if bits is None:
        return None
    have = _MANTISSA[dtype.name]
    if not (_is_whole(bits) and 1 <= bits <= have):
        raise StoreError(f"bits must be between 1 and {have} for {dtype.name}, got {bits!r}")
    return have - bits or None


def _is_whole(number: Any) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def rounded(rows: NDArray[Any], drop: int | None) -> NDArray[Any]:
    """Rows with the last `drop` mantissa bits rounded away (to nearest, ties to even)."""
    if drop is None:
        return rows
    unsigned = np.dtype(f"u{rows.itemsize}")
    bits = rows.view(unsigned)
    one, half = unsigned.type(1), unsigned.type((1 << (drop - 1)) - 1)
    odd = (bits >> unsigned.type(drop)) & one
    mask = unsigned.type(~np.uint64((1 << drop) - 1) & np.uint64(2 ** (8 * rows.itemsize) - 1))
    result = ((bits + half + odd) & mask).view(rows.dtype)
    return np.where(np.isfinite(rows), result, rows)


def _copy_all_but_frames(file: h5py.File, new: h5py.File) -> None:
    """Every group, attribute and dataset except the frames' values; hard links stay links."""
    for name in file:
        if name != "particles":
            file.copy(file[name], new, name)
    for name, group in file["particles"].items():
        for key, node in group.items():
            if f"/particles/{name}/{key}/value" != VALUE:
                file.copy(node, new.require_group(f"particles/{name}"), key)
                continue
            position = new.require_group(f"particles/{name}/{key}")
            for axis in node:
                if axis != "value":
                    file.copy(node[axis], position, axis)
    if TOKEN in new:  # it is another file
        new[TOKEN][...] = new_token()
