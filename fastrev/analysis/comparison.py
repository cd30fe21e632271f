"""A run against an exact law or another run, frame by frame."""

import warnings
from typing import Any, NamedTuple

import numpy as np

from fastrev.analysis.distance import FLOORS, Distance, between_samples, from_law
from fastrev.analysis.exact import law
from fastrev.analysis.fokker_planck import Densities, Law
from fastrev.engine.run import Run
from fastrev.model import mixture
from fastrev.model.check import Array, InputError
from fastrev.model.distribution import Distribution

MOST = 1_000_000
"""Particles taken of each frame: the first ones, a sample like any other."""


class Compared(NamedTuple):
    """One coordinate of one frame."""

    t: float
    coordinate: int
    n: int
    distance: Distance


def compare(run: Run, other: Any = "exact", particles: int = MOST) -> list[Compared]:
    """Distances of every coordinate at every time that both have, see `distance.py`.

    other      "exact": the closed-form law of the process that the run follows; another
               Run; a function t -> distribution with a `cdf`; or the `Densities` of
               `fokker_planck.solve`, which must hold the run's times
    particles  at most so many of each frame, the first ones

    A run follows the discrete scheme, so against an exact law its distance holds the
    scheme's own error, of order |h|.  Raises InputError where there is no exact law, no
    common time, or the dimensions differ.
    """
    if run.n == 0 or len(run.times) == 0:
        raise InputError("there is nothing to compare: the run keeps no frames, or none is there")
    if isinstance(other, Run):
        return _with_run(run, other, particles)
    rows = []
    for f, t in enumerate(run.times):
        exact = _law_of(run, other, float(t))
        for j in range(run.dim):
            x = _finite(run, f, j, particles)
            rows.append(Compared(float(t), j, len(x), from_law(x, _cdf(exact, j))))
    return rows


def _with_run(run: Run, other: Run, particles: int) -> list[Compared]:
    if other.dim != run.dim:
        raise InputError(f"runs of unlike dimension cannot be compared: {run.dim} and {other.dim}")
    if other.n == 0:
        raise InputError("there is nothing to compare with: no shard is committed yet")
    span = 1e-9 * max(1.0, float(np.max(np.abs(run.times))))
    rows = []
    for f, t in enumerate(run.times):
        same = np.flatnonzero(np.abs(other.times - t) <= span)
        for j in range(run.dim) if same.size else ():
            x = _finite(run, f, j, particles)
            y = _finite(other, int(same[0]), j, particles)
            rows.append(Compared(float(t), j, min(len(x), len(y)), between_samples(x, y)))
    if not rows:
        raise InputError(f"the runs share no time: {_listed(run.times)} and {_listed(other.times)}")
    _warn_of_less(run, other, [row.t for row in rows if row.coordinate == 0])
    return rows


def _warn_of_less(run: Run, other: Run, common: list[float]) -> None:
    """Say where a comparison is of fewer frames than there are."""
    fewer = len(run.times) - len(common), len(other.times) - len(common)
    if any(fewer):
        warnings.warn(
            f"compared only at t = {_listed(np.array(common))}: {fewer[0]} and {fewer[1]} frames "
            "of the two runs have no counterpart",
            RuntimeWarning,
            stacklevel=4,
        )


def share_noise(run: Run, other: Run) -> bool:
    """Whether two runs have their noise in common: they are then nearer to one another than
    independent ones."""
    ways = [np.sign(one.times[-1] - one.times[0]) for one in (run, other)]
    return run.seed == other.seed and run.times[0] == other.times[0] and ways[0] == ways[1]


def _listed(times: Array) -> str:
    return ", ".join(f"{t:g}" for t in times[:4]) + (" ..." if len(times) > 4 else "")


def _finite(run: Run, f: int, j: int, particles: int) -> Array:
    """One coordinate of the first particles of a frame, in float64, the finite ones."""
    x = np.asarray(run.frames[f, :particles, j], dtype=np.float64)
    x = x[np.isfinite(x)]
    if len(x) < 2:
        raise InputError(f"frame {f} has {len(x)} finite particles: too few to compare")
    return x


def _law_of(run: Run, other: Any, t: float) -> Distribution | Law:
    if isinstance(other, Densities):
        if other.dim != run.dim:
            raise InputError(f"a run of {run.dim} coordinates, but a solution of {other.dim}")
        return other.law(t)
    if callable(other):
        return other(t)  # type: ignore[no-any-return]
    if other != "exact":
        raise InputError(f"compare with 'exact', a run or a function of t, got {other!r}")
    spec = run.known_specification
    exact = law(spec, t) if spec is not None else None
    if exact is None:
        raise InputError("no exact law is known for this run; compare it with another run")
    return exact


def _cdf(exact: Any, coordinate: int) -> Any:
    """The distribution function of one coordinate."""
    if isinstance(exact, Law):
        return exact.marginal(coordinate).cdf
    try:
        one = mixture.marginal(exact.components(), coordinate)
    except InputError:  # no Gaussian mixture
        return exact.cdf
    return lambda x: mixture.cdf(one, x)


def worst(rows: list[Compared]) -> Compared:
    """The row whose W1 is the largest multiple of its floor."""
    return max(rows, key=lambda r: r.distance.w1 / max(r.distance.w1_floor, 1e-300))


def judgement(rows: list[Compared]) -> str:
    """One line: the worst distance, its noise floor, and what that means."""
    if all(row.distance.equal for row in rows):
        w = worst(rows)
        return (
            f"equal within noise (W1 at most {FLOORS:g} times its own, KS p above 1e-4): the "
            f"largest W1 is {w.distance.w1:.3g} at t = {w.t:.4g}, noise alone gives "
            f"{w.distance.w1_floor:.3g} with {w.n:,} particles"
        )
    unlike = [row for row in rows if not row.distance.equal]
    w = worst(unlike)
    return (
        f"DIFFERENT at {len(unlike)} of {len(rows)}: W1 = {w.distance.w1:.3g} at t = {w.t:.4g}, "
        f"where noise alone gives {w.distance.w1_floor:.3g} with {w.n:,} particles "
        f"(KS p = {w.distance.ks_p:.2g})"
    )
