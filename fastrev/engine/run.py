"""The result of a run, in memory or in a file."""

import html
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrev.engine import summary
from fastrev.engine.shards import shards
from fastrev.engine.specification import Specification
from fastrev.model.check import InputError


class Run:
    """Frames of an ensemble and what they came from.

    frames           (F, N, d), an array or, from a file, read as it is indexed
    x                (N, d), the last frame
    times            (F,), forward time t of each frame
    seed             the seed, drawn if none was given
    first_passage    (N,), where walls absorb
    observables      results by name, each with times and n: of Moments mean, cov, stderr, variance,
                     skewness, kurtosis; of Histogram counts, edges, density; of Quantiles values
                     and stderr; of Mean mean and stderr; of FirstPassage survival and mean
    non_finite       coordinates that ended infinite or NaN, as the frames hold them
    seconds          wall time without compilation
    compile_seconds  wall time of compiling or loading kernels
    path             the file, None in memory
    toml             the specification as text
    """

    def __init__(
        self,
        frames: Any,
        times: NDArray[np.float64],
        seed: int,
        toml: str | None,
        specification: Specification | None = None,
        seconds: float = math.nan,
        compile_seconds: float = math.nan,
        non_finite: int = 0,
        path: Path | None = None,
        kernels: Mapping[str, Any] | None = None,
        trust: bool = False,
        observables: Mapping[str, Any] | None = None,
        first_passage: NDArray[Any] | None = None,
    ) -> None:
        self.frames = frames
        self.times = times
        self.seed = seed
        self.seconds = seconds
        self.compile_seconds = compile_seconds
        self.non_finite = non_finite
        self.path = path
        self._observables = observables
        self._first_passage = first_passage
        self._specification, self._toml = specification, toml
        self._kernels, self._trust = kernels, trust

    @cached_property
    def toml(self) -> str:
        """The specification as text."""
        if self._toml is None:
            from fastrev.engine.describe import to_toml

            return to_toml(self.specification).toml
        return self._toml

    @property
    def x(self) -> NDArray[Any]:
        """The last frame, (N, d).  Raises InputError where no frames are kept."""
        if len(self.times) == 0:
            raise InputError("this run keeps no frames (frames = 0), only observables")
        return np.asarray(self.frames[-1])

    @property
    def observables(self) -> Mapping[str, Any]:
        """Results by name; of a file, over the shards committed by now."""
        if self._observables is not None:
            return self._observables
        from fastrev.engine.observed import read_observables

        assert self.path is not None
        return read_observables(self.path, self.toml)

    @property
    def first_passage(self) -> NDArray[Any]:
        """(N,) the forward time at which a wall absorbed each particle kept; infinite for never.

        Raises InputError where the run has no absorbing boundary.
        """
        found = self._first_passage
        if found is None and self.path is not None:
            from fastrev.store.reader import read_passages

            found = read_passages(self.path)
        if found is None:
            raise InputError("this run has no absorbing boundary: boundary=Absorb(low, high)")
        return found

    @property
    def n(self) -> int:
        """Particles kept (in a file: of the committed shards)."""
        return int(self.frames.shape[1])

    @property
    def dim(self) -> int:
        """Coordinates."""
        return int(self.frames.shape[2])

    @cached_property
    def specification(self) -> Specification:
        """What was run.  Raises InputError where it holds a function that a file only records."""
        if self._specification is not None:
            return self._specification
        from fastrev.engine.config import stored_specification
        from fastrev.store.reader import read_header

        assert self.path is not None
        arrays = read_header(self.path).arrays
        return stored_specification(self.toml, arrays, self._kernels, self._trust)

    @property
    def known_specification(self) -> Specification | None:
        """The specification, None where it holds functions that were not given."""
        try:
            return self.specification
        except InputError:
            return None

    def adopt(self, spec: Specification, compile_seconds: float, seconds: float = 0.0) -> "Run":
        """This run with what the process that ran it knows beyond the file."""
        self._specification, self.compile_seconds = spec, compile_seconds
        self.seconds = seconds or self.seconds
        return self

    def loaded(self) -> "Run":
        """This run of a file as one in memory."""
        passages = self.first_passage if self.specification.absorbing else None
        return Run(
            np.asarray(self.frames[:]),
            self.times,
            self.seed,
            self.toml,
            self.specification,
            self.seconds,
            self.compile_seconds,
            self.non_finite,
            observables=self.observables,
            first_passage=None if passages is None else np.asarray(passages),
        )

    @property
    def particles(self) -> int:
        """Particles run, kept or not (in a file: of the committed shards)."""
        values = summary.values_of(self)
        if self.path is None:
            return int(values["particles"])
        sizes = [s.count for s in shards(values["n"], values["shard_size"], values["of"])]
        return int(np.array(sizes)[self.frames.committed()].sum())

    @property
    def throughput(self) -> float:
        """Particle-steps per second, compile time excluded."""
        return self.particles * self._steps / self.seconds if self.seconds > 0 else math.nan

    @property
    def _steps(self) -> int:
        return int(summary.values_of(self)["steps"])

    def trace(self, ids: int | Iterable[int]) -> NDArray[Any]:
        """The paths of some particles at every step, (S+1, len(ids), d), computed anew.

        Equal to the stored frames, bit for bit, wherever a frame was kept.
        Raises InputError for an id outside the run, and where a file's frames are those of another
        version of fastrev, whose paths are not these.
        """
        from fastrev.engine.prepare import build

        spec = self.specification
        own = isinstance(ids, np.ndarray) or not isinstance(ids, Iterable)
        listed: Any = ids if own else list(ids)  # type: ignore[arg-type]
        wanted = np.atleast_1d(np.asarray(listed))
        if wanted.size == 0:
            wanted = wanted.astype(np.int64)
        if wanted.ndim != 1 or wanted.dtype.kind not in "iu":
            raise InputError(f"ids must be whole numbers, got {ids!r}")
        outside = wanted[(wanted < 0) | (wanted >= spec.n)]
        if outside.size:
            raise InputError(f"ids must lie between 0 and {spec.n - 1}, got {int(outside[0])}")
        # a path is kept as it is computed, whatever the file rounds to
        program = build(replace(spec, storage=spec.dtype))
        paths = np.empty((spec.grid.steps + 1, len(wanted), spec.dim), spec.dtype)
        for k, particle in enumerate(wanted):
            paths[:, k] = program.run_path(int(particle))
        if self.path is not None and not self._holds(paths, wanted):
            from fastrev.engine.files import check_same
            from fastrev.store.reader import read_header

            check_same(read_header(self.path), build(spec))  # else rounded when it was repacked
        return paths

    def _holds(self, paths: NDArray[Any], particles: NDArray[Any]) -> bool:
        """Whether frames of these particles, where there are any, are of these paths."""
        spec, n = self.specification, self.n
        steps, first = list(spec.frame_steps), spec.row_of(spec.span[0])
        for k, particle in enumerate(particles.tolist()):
            row, after = (spec.row_of(p) - first for p in (particle, particle + 1))
            if 0 <= row < after <= n:
                with np.errstate(over="ignore"):
                    path = paths[steps, k].astype(self.frames.dtype)
                if not np.array_equal(path, self.frames[:, row], equal_nan=True):
                    return False
        return True

    def compare(self, exact: Any = "exact", particles: int | None = None) -> Any:
        """How far the frames lie from a law, beside what noise alone would put them.

        exact      "exact": the law in closed form; another run, at the times of both; a function
                   t -> distribution; or what `analysis.fokker_planck.solve` gives
        particles  at most so many of each frame, the first; 1,000,000

        Returns rows (t, coordinate, n, distance), of each coordinate at each time; a distance has
        ks and ks_p (Kolmogorov-Smirnov), w1 (Wasserstein-1) and energy, w1_floor and energy_floor
        that noise alone gives, and equal: w1 within three times its floor and ks_p above 1e-4.
        Against an exact law it holds the scheme's own error, of order |h|.  Raises InputError.
        """
        from fastrev.analysis import comparison

        return comparison.compare(self, exact, particles or comparison.MOST)

    @property
    def ids(self) -> NDArray[np.int64]:
        """The particle of each row, (n,)."""
        spec = self.specification
        first = spec.row_of(spec.span[0])
        return np.asarray(spec.keep[first : first + self.n], dtype=np.int64)

    def to_xarray(self) -> Any:
        """The frames as an xarray.Dataset `x` (time, particle, coordinate).

        A file's frames stay on disk until they are used.  Needs the extra `xarray`.
        """
        try:
            import xarray
        except ImportError:
            raise InputError("to_xarray needs xarray: pip install 'fastrev[xarray]'") from None
        frames = self.frames
        mapped = getattr(frames, "mapped", lambda: frames)()
        values = np.asarray(frames) if mapped is None else mapped
        return xarray.Dataset(
            {"x": (("time", "particle", "coordinate"), values)},
            coords={"time": ("time", self.times, {"long_name": "forward time t"})},
            attrs={"seed": str(self.seed), "specification": self.toml},
        )

    def __repr__(self) -> str:
        rows = [f"  {label:<11}{text}" for label, text in summary.lines_of(self).items()]
        return "\n".join(["Run", *rows])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{label}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for label, text in summary.lines_of(self).items()
        )
        return f"<table>{rows}</table>"


def open_run(
    path: str | Path, kernels: Mapping[str, Any] | None = None, trust: bool = False
) -> Run:
    """A run from its file, lazily; works while the run is still going.

    kernels, trust   where the file records a user's own functions and `trace` is
                     wanted: see `resume`; nothing from a file runs otherwise

    Raises StoreError where the file is not a run's.
    """
    from fastrev.store.reader import FileFrames, read_header, read_progress

    header, progress = read_header(path, arrays=False), read_progress(path)
    return Run(
        frames=FileFrames(path),
        times=header.times,
        seed=header.seed,
        toml=header.specification,
        seconds=progress.seconds,
        non_finite=progress.non_finite,
        path=Path(path),
        kernels=kernels,
        trust=trust,
    )
