"""Predictor-corrector: reverse steps, each followed by Langevin steps that leave p_t alone.

    x <- x + e s(x, t) + sqrt(2 e) z,    e = 2 snr^2 v(t),    at the end t of the step,

with v(t) the variance of x_t given x_0.  Song et al. 2021, arXiv:2011.13456, algorithm 1
and its section on correctors, where e = 2 (snr |z|/|s|)^2 with norms over a batch: here in their
expectation, |z|^2 = d and |s|^2 = d/v, so that particles stay independent.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastrev.model import check
from fastrev.model.check import InputError
from fastrev.model.linear import Linear
from fastrev.model.method import Method, Prepared
from fastrev.model.process import Process
from fastrev.model.reversal import Reverse
from fastrev.model.timegrid import TimeGrid


@dataclass(frozen=True)
class PredictorCorrector(Method):
    """Euler-Maruyama steps in reverse, each followed by `corrections` Langevin steps.

    corrections  how many, at least 1
    snr          signal-to-noise ratio of a Langevin step, > 0; its bias in variance is
                 about snr^2

    For Brownian, OrnsteinUhlenbeck, VP, SubVP and VE with any score.  Where a run ends at
    t = 0 its last step is not corrected.  Raises InputError.
    """

    corrections: int = 1
    snr: float = 0.16

    name: ClassVar[str] = "predictor-corrector"
    looks_ahead: ClassVar[bool] = True
    strong_order: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        name = "PredictorCorrector"
        check.dimension(f"{name}.corrections", self.corrections)
        if self.corrections is None:
            raise InputError(f"{name}.corrections must be a whole number, 1 or more, got None")
        object.__setattr__(self, "snr", check.positive(f"{name}.snr", self.snr))

    def prepared(self, process: Any, dim: int, grid: TimeGrid) -> Prepared:
        """The terms of a reverse process, and the lengths of the Langevin steps."""
        if not isinstance(process, Reverse):
            raise InputError(
                "method 'predictor-corrector' corrects by the score of a reverse process, "
                f"got the forward {type(process).__name__}"
            )
        forward = process.process
        if not isinstance(forward, Process) or isinstance(forward, Linear):
            raise InputError(
                "method 'predictor-corrector' needs the variance of x_t given x_0, known for "
                f"Brownian, OrnsteinUhlenbeck, VP, SubVP and VE, got {type(forward).__name__}"
            )
        variance = np.maximum(forward.transition(grid.times[1:]).variance, 0.0)
        root = process.noise * np.sqrt(np.abs(grid.h))
        step = 2.0 * self.snr**2 * variance
        return Prepared(process.split_terms(dim), root, step, self.corrections)
