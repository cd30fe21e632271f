"""Data points from a file, .npy, .csv or HDF5, and arrays from an .npz."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrev.model.check import Array, InputError

_HDF5 = (".h5", ".hdf5", ".h5md")
_FRAMES = "particles/trajectory/position/value"
_SHARDS = "fastrev/shards"
"""One for each shard that is committed."""


def read_npz(path: str | Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name; raises what NumPy raises."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def read_points(path: str | Path) -> Array:
    """Points (M, d), one to a row.

    .npy   an array (M,) or (M, d)
    .csv   numbers with commas, and a first line of names if there is one; # begins a comment
    HDF5   "file.h5:/group/points"; without a name the last frame of a run, or the only dataset

    Raises InputError, which names the file and the first entry that is not a number.
    """
    text = str(path)
    name, _, dataset = text.partition(":") if not Path(text).exists() else (text, "", "")
    suffix = Path(name).suffix.lower()
    try:
        if suffix == ".npy":
            return np.asarray(np.load(name, allow_pickle=False), np.float64)
        if suffix == ".csv":
            return _read_csv(Path(name))
        if suffix in _HDF5:
            return _read_hdf5(name, dataset)
    except OSError as error:
        raise InputError(f"points: {name} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"points: {name} does not hold numbers: {error}") from None
    raise InputError(f"points must be a .npy, .csv or HDF5 file, got {text!r}")


def _read_csv(path: Path) -> Array:
    """Rows of numbers.  Raises InputError with the line and column of what is none."""
    lines = path.read_text("utf-8-sig").splitlines()  # Excel's begins with a mark
    rows: list[list[float]] = []
    named = False
    for number, line in enumerate(lines, 1):
        fields = line.partition("#")[0].split(",")
        if not any(field.strip() for field in fields):
            continue
        try:
            rows.append([float(field) for field in fields])
        except ValueError:
            if rows or named or any(_is_number(field) for field in fields):
                bad = next(k for k, field in enumerate(fields) if not _is_number(field))
                raise InputError(
                    f"points: {path}, line {number}, column {bad + 1}: {fields[bad].strip()!r} is "
                    "not a number"
                ) from None
            named = True  # the line of names
            continue
        if len(rows[-1]) != len(rows[0]):
            raise InputError(
                f"points: {path}, line {number}: {len(rows[-1])} numbers, {len(rows[0])} before"
            )
    if not rows:
        raise InputError(f"points: {path} holds no numbers")
    return np.array(rows)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_hdf5(name: str, dataset: str) -> Array:
    import h5py

    with h5py.File(name, "r") as file:
        if not dataset and _FRAMES in file:
            left = int((file[_SHARDS][()] == 0).sum()) if _SHARDS in file else 0
            if left:
                raise InputError(
                    f"points: {name} is of a run that did not end: {left} of {len(file[_SHARDS])} "
                    "shards are missing; fastrev resume ends it"
                )
            return np.asarray(file[_FRAMES][-1], np.float64)
        if not dataset:
            found: list[str] = []

            def collect(key: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset):
                    found.append(key)

            file.visititems(collect)
            if len(found) != 1:
                raise InputError(f"points: {name} holds datasets {found}: say which, {name}:/name")
            dataset = found[0]
        if dataset not in file:
            raise InputError(f"points: {name} holds no dataset {dataset!r}")
        return np.asarray(file[dataset][()], np.float64)
