"""Numba's complaints, cut down to the user's own line."""

import dis
import linecache
import re
from collections.abc import Callable, Iterable
from typing import Any

from fastrev.model.check import InputError


class KernelError(InputError):
    """A kernel that does not compile; the message shows the user's line."""


class PerformanceWarning(UserWarning):
    """A user's own kernel that did not become vector code."""


def compile_message(text: str, functions: Iterable[Callable[..., Any]]) -> str:
    """What is wrong, where, and the line itself."""
    lines = [line for line in text.splitlines() if line.strip()]
    reason = next((line.strip() for line in lines if not line.startswith(_LAYERS)), lines[0])
    if "No implementation of function" in reason:
        reason = _unsupported(reason, text)
    told = re.search(r"(the|each row of the) \w+ must return [^\n]*", text)  # by kernels/tuples.py
    if told:
        return f"a kernel does not compile: {told[0]}"
    where = _reported_line(lines) or _searched_line(reason, text, functions)
    return f"a kernel does not compile: {reason}{where}"


def _unsupported(reason: str, text: str) -> str:
    """What was asked for that there is not, in the terms of a kernel."""
    if re.search(r"getitem\(float", text):
        return (
            "it takes an entry of a number: x is one coordinate, unless the process or score has "
            "dim=d for coordinates that depend on one another"
        )
    if "fastrev/kernels/vmath" in text.replace("\\", "/"):
        return (
            "an elementary function, such as exp, takes one real number here, not an array: "
            "write the loop over its entries"
        )
    if re.search(r"Function\((<class 'numpy\.)?float", reason):
        return "it must return one number"
    asked = re.search(r"^\s*>>> (.+)$", text, re.M)
    return f"{reason} {asked[1]}" if asked else reason


_LAYERS = ("Failed in nopython mode", "During:", "File ", " ", "\t", "-", "^")


def _reported_line(lines: list[str]) -> str:
    """The place that Numba names last outside this package, with its line."""
    for number in reversed(range(len(lines))):
        found = re.match(r'\s*File "(.+)", line (\d+)', lines[number])
        if found and "fastrev/kernels" not in found[1].replace("\\", "/"):
            shown = [line for line in lines[number + 1 : number + 8] if "source elided" not in line]
            marked = next((i for i, line in enumerate(shown) if set(line.strip()) == {"^"}), 2)
            return "\n" + "\n".join([lines[number].strip(), *shown[:marked]])
    return ""


def _searched_line(reason: str, text: str, functions: Iterable[Callable[..., Any]]) -> str:
    """Where Numba names no place: the line of the failing function that uses the name."""
    failing = re.search(r"<function (\S+)_[0-9a-f]{32,64} at", text)  # the kernel's tag aside
    named = re.search(r"name \'(\w+)\'", reason)
    for function in functions:
        code = getattr(function, "__code__", None)
        if code is None or not failing or failing[1] != function.__qualname__:
            continue
        number = code.co_firstlineno
        for instruction in dis.get_instructions(code):
            if named and instruction.argval == named[1] and instruction.positions:
                number = instruction.positions.lineno or number
        source = linecache.getline(code.co_filename, number).rstrip()
        return f'\nFile "{code.co_filename}", line {number}:\n{source}'
    return ""
