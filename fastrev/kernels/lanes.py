"""Arithmetic for code generators: the operators of Python on what the generated code computes.

A function of `Lanes` emits the instructions of its formula, for one number or for a vector of
them, lane by lane.
"""

from collections.abc import Sequence
from typing import Any, Union

from llvmlite import ir
from numba.core import cgutils

from fastrev.kernels.constants import FromMemory, splat
from fastrev.kernels.processor import processor_has

_INTEGERS = {"float": ir.IntType(32), "double": ir.IntType(64)}
_RANGE = {"float": "ps", "double": "pd"}
_SHORT = {"float": "f32", "double": "f64", "i32": "i32", "i64": "i64"}
Operand = Union["Lanes", int, float]


def exact(builder: Any, instruction: str, *args: Any) -> Any:
    """`llvm.<instruction>` of arguments of one type, numbers or vectors."""
    kind = args[0].type
    element = getattr(kind, "element", kind)
    width = f"v{kind.count}" if isinstance(kind, ir.VectorType) else ""
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [kind] * len(args)),
        f"llvm.{instruction}.{width}{_SHORT[str(element)]}",
    )
    return builder.call(function, args)


class Lanes:
    """A number of the generated code, or a vector of numbers; integers are unsigned.

    Python's numbers in a formula become constants of the type at hand.
    """

    __slots__ = ("builder", "value")

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    @property
    def _element(self) -> Any:
        return getattr(self.value.type, "element", self.value.type)

    def _like(self, element: Any) -> Any:
        """The type of as many numbers of another kind."""
        kind = self.value.type
        return ir.VectorType(element, kind.count) if isinstance(kind, ir.VectorType) else element

    def constant(self, number: float) -> "Lanes":
        """The number in every lane."""
        if isinstance(self.builder, FromMemory) and isinstance(self.value.type, ir.VectorType):
            return Lanes(self.builder, self.builder.constant(self.value.type, number))
        return Lanes(self.builder, self._known(number))

    def _known(self, number: float) -> Any:
        """The number in every lane, as part of instructions."""
        kind = self.value.type
        number = float(number) if str(self._element) in _INTEGERS else int(number)
        many = [number] * kind.count if isinstance(kind, ir.VectorType) else number
        return ir.Constant(kind, many)

    def _of(self, other: Operand) -> Any:
        return other.value if isinstance(other, Lanes) else self.constant(other).value

    def _by(self, integers: str, floats: str, other: Operand) -> "Lanes":
        name = floats if str(self._element) in _INTEGERS else integers
        return Lanes(self.builder, getattr(self.builder, name)(self.value, self._of(other)))

    def __add__(self, other: Operand) -> "Lanes":
        return self._by("add", "fadd", other)

    def __sub__(self, other: Operand) -> "Lanes":
        return self._by("sub", "fsub", other)

    def __mul__(self, other: Operand) -> "Lanes":
        return self._by("mul", "fmul", other)

    def __neg__(self) -> "Lanes":
        return Lanes(self.builder, self.builder.fneg(self.value))

    def __and__(self, other: Operand) -> "Lanes":
        return Lanes(self.builder, self.builder.and_(self.value, self._of(other)))

    def __or__(self, other: Operand) -> "Lanes":
        return Lanes(self.builder, self.builder.or_(self.value, self._of(other)))

    def __xor__(self, other: Operand) -> "Lanes":
        return Lanes(self.builder, self.builder.xor(self.value, self._of(other)))

    def __lshift__(self, bits: int) -> "Lanes":
        return Lanes(self.builder, self.builder.shl(self.value, self._known(bits)))

    def __rshift__(self, bits: int) -> "Lanes":
        return Lanes(self.builder, self.builder.lshr(self.value, self._known(bits)))

    def fma(self, factor: Operand, term: Operand) -> "Lanes":
        """self * factor + term with one rounding."""
        args = (self.value, self._of(factor), self._of(term))
        return Lanes(self.builder, exact(self.builder, "fma", *args))

    def magnitude(self, least: float) -> "Lanes":
        """|self|, or `least` where it is less; of numbers, not NaN."""
        if self._bits == 512 and processor_has("avx512dq"):
            return self._range(least)
        size = Lanes(self.builder, exact(self.builder, "fabs", self.value))
        bound = self.constant(least)
        below = self.builder.fcmp_ordered(">", size.value, bound.value)
        return Lanes(self.builder, self.builder.select(below, size.value, bound.value))

    def sqrt(self) -> "Lanes":
        """The square root, correctly rounded."""
        return Lanes(self.builder, exact(self.builder, "sqrt", self.value))

    def of_tables(self, first: Sequence[float], second: Sequence[float]) -> tuple["Lanes", "Lanes"]:
        """first[k] and second[k], k the lowest bits of 64-bit integers; sixteen float64 each.

        Where they do not fit into two vectors, both numbers are loaded at once.
        """
        kind = self.value.type
        width = kind.count if isinstance(kind, ir.VectorType) else 1
        if 2 * width == len(first):
            return self._of_registers(first), self._of_registers(second)
        two, word = ir.VectorType(ir.DoubleType(), 2), ir.IntType(32)
        rows = [ir.Constant(two, list(row)) for row in zip(first, second, strict=True)]
        place = cgutils.global_constant(
            self.builder, "tables", ir.Constant(ir.ArrayType(two, len(rows)), rows)
        )
        index = ((self & (len(rows) - 1)) << 4).value  # in bytes: shifted together
        place = self.builder.bitcast(place, ir.IntType(8).as_pointer())

        def load(k: Any) -> Lanes:
            row = self.builder.bitcast(self.builder.gep(place, [k]), two.as_pointer())
            return Lanes(self.builder, self.builder.load(row))

        if width == 1:
            row = load(index).value
            one, other = (self.builder.extract_element(row, ir.Constant(word, k)) for k in (0, 1))
            return Lanes(self.builder, one), Lanes(self.builder, other)
        found = [
            load(self.builder.extract_element(index, ir.Constant(word, k))) for k in range(width)
        ]
        while len(found) > 1:
            found = [a.and_then(b) for a, b in zip(found[::2], found[1::2], strict=True)]
        each = found[0]
        return each.of_lanes(range(0, 2 * width, 2)), each.of_lanes(range(1, 2 * width, 2))

    def _of_registers(self, table: Sequence[float]) -> "Lanes":
        """Of a table that takes two vectors: one instruction, which sees the lowest bits alone."""
        integers, width = self.value.type, self.value.type.count
        kind = ir.VectorType(ir.DoubleType(), width)
        low, high = (ir.Constant(kind, list(part)) for part in (table[:width], table[width:]))
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(kind, [kind, integers, kind]),
            "llvm.x86.avx512.vpermi2var.pd.512",
        )
        return Lanes(self.builder, self.builder.call(function, [low, self.value, high]))

    @property
    def _bits(self) -> int:
        """Of all the floats."""
        return int(getattr(self.value.type, "count", 1)) * _INTEGERS[str(self._element)].width

    def _range(self, least: float) -> "Lanes":
        """The greater magnitude of two, without a sign: one instruction of 512 bits."""
        kind, count = self.value.type, self.value.type.count
        word, mask = ir.IntType(32), ir.IntType(count)
        name = _RANGE[str(self._element)]
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(kind, [kind, kind, word, kind, mask, word]),
            f"llvm.x86.avx512.mask.range.{name}.512",
        )
        every, plain = ir.Constant(mask, 2**count - 1), ir.Constant(word, 4)
        args = [self.value, self.constant(least).value, ir.Constant(word, 0b1011), self.value]
        return Lanes(self.builder, self.builder.call(function, [*args, every, plain]))

    def bits(self) -> "Lanes":
        """The bits of floats, as integers of their width."""
        kind = self._like(_INTEGERS[str(self._element)])
        return Lanes(self.builder, self.builder.bitcast(self.value, kind))

    def float_of_bits(self) -> "Lanes":
        """The floats with these bits."""
        return Lanes(self.builder, self.builder.bitcast(self.value, self._like(self._float)))

    @property
    def _float(self) -> Any:
        return ir.FloatType() if self._element.width == 32 else ir.DoubleType()

    def signed_to_float(self) -> "Lanes":
        """The integers, taken as signed, rounded to floats of their width."""
        return Lanes(self.builder, self.builder.sitofp(self.value, self._like(self._float)))

    def word_to_float(self) -> "Lanes":
        """The same, of integers that may be anything.

        Where no instruction does it LLVM converts 64-bit ones one by one: here their halves become
        the last bits of 2^84 + 2^63 and 2^52, and what is not theirs is taken away.
        """
        number = isinstance(self.value.type, ir.VectorType) and self._element.width == 64
        if not number or processor_has("avx512dq"):
            return self.signed_to_float()
        high = (self >> 32 ^ 0x4530000080000000).float_of_bits() - (2.0**84 + 2.0**63 + 2.0**52)
        return high + (self & 0xFFFFFFFF | 0x4330000000000000).float_of_bits()

    def low_word(self) -> "Lanes":
        """The low halves of 64-bit integers."""
        kind = self._like(ir.IntType(32))
        return Lanes(self.builder, self.builder.trunc(self.value, kind))

    def integers(self, bits: int) -> "Lanes":
        """The same bits as a vector of integers of another width."""
        kind = self.value.type
        count = kind.count * kind.element.width // bits
        many = ir.VectorType(ir.IntType(bits), count)
        return Lanes(self.builder, self.builder.bitcast(self.value, many))

    def swapped(self) -> "Lanes":
        """64-bit integers with their halves in each other's place."""
        args = (self.value, self.value, self._known(32))
        return Lanes(self.builder, exact(self.builder, "fshl", *args))

    def of_bytes(self, order: Sequence[int]) -> "Lanes":
        """The integers of bytes of these, lowest first."""
        kind, size = self.value.type, len(order)
        lanes = kind.count if isinstance(kind, ir.VectorType) else 1
        many = ir.VectorType(ir.IntType(8), lanes * size)
        parts = self.builder.bitcast(self.value, many)
        places = [lane * size + byte for lane in range(lanes) for byte in order]
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places)
        value = self.builder.shuffle_vector(parts, parts, mask)
        return Lanes(self.builder, self.builder.bitcast(value, kind))

    def xor_high(self, a: "Lanes", b: "Lanes") -> "Lanes":
        """Vectors of 64-bit integers whose high halves alone are changed: self ^ a ^ b."""
        if self.value.type.count * 64 < 512:
            return self ^ (a ^ b) & (0xFFFFFFFF << 32)
        first, *_ = words = [one.integers(32).value for one in (self, a, b)]
        kind, odd = first.type, [lane % 2 for lane in range(first.type.count)]
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(kind, [kind, kind, kind, ir.IntType(32)]),
            "llvm.x86.avx512.pternlog.d.512",
        )
        value = self.builder.call(function, [*words, ir.Constant(ir.IntType(32), 0x96)])
        mask = ir.Constant(ir.VectorType(ir.IntType(1), first.type.count), odd)
        return Lanes(self.builder, self.builder.select(mask, value, first)).integers(64)

    def of_lanes(self, order: Sequence[int]) -> "Lanes":
        """The lanes with these numbers."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), list(order))
        return Lanes(self.builder, self.builder.shuffle_vector(self.value, self.value, mask))

    def and_then(self, other: "Lanes") -> "Lanes":
        """A vector of these lanes and as many others."""
        count = 2 * self.value.type.count
        mask = ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(count)))
        return Lanes(self.builder, self.builder.shuffle_vector(self.value, other.value, mask))

    def over(self, width: int) -> "Lanes":
        """A single number in every one of `width` lanes."""
        return Lanes(self.builder, splat(self.builder, self.value, width))


def keep_together(*vectors: Lanes, forget: bool = False) -> None:
    """All of these, which are changed in place, are made before anything uses one of them: LLVM,
    which moves instructions that nothing waits for to the end of a loop, must leave theirs in the
    order of the program.

    forget  what was loaded before is loaded again: it takes no registers in the meantime
    """
    if len(vectors) > 1 and all(isinstance(one.value.type, ir.VectorType) for one in vectors):
        builder, kinds = vectors[0].builder, [one.value.type for one in vectors]
        nothing = ir.FunctionType(ir.LiteralStructType(kinds), kinds)
        where = ["=v"] * len(kinds) + [str(k) for k in range(len(kinds))]
        where += ["~{memory}"] * forget
        values = [one.value for one in vectors]
        same = builder.asm(nothing, "", ",".join(where), values, forget)
        for k, one in enumerate(vectors):
            one.value = builder.extract_value(same, k)
