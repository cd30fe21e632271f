"""Single machine instructions that Numba's own operators do not reach.

Numba promotes 32-bit integer arithmetic to 64 bits and never emits a fused
multiply-add on its own; both matter here.  Each function below is one LLVM
instruction (or one `llvm.*` intrinsic with correctly rounded, and therefore
machine-independent, result).
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_U32, _I32, _U64, _I64 = types.uint32, types.int32, types.uint64, types.int64
_F32, _F64 = types.float32, types.float64


@intrinsic
def fma(typingctx, a, b, c):
    """a·b + c with one rounding.  All three float32, or all three float64."""
    if not (a == b == c and a in (_F32, _F64)):
        return None

    def codegen(context, builder, signature, args):
        return builder.fma(*args)

    return a(a, a, a), codegen


@intrinsic
def horner(typingctx, x, coefficients):
    """c0 + c1 x + c2 x² + …, as one chain of fused multiply-adds from the last to the first.

    x and the tuple of coefficients are of one float type.
    """
    if x not in (_F32, _F64) or coefficients != types.UniTuple(x, len(coefficients)):
        return None

    def codegen(context, builder, signature, args):
        *lower, y = cgutils.unpack_tuple(builder, args[1])
        for coefficient in reversed(lower):
            y = builder.fma(y, args[0], coefficient)
        return y

    return x(x, coefficients), codegen


@intrinsic
def estrin(typingctx, x, coefficients):
    """c0 + c1 x + c2 x² + …, neighbours together first, then their pairs: as few of the fused
    multiply-adds as can wait for another one.

    x and the tuple of coefficients are of one float type.
    """
    if x not in (_F32, _F64) or coefficients != types.UniTuple(x, len(coefficients)):
        return None

    def codegen(context, builder, signature, args):
        power, terms = args[0], cgutils.unpack_tuple(builder, args[1])
        while len(terms) > 1:
            odd = terms[len(terms) // 2 * 2 :]
            pairs = zip(terms[::2], terms[1::2], strict=False)
            terms = [builder.fma(high, power, low) for low, high in pairs] + odd
            power = builder.fmul(power, power)
        return terms[0]

    return x(x, coefficients), codegen


@intrinsic
def stay_apart(typingctx):
    """Written in a function's body: it is called where it is used, not copied in.

    For what a loop needs rarely: its code would push the rest apart, and its variables would
    take registers from the loop.
    """

    def codegen(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.none(), codegen


@intrinsic
def chosen(typingctx, condition, a, b):
    """a where the condition holds, else b: both are there, where Python's own form may read either
    from memory only then, which keeps a loop scalar."""
    if not (condition == types.boolean and a == b and a in (_F32, _F64)):
        return None

    def codegen(context, builder, signature, args):
        condition = builder.icmp_unsigned("!=", args[0], args[0].type(0))
        return builder.select(condition, *args[1:])

    return a(condition, a, b), codegen


def _exact(name, instruction, count, doc):
    """An intrinsic of `count` floats of one type that is one exact LLVM operation."""

    def typing(typingctx, a):
        return (a(a), codegen) if a in (_F32, _F64) else None

    def typing_of_two(typingctx, a, b):
        return (a(a, b), codegen) if a == b and a in (_F32, _F64) else None

    def codegen(context, builder, signature, args):
        kind = args[0].type
        whole = ir.FunctionType(kind, [kind] * count)
        fn = builder.module.declare_intrinsic(instruction, [kind], whole)
        return builder.call(fn, args)

    chosen = typing if count == 1 else typing_of_two
    chosen.__name__ = name
    chosen.__doc__ = doc
    return intrinsic(chosen)


square_root = _exact("square_root", "llvm.sqrt", 1, "The square root, correctly rounded.")
magnitude = _exact("magnitude", "llvm.fabs", 1, "|a|, the sign bit cleared.")
with_sign = _exact("with_sign", "llvm.copysign", 2, "The magnitude of a with the sign bit of b.")


@intrinsic
def floor_nearest(typingctx, a):
    """Nearest integer, ties to even, as a float (llvm.rint in the default mode)."""
    if a not in (_F32, _F64):
        return None

    def codegen(context, builder, signature, args):
        fn = builder.module.declare_intrinsic("llvm.rint", [args[0].type])
        return builder.call(fn, args)

    return a(a), codegen


def _conversion(name, source, target, instruction, doc):
    """An intrinsic that is one LLVM conversion instruction."""

    def typing(typingctx, value):
        if value != source:
            return None

        def codegen(context, builder, signature, args):
            return getattr(builder, instruction)(args[0], context.get_value_type(target))

        return target(source), codegen

    typing.__name__ = name
    typing.__doc__ = doc
    return intrinsic(typing)


bits_of_f32 = _conversion("bits_of_f32", _F32, _U32, "bitcast", "The 32 bits of a float32.")
f32_of_bits = _conversion("f32_of_bits", _U32, _F32, "bitcast", "The float32 with these bits.")
bits_of_f64 = _conversion("bits_of_f64", _F64, _U64, "bitcast", "The 64 bits of a float64.")
f64_of_bits = _conversion("f64_of_bits", _U64, _F64, "bitcast", "The float64 with these bits.")
f32_of_i32 = _conversion("f32_of_i32", _I32, _F32, "sitofp", "int32 to float32, rounded.")
f64_of_i64 = _conversion("f64_of_i64", _I64, _F64, "sitofp", "int64 to float64, rounded.")
i32_of_u32 = _conversion("i32_of_u32", _U32, _I32, "bitcast", "The same 32 bits, signed.")
i64_of_u64 = _conversion("i64_of_u64", _U64, _I64, "bitcast", "The same 64 bits, signed.")


@intrinsic
def half_of(typingctx, a):
    """a/2, of a's own width."""
    if a not in (_F32, _F64):
        return None

    def codegen(context, builder, signature, args):
        return builder.fmul(args[0], args[0].type(0.5))

    return a(a), codegen
