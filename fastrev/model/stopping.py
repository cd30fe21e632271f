"""When an ensemble is large enough: the standard error of what it is run for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrev.model import check
from fastrev.model.check import InputError


@dataclass(frozen=True)
class StandardError:
    """Stop when an observable's standard error is at most `target`, at every one of its times.

    observable   its name in `run.observables`
    target       in the observable's units; with relative=True a share of its modulus
    relative     whether the error counts beside the mean (Mean, Moments) or the value (Quantiles)

    An error of zero is no information, as of an event that has not happened yet: it never stops
    a run.  Raises InputError.
    """

    observable: str
    target: float
    relative: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.observable, str):
            raise InputError(
                f"StandardError.observable must be a name such as 'mean', got {self.observable!r}"
            )
        target = check.positive("StandardError.target", self.target)
        object.__setattr__(self, "target", target)
        if not isinstance(self.relative, bool):
            raise InputError(f"StandardError.relative must be a bool, got {self.relative!r}")

    def check(self, observed: Mapping[str, Any]) -> None:
        """Refuse an observable that is not taken.  Raises InputError."""
        check.one_of("until: the observable", self.observable, observed)

    def ratio(self, results: Mapping[str, Any]) -> float:
        """The largest error over the target; infinite where it is not known."""
        if self.observable not in results:
            return float("inf")
        result = results[self.observable]
        errors = np.asarray(result.stderr, np.float64)
        if self.relative:
            size = np.abs(result.mean if hasattr(result, "mean") else result.values)
            with np.errstate(divide="ignore", invalid="ignore"):
                errors = errors / size
        # the initial law may be a point: its own error of zero does not count
        known = errors[np.isfinite(errors) & (errors > 0.0)]
        if not known.size or not np.isfinite(errors).all():
            return float("inf")
        return float(known.max() / self.target)
