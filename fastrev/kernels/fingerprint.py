"""A content hash of a function and of everything it calls.

Two functions with equal fingerprints compile to the same kernel; a change of a
constant, a default, a closure value, a referenced global or a helper function,
in whatever file, changes the fingerprint.
"""

import dis
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


def fingerprint(*parts: Any) -> str:
    """SHA-256 (hex) of functions and plain values, callees included."""
    digest = hashlib.sha256()
    seen: dict[int, int] = {}
    for part in parts:
        for piece in _pieces(part, seen):
            digest.update(len(piece).to_bytes(8, "little"))
            digest.update(piece)
    return digest.hexdigest()


@functools.cache
def environment() -> str:
    """A hash of what else decides the machine code: this package's kernels and the compiler."""
    versions = (sys.version, platform.machine(), numba.__version__, llvmlite.__version__)
    return hashlib.sha256(repr((sources(), versions, np.__version__)).encode()).hexdigest()


@functools.cache
def sources() -> str:
    """A hash of this package's own kernels as text."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def plain_function(value: Any) -> types.FunctionType | None:
    """The Python function behind a function or a jitted dispatcher, else None."""
    value = getattr(value, "py_func", value)
    return value if isinstance(value, types.FunctionType) else None


def code_names(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Names of globals and of attributes that the code, or one nested in it, refers to."""
    scope, attributes = set(), set()
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


def _pieces(value: Any, seen: dict[int, int]) -> Iterator[bytes]:
    function = plain_function(value)
    if function is not None:
        yield from _function_pieces(function, seen)
    elif isinstance(value, np.ndarray):
        yield repr((value.dtype.str, value.shape)).encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, tuple | list):
        yield f"{type(value).__name__}:{len(value)}:{getattr(value, '_fields', '')}".encode()
        for item in value:
            yield from _pieces(item, seen)
    elif isinstance(value, types.CodeType):
        yield from _code_pieces(value, seen)
    elif isinstance(value, types.ModuleType):
        yield f"module:{value.__name__}:{getattr(value, '__version__', '')}".encode()
    elif isinstance(value, type) or callable(value):
        yield f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value)}".encode()
    else:
        yield f"{type(value).__name__}:{value!r}".encode()


def _function_pieces(function: types.FunctionType, seen: dict[int, int]) -> Iterator[bytes]:
    if id(function) in seen:
        yield f"again:{seen[id(function)]}".encode()
        return
    seen[id(function)] = len(seen)
    yield from _code_pieces(function.__code__, seen)
    yield from _pieces(function.__defaults__ or (), seen)
    for cell in function.__closure__ or ():
        yield from _pieces(cell.cell_contents, seen)
    names, attributes = code_names(function.__code__)
    for name in sorted(names & function.__globals__.keys()):
        value = function.__globals__[name]
        yield name.encode()
        yield from _pieces(value, seen)
        if isinstance(value, types.ModuleType):
            for attribute in sorted(attributes):
                if plain_function(getattr(value, attribute, None)) and value.__name__ != "numpy":
                    yield from _pieces(getattr(value, attribute), seen)


def _code_pieces(code: types.CodeType, seen: dict[int, int]) -> Iterator[bytes]:
    yield code.co_code
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_argcount)).encode()
    for constant in code.co_consts:
        yield from _pieces(constant, seen)
