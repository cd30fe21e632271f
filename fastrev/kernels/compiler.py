"""How a user's function is compiled: in its kernel's own precision.

Numba computes `2 * x` with x float32 in float64, because an int64 does not fit a
float32, and `x ** 0.7` by libm's `pow`.  Both halve or end vectorisation.  One
pass after type inference makes the integer operand a float of the other's
type, and the power a call of vmath's; then types are inferred anew.
"""

import functools
import operator
from typing import Any

import numpy as np
from numba import types
from numba.core import ir
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.ir_utils import build_definitions, get_definition, guard
from numba.core.typed_passes import NopythonTypeInference

from fastrev.kernels.jit import borrower, loop, scalar
from fastrev.kernels.lowering import WideCompiler
from fastrev.kernels.vmath import BY_WIDTH

_ARITHMETIC = {operator.add, operator.sub, operator.mul, operator.truediv}
_ARITHMETIC |= {operator.iadd, operator.isub, operator.imul, operator.itruediv}
_COMPARISONS = {operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne}
_POWERS = {operator.pow, operator.ipow}
_REAL = {types.float32: np.float32, types.float64: np.float64}


@register_pass(mutates_CFG=False, analysis_only=False)
class OwnPrecision(FunctionPass):
    """Integers beside floats become floats of that width; powers become vmath's."""

    _name = "own_precision"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Whether anything was rewritten."""
        changed = False
        while self._rewrite_once(state):
            state.func_ir._definitions = build_definitions(state.func_ir.blocks)
            state.return_type = None  # inferred before; it may be narrower now
            NopythonTypeInference().run_pass(state)
            changed = True
        return changed

    def _rewrite_once(self, state: Any) -> bool:
        """What can be said by the types known so far; narrower ones may show more."""
        changed = False
        for block in state.func_ir.blocks.values():
            body: list[Any] = []
            for statement in block.body:
                before = len(body)
                rewritten = self._rewritten(statement, state, block.scope, body)
                changed = changed or len(body) > before
                body.append(rewritten)
            block.body = body
        return changed

    def _rewritten(self, statement: Any, state: Any, scope: Any, body: list[Any]) -> Any:
        """The statement; what it needs before it is added to body."""
        value = getattr(statement, "value", None)
        if not isinstance(value, ir.Expr) or value.op not in ("binop", "inplace_binop"):
            return statement
        operands = [value.lhs, value.rhs]
        kinds = [state.typemap[v.name] for v in operands]
        if value.fn in _POWERS:
            return self._power(statement, kinds, state.func_ir, scope, body)
        whole = [_is_whole(k) for k in kinds]
        meet = value.fn in _ARITHMETIC | _COMPARISONS and any(whole)
        if types.float32 in kinds and meet:
            side = whole.index(True)
            operands[side] = self._call(np.float32, operands[side:][:1], scope, body, value.loc)
            return self._with(statement, value, operands)
        return statement

    def _power(
        self, statement: Any, kinds: list[Any], func_ir: Any, scope: Any, body: list[Any]
    ) -> Any:
        """Of real numbers vmath's; of a whole exponent Numba's, but for negative ones, where that
        is 0 of whole numbers, and else raises at 0 and so is no vector code."""
        value = statement.value
        base, exponent = value.lhs, value.rhs
        real = next((k for k in kinds if k in _REAL), None)
        if real is None:
            if all(map(_is_whole, kinds)) and _is_negated(exponent, func_ir):
                base = self._call(np.float64, [base], scope, body, value.loc)
                return self._with(statement, value, [base, exponent])
            return statement
        known = getattr(kinds[1], "literal_value", 0)
        if known < 0:
            base = self._call(BY_WIDTH[str(real)]["inverse"], [base], scope, body, value.loc)
            return self._with(
                statement, value, [base, self._constant(-known, scope, body, value.loc)]
            )
        if _is_whole(kinds[0]):
            base = self._call(_REAL[real], [base], scope, body, value.loc)
            return self._with(statement, value, [base, exponent])
        if all(k in _REAL for k in kinds):
            power = self._global(BY_WIDTH[str(real)]["pow"], scope, body, value.loc)
            call = ir.Expr.call(power, [base, exponent], (), value.loc)
            return ir.Assign(call, statement.target, statement.loc)
        return statement

    def _with(self, statement: Any, value: Any, operands: list[Any]) -> Any:
        if value.op == "binop":
            new = ir.Expr.binop(value.fn, *operands, value.loc)
        else:
            new = ir.Expr.inplace_binop(value.fn, value.immutable_fn, *operands, value.loc)
        return ir.Assign(new, statement.target, statement.loc)

    def _call(self, function: Any, args: list[Any], scope: Any, body: list[Any], loc: Any) -> Any:
        result = scope.redefine("$own_precision", loc)
        call = ir.Expr.call(self._global(function, scope, body, loc), args, (), loc)
        body.append(ir.Assign(call, result, loc))
        return result

    def _constant(self, number: int, scope: Any, body: list[Any], loc: Any) -> Any:
        result = scope.redefine("$own_constant", loc)
        body.append(ir.Assign(ir.Const(number, loc), result, loc))
        return result

    def _global(self, function: Any, scope: Any, body: list[Any], loc: Any) -> Any:
        name = scope.redefine("$own_function", loc)
        body.append(ir.Assign(ir.Global(function.__name__, function, loc), name, loc))
        return name


def _is_whole(kind: Any) -> bool:
    return isinstance(kind, types.Integer | types.IntegerLiteral)


def _is_negated(variable: Any, func_ir: Any) -> bool:
    """Whether it is made by a minus sign."""
    made = guard(get_definition, func_ir, variable)
    return isinstance(made, ir.Expr) and made.op == "unary" and made.fn is operator.neg


class KernelCompiler(WideCompiler):
    """The pipeline of all kernels with `OwnPrecision` after type inference."""

    def refine(self, manager: Any) -> None:
        """Change the passes."""
        super().refine(manager)
        manager.add_pass_after(OwnPrecision, NopythonTypeInference)


user_scalar = functools.partial(scalar, pipeline_class=KernelCompiler)
"""`jit.scalar` for a user's function."""

user_loop = functools.partial(loop, pipeline_class=KernelCompiler)
"""`jit.loop` for a user's function."""

user_borrower = functools.partial(borrower, pipeline_class=KernelCompiler)
"""`jit.borrower` for a function that is treated as a user's is."""
