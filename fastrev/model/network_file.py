"""A network as one file of plain arrays, .npz or .safetensors: read without running anything."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastrev.model.check import Array, InputError
from fastrev.model.points import read_npz

_HEADER = "fastrev"
"""Under which name a file keeps all that is no array."""
_KINDS = (".npz", ".safetensors")


def read_network(path: str | Path) -> tuple[str, dict[str, Any]]:
    """The header and the arrays of a file.  Raises InputError."""
    path = checked_path(path)
    try:
        if path.suffix == ".safetensors":
            with _safetensors().safe_open(path, framework="numpy") as file:
                header = (file.metadata() or {}).get(_HEADER, "")
                return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        arrays: dict[str, Any] = read_npz(path)
        return str(arrays.pop(_HEADER, "")), arrays
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except InputError:
        raise
    except Exception as error:  # each library has errors of its own for a damaged file
        raise InputError(f"{path} is not a network's file: {error}") from None


def write_network(path: str | Path, header: str, arrays: Mapping[str, Array]) -> Path:
    """Write arrays, as float32 where that loses nothing, and the header.  Raises InputError."""
    path = checked_path(path)
    plain = {name: _narrow(array) for name, array in arrays.items()}
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no directory {path.parent}")
    try:
        if path.suffix == ".safetensors":
            _safetensors()
            from safetensors.numpy import save_file

            save_file(plain, path, metadata={_HEADER: header})
        else:
            with zipfile.ZipFile(path, "w") as file:
                for name, array in (plain | {_HEADER: np.array(header)}).items():
                    entry = zipfile.ZipInfo(f"{name}.npy")  # a date of its own: equal bytes
                    with file.open(entry, "w") as stream:
                        np.lib.format.write_array(stream, array)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def _narrow(array: Array) -> Any:
    narrow = np.ascontiguousarray(array, dtype=np.float32)
    return narrow if np.array_equal(narrow, array) else np.ascontiguousarray(array)


def checked_path(path: str | Path) -> Path:
    """The name of a network's file.  Raises InputError."""
    path = Path(path)
    if path.suffix not in _KINDS:
        raise InputError(f"a network's file must end in {' or '.join(_KINDS)}, got {str(path)!r}")
    return path


def _safetensors() -> Any:
    try:
        import safetensors
    except ImportError:
        raise InputError(
            "a .safetensors file needs the package safetensors: pip install 'fastrev[learn]'"
        ) from None
    return safetensors
