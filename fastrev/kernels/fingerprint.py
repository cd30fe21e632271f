"""A content hash of a function and of everything it refers to.

Two functions with equal fingerprints compile to the same kernel; a change of a
constant, a default, a closure value, a referenced global, an attribute of a
module or a helper function, in whatever file, changes the fingerprint.  What
cannot be looked into raises `OpaqueError`, and a kernel that refers to it is not cached.
"""

import dis
import enum
import functools
import hashlib
import platform
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np


class OpaqueError(Exception):
    """A value whose content cannot be hashed."""


def fingerprint(*parts: Any) -> str:
    """SHA-256 (hex) of functions and plain values, callees included.  Raises OpaqueError."""
    digest = hashlib.sha256()
    seen: dict[int, int] = {}
    for part in parts:
        for piece in _pieces(part, seen, set()):
            digest.update(len(piece).to_bytes(8, "little"))
            digest.update(piece)
    return digest.hexdigest()


UNKNOWN = "unknown"
"""The content hash of a function that refers to something opaque."""


def content_hash(function: Any) -> str:
    """The fingerprint of a function, or UNKNOWN."""
    try:
        return fingerprint(function)
    except OpaqueError:
        return UNKNOWN


@functools.cache
def environment() -> str:
    """A hash of what else decides the machine code: this package's kernels and the compiler."""
    versions = (sys.version, platform.machine(), numba.__version__, llvmlite.__version__)
    return hashlib.sha256(repr((sources(), versions, np.__version__)).encode()).hexdigest()


