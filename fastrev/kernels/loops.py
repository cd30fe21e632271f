"""Which loops of a compiled function became vector code, and what stopped the others.

Read from LLVM's own result: the optimised module, its innermost loops, and in each the
types of its floating-point operations.  The remainder loop that LLVM leaves beside a
vector loop is marked by it as such and is not counted.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from llvmlite import binding

from fastrev.kernels.lowering import optimised

_ARITHMETIC = {"fadd", "fsub", "fmul", "fdiv", "fneg"}
_VECTOR = re.compile(r"<(\d+) x (float|double)>")
_CALLEE = re.compile(r"@\"?([\w.$]+)\"?\(")


class Loop(NamedTuple):
    """An innermost loop with floating-point arithmetic.

    lanes    numbers worked on at once; 1 for a loop that is not vector code
    bits     of its vectors
    stopped  for lanes = 1: what seems to have kept LLVM from it
    """

    lanes: int
    bits: int
    stopped: str


def loops_of(dispatcher: Any, linked: bool = False) -> list[Loop]:
    """The innermost arithmetic loops of every compiled signature of a function.

    linked  those of the functions that are linked into it too, in which a loop may become other
            code than it is by itself
    """
    found = []
    for result in dispatcher.overloads.values():
        module = binding.parse_assembly(str(optimised(result.library)))
        name = result.fndesc.mangled_name
        text = str(module)
        vectorised = _vectorised_marks(text)
        for function in module.functions:
            if (linked or function.name == name) and not function.is_declaration:
                found += _without_remainders(list(_loops(function, vectorised)))
    return found


def _without_remainders(loops: list[tuple[Loop, int]]) -> list[Loop]:
    """Loops without those that do, number by number, what a wider one does.

    LLVM leaves narrower vector loops and unmarked scalar ones for the last lanes, and for
    arrays that might overlap; they have about as many operations as the one they stand in for.
    """
    kept: list[tuple[Loop, int]] = []
    for loop, operations in sorted(loops, key=lambda pair: -pair[0].lanes):
        if not any(w.lanes > loop.lanes and 2 * o >= operations for w, o in kept):
            kept.append((loop, operations))
    return [loop for loop, _ in kept]


def _vectorised_marks(text: str) -> set[str]:
    """Numbers of the loop metadata that say "isvectorized", as !12."""
    flags = set(re.findall(r'^(!\d+) = !\{!"llvm\.loop\.isvectorized", i32 1\}', text, re.M))
    marks = set()
    for mark, content in re.findall(r"^(!\d+) = distinct !\{(.*)\}", text, re.M):
        if flags & set(re.findall(r"!\d+", content)):
            marks.add(mark)
    return marks


def _loops(function: Any, vectorised: set[str]) -> Iterator[tuple[Loop, int]]:
    """The innermost loops with arithmetic, and how many operations each has."""
    blocks = list(function.blocks)
    places = {_label(block): k for k, block in enumerate(blocks)}
    texts = [[str(instruction).strip() for instruction in block.instructions] for block in blocks]
    follow = [[places[t] for t in _targets(lines[-1]) if t in places] for lines in texts]
    bodies = _natural_loops(follow)
    for head, body in bodies.items():
        if any(other != head and other in body for other in bodies):
            continue  # not innermost
        lines = [line for k in body for line in texts[k]]
        work = [line for line in lines if _is_arithmetic(line)]
        loop = _judged(lines, work, len(body), vectorised) if work else None
        if loop is not None:
            yield loop, len(work)


def _label(block: Any) -> str:
    return str(block.name) or str(block).strip().partition(":")[0]


def _targets(terminator: str) -> list[str]:
    return re.findall(r'label %"?([^",\s\]]+)"?', terminator)


def _natural_loops(follow: list[list[int]]) -> dict[int, set[int]]:
    """Loop heads with the blocks of their loops; the code is reducible, as Numba's always is."""
    state, back, stack = [0] * len(follow), [], [(0, iter(follow[0]))]
    state[0] = 1
    while stack:
        node, nexts = stack[-1]
        for target in nexts:
            if state[target] == 1:
                back.append((node, target))
            elif state[target] == 0:
                state[target] = 1
                stack.append((target, iter(follow[target])))
                break
        else:
            state[node] = 2
            stack.pop()
    before: list[list[int]] = [[] for _ in follow]
    for node, targets in enumerate(follow):
        for target in targets:
            before[target].append(node)
    bodies: dict[int, set[int]] = {}
    for tail, head in back:
        body, todo = bodies.setdefault(head, {head}), [tail]
        while todo:
            node = todo.pop()
            if node not in body:
                body.add(node)
                todo += before[node]
    return bodies


def _judged(lines: list[str], work: list[str], blocks: int, vectorised: set[str]) -> Loop | None:
    """What the loop of these instructions is; None for a remainder that is marked as one."""
    outside = _outside_calls(lines)
    if outside:  # also where LLVM calls it for one lane after the other
        return Loop(1, 0, f"calls {', '.join(outside)}, which has no vector form")
    vectors = [m for line in work if (m := _VECTOR.search(line))]
    if vectors:
        lanes = max(int(m[1]) for m in vectors)
        wide = max(int(m[1]) * (32 if m[2] == "float" else 64) for m in vectors)
        return Loop(lanes, wide, "")
    marks = {mark for line in lines for mark in re.findall(r"!llvm\.loop (!\d+)", line)}
    if marks & vectorised:
        return None
    return Loop(1, 0, _reason(lines, blocks))


def _is_arithmetic(line: str) -> bool:
    operation = line.partition(" = ")[2].split(" ")
    return bool(set(operation[:3]) & _ARITHMETIC) or "@llvm.fma." in line


def _outside_calls(lines: list[str]) -> list[str]:
    """Functions that are called and are not LLVM's own."""
    calls = {m[1] for line in lines if " call " in f" {line}" and (m := _CALLEE.search(line))}
    return sorted(_plain(name) for name in calls if not name.startswith("llvm."))


def _reason(lines: list[str], blocks: int) -> str:
    if any(re.search(r"= phi (float|double) ", line) for line in lines):
        return "a loop within, or a sum whose order may not change"
    if blocks > 1:
        return "a branch within: write a choice as `a if condition else b`"
    return "LLVM's own judgement of cost"


def _plain(symbol: str) -> str:
    """The Python name within a mangled one; a library's symbol as it is."""
    found = re.match(r"_ZN(?:\d+\w+?)*?(\d+)(\w+)B\d+v", symbol)
    return found[2][: int(found[1])] if found else symbol
