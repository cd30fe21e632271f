"""A loop whose iterations overlap: each phase is one vector ahead of the phase after it."""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from fastrev.kernels.lanes import Lanes
from fastrev.kernels.weave import Stages, finished, weave

Values = list[Lanes]
Phase = Callable[[Values, Values], Stages]


def pipelined(
    builder: Any,
    count: Any,
    source: Callable[[Any], Values],
    phases: Sequence[Phase],
    sink: Callable[[Values, Any], None],
    pace: Sequence[int],
) -> None:
    """Emit sink(phases[-1](... phases[0](source(index))), index) for every index below count > 0.

    phase(values, out) appends what it makes of values to `out`.  While the last phase is at one
    index the one before it is at the next, and so on; at the end at the last again.  Their stages
    are emitted in turns, so many of each as `pace` says.
    """
    zero, one = ir.Constant(count.type, 0), ir.Constant(count.type, 1)
    last = builder.sub(count, one)

    def after(index: Any) -> Any:
        there = builder.icmp_signed("<", index, last)
        return builder.select(there, builder.add(index, one), index)

    begun: list[Values] = []  # what each phase but the last has made
    place = zero
    for ahead in range(len(phases) - 1, 0, -1):
        begun.insert(0, _made(source(place), phases[:ahead]))
        place = after(place)

    before, body, end = builder.block, *(builder.append_basic_block(n) for n in ("body", "end"))
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(count.type)
    carried: list[list[Any]] = [
        [builder.phi(value.value.type) for value in values] for values in begun
    ]
    place = index
    for _ in begun:
        place = after(place)
    given = [source(place), *([Lanes(builder, value) for value in values] for values in carried)]
    following: list[Values] = [[] for _ in phases]
    weave([phase(*two) for phase, *two in zip(phases, given, following, strict=True)], pace)
    sink(following[-1], index)
    increased = builder.add(index, one)
    builder.cbranch(builder.icmp_signed("<", index, last), body, end)
    index.add_incoming(zero, before)
    index.add_incoming(increased, body)
    for phis, old, new in zip(carried, begun, following, strict=False):
        for phi, first, second in zip(phis, old, new, strict=True):
            phi.add_incoming(first.value, before)
            phi.add_incoming(second.value, body)
    builder.position_at_end(end)


def _made(values: Values, phases: Sequence[Phase]) -> Values:
    """What some phases make of values."""
    for phase in phases:
        made: Values = []
        finished(phase(values, made))
        values = made
    return values
