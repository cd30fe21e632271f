"""A round of AES on vectors of 64-bit integers, two of which are a state of sixteen bytes.

    round(state, key) = MixColumns(ShiftRows(SubBytes(state))) ^ key,   the last without MixColumns

It is one instruction for four states, two or one, as the processor has it, and a function of table
look-ups where it has none.

Source: FIPS 197.
"""

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils

from fastrev.kernels.lanes import Lanes
from fastrev.kernels.processor import processor_has, processor_name, wide_registers

_STATE = ir.VectorType(ir.IntType(8), 16)
_LANES = 2
"""Of a state."""


def aes_round(state: Lanes, key: Lanes, last: bool = False) -> Lanes:
    """The states after a round with these keys."""
    lanes = state.value.type.count
    if lanes > _lanes_at_once():
        halves = range(lanes // 2), range(lanes // 2, lanes)
        lower, upper = (aes_round(state.of_lanes(h), key.of_lanes(h), last) for h in halves)
        return lower.and_then(upper)
    if _x86():
        width = "" if lanes == _LANES else f".{64 * lanes}"
        return _called(f"x86.aesni.aesenc{'last' * last}{width}", state, key)
    if not _arm():
        return _by_table(state, last) ^ key
    state = state.integers(8)
    state = _called("aarch64.crypto.aese", state, state.constant(0))  # which adds a key before
    return (state if last else _called("aarch64.crypto.aesmc", state)).integers(64) ^ key


def in_vectors() -> bool:
    """Whether an instruction takes several states."""
    return _lanes_at_once() > _LANES


def _lanes_at_once() -> int:
    """64-bit integers that one instruction takes."""
    if not (_x86() and processor_has("vaes")):
        return _LANES
    return 4 * _LANES if wide_registers() else 2 * _LANES


def _x86() -> bool:
    """Whether an instruction of x86 does it."""
    return _triple().startswith("x86_64") and processor_has("aes")


def _arm() -> bool:
    """Whether instructions of ARM do it."""
    there = processor_has("aes") or processor_has("crypto")
    apple = processor_name().startswith("apple")  # LLVM does not tell their features; all have it
    return _triple().startswith(("aarch64", "arm64")) and (there or apple)


def _triple() -> str:
    return str(llvmlite.binding.get_process_triple())


def _called(name: str, *args: Lanes) -> Lanes:
    """An instruction of vectors of one kind."""
    builder, kind = args[0].builder, args[0].value.type
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [kind] * len(args)), f"llvm.{name}"
    )
    return Lanes(builder, builder.call(function, [one.value for one in args]))


def _by_table(state: Lanes, last: bool) -> Lanes:
    """SubBytes, ShiftRows and, unless it is the last, MixColumns of one state."""
    name = f"fastrev.aes{'.last' * last}"
    function = state.builder.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(_STATE, [_STATE])
        function = ir.Function(state.builder.module, kind, name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block())
        builder.ret(_emit_round(Lanes(builder, function.args[0]), last).value)
    called = state.builder.call(function, [state.integers(8).value])
    return Lanes(state.builder, called).integers(64)


def _emit_round(state: Lanes, last: bool) -> Lanes:
    builder, word = state.builder, ir.IntType(32)
    table = ir.Constant(ir.ArrayType(ir.IntType(8), 256), bytearray(_s_box()))
    place = cgutils.global_constant(builder, "fastrev.aes.table", table)
    value: Any = ir.Constant(_STATE, ir.Undefined)
    for byte in range(16):
        row, column = byte % 4, byte // 4
        source = ir.Constant(word, row + 4 * ((column + row) % 4))
        index = builder.zext(builder.extract_element(state.value, source), word)
        found = builder.load(builder.gep(place, [ir.Constant(word, 0), index]))
        value = builder.insert_element(value, found, ir.Constant(word, byte))
    return Lanes(builder, value) if last else _mix_columns(Lanes(builder, value))


def _mix_columns(a: Lanes) -> Lanes:
    b, c, d = (a.of_lanes([4 * (k // 4) + (k + r) % 4 for k in range(16)]) for r in (1, 2, 3))
    both = a ^ b
    return both << 1 ^ (both >> 7) * 0x1B ^ b ^ c ^ d


def _s_box() -> list[int]:
    """SubBytes of every byte: its inverse in GF(2^8), then an affine map of its bits."""
    power = [1]
    for _ in range(254):  # of x + 1, which generates the field
        doubled = power[-1] << 1
        power.append((doubled ^ 0x11B * (doubled >> 8)) ^ power[-1])
    inverse = [0] * 256
    for k, value in enumerate(power):
        inverse[value] = power[-k % 255]

    def affine(b: int) -> int:
        b |= b << 8
        return (b ^ b >> 4 ^ b >> 5 ^ b >> 6 ^ b >> 7 ^ 0x63) & 0xFF

    return [affine(b) for b in inverse]
