"""Forward and reverse runs against Fokker-Planck at eleven times; naive reversal told apart.

W1 must lie within three times its Monte-Carlo floor and the stated discretisation: that of the
solution, `fokker_planck.discretisation`, and that of the scheme, as far as a run of twice the
steps is from it (for a scheme of weak order one that is half of its error, so it counts twice).
"""

import warnings

import numpy as np
import pytest
from problems import MIXTURE, naive_reversal

import fastrev as fr
from fastrev.analysis import fokker_planck
from fastrev.analysis.comparison import compare

N = 100_000
TIMES = np.linspace(0.0, 1.0, 11)


def well(x, t, p):
    return 4.0 * x * (1.0 - x * x)


WELL = fr.SDE(well, 0.8)
TURN = fr.Linear(A=[[-0.5, 1.5], [-1.5, -0.5]], b=0.0, G=0.7 * np.eye(2))
LINE, PLANE = np.linspace(-6.0, 6.0, 1201), np.linspace(-4.5, 4.5, 151)
PROBLEMS = {
    "brownian": (fr.Brownian(0.5), fr.Gaussian(0.3, 0.5), (LINE,)),
    "ornstein-uhlenbeck": (
        fr.OrnsteinUhlenbeck(1.5, 0.8, mu=0.4), fr.Gaussian(-1.0, 0.6), (LINE,),
    ),
    "vp": (fr.VP(), MIXTURE, (LINE,)),
    "double well": (WELL, fr.Gaussian(0.3, 0.2), (np.linspace(-2.5, 2.5, 501),)),
    "rotation": (TURN, fr.Gaussian([1.0, 0.0], cov=[[0.2, 0.05], [0.05, 0.1]]), (PLANE, PLANE)),
}  # fmt: skip


def beyond(run, solution, error, finer=None):
    """By time: how far W1 is beyond its floor, in units of what is allowed beside it."""
    rows = compare(run, solution)
    allowed = {row: 3.0 * row.distance.w1_floor + row.distance.resolution for row in rows}
    scheme = compare(run, finer) if finer is not None else [None] * len(rows)
    found = {}
    for row, other in zip(rows, scheme, strict=True):
        bound = allowed[row] + error[np.argmin(np.abs(TIMES - row.t))]
        if other is not None:
            bound += 2.0 * max(0.0, other.distance.w1 - other.distance.w1_floor)
        found.setdefault(round(row.t, 9), []).append(row.distance.w1 / bound)
    return np.array([max(values) for values in found.values()])


@pytest.mark.parametrize("name", PROBLEMS)
def test_marginals(name):
    process, p0, grids = PROBLEMS[name]
    steps, dim = (400, 2) if len(grids) > 1 else (1000, 1)
    given = (process, p0, TIMES, grids[0], steps, *grids[1:])
    solution, error = fokker_planck.solve(*given), fokker_planck.discretisation(*given)
    assert error.max() < 0.03
    options = {"n": N, "frames": 11, "dim": dim}
    forward = [fr.simulate(process, p0, steps=s, seed=s, **options) for s in (500, 1000)]
    assert beyond(forward[0], solution, error, forward[1]).max() < 1.0
    score = process.score(p0) if hasattr(process, "score") else fine_score(process, p0, grids)
    start = process.marginal(p0, 1.0) if hasattr(process, "score") else forward[1].x
    options |= {"time": (1, 0)}
    reverse = fr.reverse(process, score)
    back = [fr.simulate(reverse, start, steps=s, seed=s, **options) for s in (500, 1000)]
    assert beyond(back[0], solution, error, back[1]).max() < 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        naive = fr.simulate(naive_reversal(process), start, steps=500, seed=3, **options)
    keep = np.isfinite(naive.frames).all(axis=(1, 2))
    if not keep.all():  # a well's sides, climbed backward, end at infinity
        assert name == "double well" and not keep[-1]
        return
    assert beyond(naive, solution, error)[1:].min() > 1.0


def fine_score(process, p0, grids):
    """From a solution at many times."""
    times = np.linspace(0.0, 1.0, 201)
    return fokker_planck.solve(process, p0, times, *grids).score()
