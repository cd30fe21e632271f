"""A number in every lane of a vector, for code generators."""

from typing import Any

import numpy as np
from llvmlite import ir

_FORMS = {"float": "<f4", "double": "<f8", "i32": "<u4", "i64": "<u8"}


def splat(builder: Any, value: Any, width: int) -> Any:
    """A vector of `width` lanes, each the value."""
    word = ir.IntType(32)
    undefined = ir.Constant(ir.VectorType(value.type, width), ir.Undefined)
    one = builder.insert_element(undefined, value, ir.Constant(word, 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(word, width), None))


class FromMemory:
    """A builder that loads the constants of formulas, anew in every turn of a loop.

    LLVM keeps a loop's constants in registers or, where these are few, on the stack, and then has
    every instruction load its own: two in three of all loads, and Zen 3 does 1.5 multiply-adds a
    cycle of those that load, of others 2.  An address that LLVM cannot see through has a constant
    loaded once for all vectors that use it side by side (measured: normals take 5 to 10 % less).
    """

    _ROOM = 32

    def __init__(self, builder: Any, bits: int) -> None:
        """For vectors of so many bits a lane, from here on."""
        self.builder, self._word = builder, ir.IntType(bits)
        module, kind = builder.module, ir.ArrayType(self._word, self._ROOM)
        self._numbers: list[int] = []
        self._table = ir.GlobalVariable(module, kind, module.get_unique_name("numbers"))
        self._table.linkage, self._table.global_constant = "internal", True
        place = builder.bitcast(self._table, self._word.as_pointer())
        same = ir.FunctionType(place.type, [place.type])
        self._place = builder.asm(same, "", "=r,0", [place], True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.builder, name)

    def constant(self, kind: Any, number: float) -> Any:
        """A vector of numbers."""
        bits = int.from_bytes(np.array(number, _FORMS[str(kind.element)]).tobytes(), "little")
        if bits not in self._numbers:
            self._numbers.append(bits)
            room = [0] * (self._ROOM - len(self._numbers))
            self._table.initializer = ir.Constant(self._table.value_type, self._numbers + room)
        index = ir.Constant(ir.IntType(32), self._numbers.index(bits))
        place = self.builder.gep(self._place, [index])
        value = self.builder.load(self.builder.bitcast(place, kind.element.as_pointer()))
        return splat(self.builder, value, kind.count)
