"""fastrev: forward and reverse-time stochastic differential equations for millions of particles.

    import fastrev as fr

    p0 = fr.Point(0.0)
    process = fr.Brownian(D=0.5)
    forward = fr.simulate(process, p0, n=1_000_000, time=(0, 1))
    back = fr.simulate(fr.reverse(process, process.score(p0)), forward.x, time=(1, 0))

Importing compiles nothing; the compiler is loaded by the first run.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastrev.model.batched import BatchedScore
from fastrev.model.boundary import Absorb, Periodic, Reflect
from fastrev.model.check import InputError
from fastrev.model.distributions import Empirical, Point, Uniform
from fastrev.model.exponential import Exponential
from fastrev.model.first_passage import FirstPassage
from fastrev.model.gaussian import Gaussian, GaussianMixture
from fastrev.model.histogram import Histogram
from fastrev.model.linear import Linear
from fastrev.model.mean import Mean
from fastrev.model.method import EulerMaruyama, Heun, Milstein
from fastrev.model.moments import Moments
from fastrev.model.network import NeuralScore
from fastrev.model.predictor_corrector import PredictorCorrector
from fastrev.model.process import VE, VP, Brownian, OrnsteinUhlenbeck, SubVP
from fastrev.model.quantiles import Quantiles
from fastrev.model.reversal import Reverse, reverse
from fastrev.model.score import Score
from fastrev.model.sde import SDE
from fastrev.model.stopping import StandardError
from fastrev.model.timegrid import TimeGrid
from fastrev.store.errors import StoreError

if TYPE_CHECKING:
    from fastrev import learn
    from fastrev.engine.executors import WorkerError
    from fastrev.engine.explain import Explanation, explain
    from fastrev.engine.files import extend, resume
    from fastrev.engine.grid_score import GridScore
    from fastrev.engine.messages import KernelError, PerformanceWarning
    from fastrev.engine.parts import merge
    from fastrev.engine.run import Run
    from fastrev.engine.simulate import simulate

__version__ = "0.1.0"

__all__ = [
    "SDE",
    "VE",
    "VP",
    "Absorb",
    "BatchedScore",
    "Brownian",
    "Empirical",
    "EulerMaruyama",
    "Explanation",
    "Exponential",
    "FirstPassage",
    "Gaussian",
    "GaussianMixture",
    "GridScore",
    "Heun",
    "Histogram",
    "InputError",
    "KernelError",
    "Linear",
    "Mean",
    "Milstein",
    "Moments",
    "NeuralScore",
    "OrnsteinUhlenbeck",
    "PerformanceWarning",
    "Periodic",
    "Point",
    "PredictorCorrector",
    "Quantiles",
    "Reflect",
    "Reverse",
    "Run",
    "Score",
    "StandardError",
    "StoreError",
    "SubVP",
    "TimeGrid",
    "Uniform",
    "WorkerError",
    "explain",
    "extend",
    "learn",
    "merge",
    "open",
    "resume",
    "reverse",
    "simulate",
]


_ON_USE = {
    "learn": "",
    "WorkerError": "engine.executors",
    "Explanation": "engine.explain",
    "explain": "engine.explain",
    "extend": "engine.files",
    "resume": "engine.files",
    "GridScore": "engine.grid_score",
    "KernelError": "engine.messages",
    "PerformanceWarning": "engine.messages",
    "merge": "engine.parts",
    "Run": "engine.run",
    "simulate": "engine.simulate",
}
"""Where the names are that are loaded when they are asked for, the engine's and what is built on
it: with what checks a run's options they are half of what importing would take."""

if not TYPE_CHECKING:  # a checker sees the imports above

    def __getattr__(name):
        if name not in _ON_USE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = _ON_USE[name]
        if not home:
            return importlib.import_module(f"{__name__}.{name}")
        value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
        return value

    def __dir__():
        return sorted({*globals(), *_ON_USE})


def open(path: str | Path, kernels: Mapping[str, Any] | None = None, trust: bool = False) -> "Run":
    """A run from its HDF5 file, lazily; works while the run is still going.

    kernels, trust   where the file records your own functions and `trace` is wanted:
                     see `resume`; nothing from a file runs otherwise

    Raises StoreError (a ValueError) where the file is not a run's.
    """
    from fastrev.engine.run import open_run

    return open_run(path, kernels, trust)