@functools.cache
def sources() -> str:
    """A hash of this package's own kernels as text."""
    digest = hashlib.sha256()
    room = Path(__file__).parent
    for path in sorted(room.rglob("*.py"), key=lambda p: p.relative_to(room).as_posix()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def plain_function(value: Any) -> types.FunctionType | None:
    """The Python function behind a function or a jitted dispatcher, else None."""
    value = getattr(value, "py_func", value)
    return value if isinstance(value, types.FunctionType) else None


def is_own(function: Any) -> bool:
    """Whether a function is this package's, and holds none that it was given."""
    plain = plain_function(function)
    if plain is None or plain.__closure__ is not None:
        return False
    return str(plain.__module__).startswith("fastrev.")


@functools.lru_cache(1024)
def code_names(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Names of globals and of attributes that the code, or one nested in it, refers to."""
    scope: set[str] = set()
    attributes: set[str] = set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            scope.add(str(instruction.argval))
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add(str(instruction.argval))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = code_names(constant)
            scope, attributes = scope | inner[0], attributes | inner[1]
    return scope, attributes


_PACKAGES = ("scipy", "torch", "jax", "jaxlib")
"""Packages that a function which is called, not compiled, may use: known by their versions."""
_LIBRARIES = ("builtins", "math", "cmath", "operator", "numpy", "numba", "fastrev")
"""Packages whose versions the environment's hash covers."""


def _from_library(value: Any) -> bool:
    name = value.__name__ if isinstance(value, types.ModuleType) else _home(value)
    return name.partition(".")[0] in _LIBRARIES


def _home(value: Any) -> str:
    if isinstance(value, np.ufunc):
        return "numpy"
    return str(getattr(value, "__module__", None) or "")


def _pieces(value: Any, seen: dict[int, int], attributes: set[str]) -> Iterator[bytes]:
    function = plain_function(value)
    if function is not None:
        yield from _function_pieces(function, seen)
    elif value is None or isinstance(value, bool | int | float | complex | str | bytes):
        yield f"{type(value).__name__}:{value!r}".encode()
        if isinstance(value, enum.Enum):
            yield from _pieces(value.value, seen, attributes)
    elif isinstance(value, np.generic | np.ndarray) and value.dtype.kind in "biufcSU":
        yield repr((value.dtype.str, value.shape)).encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, tuple | list | frozenset | types.CellType):
        yield from _container_pieces(value, seen, attributes)
    elif isinstance(value, types.CodeType):
        yield from _code_pieces(value, seen)
    elif isinstance(value, enum.EnumMeta):
        members: Any = value.__members__
        yield repr([(name, members[name].value) for name in members]).encode()
    elif isinstance(value, type) and hasattr(value, "_fields"):
        yield f"namedtuple:{value._fields}".encode()
    elif (isinstance(value, types.ModuleType) or callable(value)) and _from_library(value):
        yield f"{_home(value)}.{getattr(value, '__qualname__', value)!s}".encode()
    elif _package_of(value) or _is_tensor(value) or _is_network(value):
        yield from _foreign_pieces(value, seen, attributes)
    elif isinstance(value, types.ModuleType | type):
        yield from _attribute_pieces(value, seen, attributes)
    else:
        raise OpaqueError(f"{value!r}")


def _package_of(value: Any) -> str:
    """Which of _PACKAGES a module, or what a module defines, is from; "" for none."""
    name = value.__name__ if isinstance(value, types.ModuleType) else _home(value)
    package = name.partition(".")[0]
    return package if package in _PACKAGES and not _is_tensor(value) else ""


def _is_tensor(value: Any) -> bool:
    """Whether it is a tensor: torch itself and its classes have a `detach` too."""
    return hasattr(value, "detach") and not isinstance(value, types.ModuleType | type)


def _is_network(value: Any) -> bool:
    """Whether it is a torch module."""
    parts = all(hasattr(value, name) for name in ("forward", "modules", "state_dict"))
    return parts and not isinstance(value, type)


def _plain_attributes(part: Any) -> list[tuple[str, Any]]:
    """Numbers and words that a module keeps beside its parameters."""
    plain = ((k, v) for k, v in vars(part).items() if isinstance(v, bool | int | float | str))
    return sorted(pair for pair in plain if pair[0] != "training")


def _version(value: Any) -> str:
    """The package that something is from, and which of its versions."""
    package = _package_of(value)
    return f"{package} {getattr(sys.modules.get(package), '__version__', '')}"


def _foreign_pieces(value: Any, seen: dict[int, int], attributes: set[str]) -> Iterator[bytes]:
    """A torch module: its kind, its code and its numbers; a tensor; what a package defines."""
    if _is_network(value):
        yield repr(value).encode()
        for part in value.modules():  # itself and all that it is made of
            kind = type(part)
            yield f"{_home(kind)}.{kind.__qualname__} {_version(kind)}".encode()
            if not _package_of(kind):
                yield repr(_plain_attributes(part)).encode()
                yield from _pieces(kind.forward, seen, attributes)
        yield from _pieces(sorted(value.state_dict().items()), seen, attributes)
    elif _is_tensor(value):
        yield from _pieces(value.detach().cpu().numpy(), seen, attributes)
    else:
        yield f"{_version(value)}: {getattr(value, '__name__', value)!s}".encode()


def _container_pieces(value: Any, seen: dict[int, int], attributes: set[str]) -> Iterator[bytes]:
    items = value
    if isinstance(value, types.CellType):
        items = [value.cell_contents]
    elif isinstance(value, frozenset):
        items = sorted(value, key=repr)
    yield f"{type(value).__name__}:{len(items)}:{getattr(value, '_fields', '')}".encode()
    for item in items:
        yield from _pieces(item, seen, attributes)


def _attribute_pieces(owner: Any, seen: dict[int, int], attributes: set[str]) -> Iterator[bytes]:
    """What code may read of a module or class: the attributes it names."""
    if id(owner) in seen:
        return
    seen[id(owner)] = len(seen)
    for name in sorted(attributes & set(dir(owner))):
        value = getattr(owner, name)
        yield name.encode()
        yield from _pieces(value, seen, attributes)


def _function_pieces(function: types.FunctionType, seen: dict[int, int]) -> Iterator[bytes]:
    if id(function) in seen:
        yield f"again:{seen[id(function)]}".encode()
        return
    seen[id(function)] = len(seen)
    names, attributes = code_names(function.__code__)
    yield from _code_pieces(function.__code__, seen)
    yield from _pieces(function.__defaults__ or (), seen, attributes)
    for cell in function.__closure__ or ():
        yield from _pieces(cell.cell_contents, seen, attributes)
    for name in sorted(names & function.__globals__.keys()):
        yield name.encode()
        yield from _pieces(function.__globals__[name], seen, attributes)


def _code_pieces(code: types.CodeType, seen: dict[int, int]) -> Iterator[bytes]:
    yield code.co_code
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_argcount)).encode()
    for constant in code.co_consts:
        yield from _pieces(constant, seen, set())
