"""From p0 to densities at the times asked for, and how far the grid may have led them astray."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrev.analysis.fokker_planck.chang_cooper import stepped
from fastrev.analysis.fokker_planck.densities import Densities, edges_of
from fastrev.analysis.fokker_planck.equation import Equation
from fastrev.analysis.fokker_planck.start import masses
from fastrev.model import check
from fastrev.model.check import Array, InputError
from fastrev.model.reversal import Reverse
from fastrev.model.sde import check_scalar_noise


def solve(process: Any, p0: Any, times: Any, x: Any, steps: int = 1000, y: Any = None) -> Densities:
    """The densities of a process of one coordinate, or of two with y, at some times.

    process   a forward process, p0 the law of x_0; or one made by `reverse`, p0 the law at the
              first of the times, T.  G G^T must be diagonal; it may depend on x and t
    p0        a distribution, a Point too; or the law of another solution, `Densities.law(t)`
    times     (F,) increasing, from 0 or later; decreasing for a reverse process
    x, y      (X,) and (Y,), evenly spaced centres of cells: they must hold p at all times, for
              nothing leaves the grid
    steps     over all times; at least one from each time to the next

    A step takes the coefficients in its middle, so that none is asked for at t = 0.
    Raises InputError.
    """
    problem = _problem(process, p0, times, x, y)
    return problem.solved(problem.counts(steps), problem.edges)


def discretisation(
    process: Any, p0: Any, times: Any, x: Any, steps: int = 1000, y: Any = None
) -> Array:
    """How far `solve` may be from the truth: W1 at each time, in units of x, (F,).

    The sum of W1 to the solution of half the steps and W1 to that of half the cells; on a plane
    the larger one of the marginals'.  Where the error is A dt + B h^2, as it is for small dt and
    h, they are |A| dt and 3 |B| h^2, together more than it.  Raises InputError.
    """
    problem = _problem(process, p0, times, x, y)
    counts = problem.counts(steps)
    if np.any(counts == 1):
        raise InputError(
            f"discretisation halves the steps: {steps} of them give only one to some of the "
            f"{len(problem.times)} times, take more steps or fewer times"
        )
    if min(len(e) for e in problem.edges) < 9:
        raise InputError("discretisation halves the cells: x and y must have 8 or more")
    wide = [np.linspace(e[0], e[-1], (len(e) - 1) // 2 + 1) for e in problem.edges]
    fine = problem.solved(counts, problem.edges)
    others = (problem.solved(counts // 2, problem.edges), problem.solved(counts, wide))
    return np.asarray(np.sum([_apart(fine, other) for other in others], axis=0))


@dataclass(frozen=True)
class _Problem:
    """What is to be solved; times are those of the densities, nodes begin where p0 is the law."""

    process: Any
    p0: Any
    times: Array
    nodes: Array
    edges: Sequence[Array]

    @property
    def backward(self) -> bool:
        return isinstance(self.process, Reverse)

    def counts(self, steps: int) -> Any:
        """Steps from each node to the next."""
        if not isinstance(steps, int | np.integer) or steps < 1:
            raise InputError(f"steps must be a whole number of at least 1, got {steps!r}")
        lengths = np.abs(np.diff(self.nodes))
        share = lengths / max(float(lengths.sum()), np.finfo(float).tiny)
        return np.ceil(share * steps - 1e-9).astype(int)

    def solved(self, counts: Any, edges: Sequence[Array]) -> Densities:
        """The densities in these cells, with so many steps between nodes."""
        equation = Equation(self.process.terms(len(edges)), edges, self.backward)
        mass = masses(self.p0, edges)
        found = [mass]
        for start, end, count in zip(self.nodes, self.nodes[1:], counts, strict=False):
            for i in range(count):
                dt = (end - start) / count
                mass = _step(mass, equation, start + (i + 0.5) * dt, abs(dt))
            found.append(mass)
        density = np.array(found[len(found) - len(self.times) :])
        centres = [0.5 * (e[1:] + e[:-1]) for e in edges]
        cell = np.prod([e[1] - e[0] for e in edges])
        return Densities(self.times, centres[0], density / cell, *centres[1:])


def _step(mass: Array, equation: Equation, t: float, dt: float) -> Array:
    """One coordinate after the other."""
    for k in range(mass.ndim):
        v, diffusivity = equation.between(k, t)
        lines = np.moveaxis(mass, k, -1)
        h = equation.edges[k][1] - equation.edges[k][0]
        rows = (-1, lines.shape[-1])
        v, diffusivity = v.reshape(-1, rows[1] - 1), diffusivity.reshape(-1, rows[1] - 1)
        after = stepped(lines.reshape(rows), v, diffusivity, h, dt)
        mass = np.moveaxis(after.reshape(lines.shape), -1, k)
    return mass


def _problem(process: Any, p0: Any, times: Any, x: Any, y: Any) -> _Problem:
    """Checked.  Raises InputError."""
    if not hasattr(process, "terms") or isinstance(process, type):
        raise InputError(
            f"process must be a forward process, or one made by reverse, got {process!r}"
        )
    axes = {"x": x} if y is None else {"x": x, "y": y}
    edges = [edges_of(check.even_axis(name, centres)) for name, centres in axes.items()]
    if process.dim not in (None, len(edges)):
        raise InputError(
            f"process has dim = {process.dim}: x alone is for one coordinate, x and y for two, "
            "and there is no solver for more"
        )
    times = check.finite_array("times", times, ndim=(1,))
    if isinstance(process, Reverse):
        if len(times) < 2 or times[-1] < 0.0 or np.any(np.diff(times) >= 0.0):
            raise InputError(
                "times of a reverse process must decrease, from the time at which p0 is the law, "
                "to 0 or later, two or more"
            )
        nodes = times
    else:
        if times[0] < 0.0 or np.any(np.diff(times) <= 0.0):
            raise InputError("times must increase, from 0 or later")
        nodes = times if times[0] == 0.0 else np.concatenate([[0.0], times])
    if times.max() > process.horizon:
        raise InputError(
            f"times must be at most T = {process.horizon:g}, got {float(times.max()):g}"
        )
    check_scalar_noise(process, float(nodes.mean()))
    return _Problem(process, p0, times, nodes, edges)


def _apart(one: Densities, other: Densities) -> Array:
    """W1 at each time, the largest of the coordinates', (F,)."""
    found = []
    for k in range(one.dim):
        a, b = one.marginal(k), other.marginal(k)
        grid = np.union1d(edges_of(a.x), edges_of(b.x))
        gaps = [np.abs(a.law(t).cdf(grid) - b.law(t).cdf(grid)) for t in one.times]
        found.append([0.5 * (gap[1:] + gap[:-1]) @ np.diff(grid) for gap in gaps])
    return np.asarray(np.max(found, axis=0))
