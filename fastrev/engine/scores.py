"""The `[score]` table of a configuration or a file, as a score.

kind = "exact"       p0, a law: the score of the process started there
kind = "empirical"   points, a file of them: exact too
kind = "grid"        run, a forward run's file, with bandwidth, points, interpolation; or
                     file, an .npz of times, x, values, and y in 2-D
kind = "neural"      path, a network's file
kind = "module:function"    your own function (x, t, p), with params, dim, tile; with
                     batched = true, of blocks (x (B, d), t)
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from fastrev.engine.functions import Resolved
from fastrev.engine.grid_score import GridScore
from fastrev.engine.objects import DISTRIBUTIONS, build_object
from fastrev.engine.options import checked
from fastrev.model import grid
from fastrev.model.batched import BatchedScore
from fastrev.model.check import InputError
from fastrev.model.distributions import Empirical
from fastrev.model.network import NeuralScore
from fastrev.model.points import read_npz
from fastrev.model.score import Score

_KINDS = "'exact', 'empirical', 'grid', 'neural' or \"module:function\""


class Scored(NamedTuple):
    """A score and, where it is exact, the law p0 that it belongs to."""

    score: Any
    p0: Any = None


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Exact(_Table):
    p0: Any


class _Points(_Table):
    points: str


class _Grid(_Table):
    run: str | None = None
    file: str | None = None
    bandwidth: float | None = None
    points: int | None = Field(default=None, ge=16)
    interpolation: str = "linear"


class _Network(_Table):
    path: str | None = None
    header: str | None = None
    sha256: str | None = None


def build_score(table: Any, forward: Any, arrays: Mapping[str, NDArray[Any]]) -> Scored:
    """The score that a table describes.  Raises InputError."""
    if table is None:
        raise InputError("the table [score] is missing: a reverse process needs a score")
    kind = table.get("kind")
    options = {name: value for name, value in table.items() if name != "kind"}
    if isinstance(kind, Resolved):
        return Scored(_own_function(kind, options))
    if kind in ("Score", "GridScore", "BatchedScore"):  # as files record them
        kinds = {"Score": Score, "GridScore": grid.GridScore, "BatchedScore": BatchedScore}
        return Scored(build_object(table, "score", kinds, arrays))
    if kind == "neural":
        return Scored(_network(checked(_Network, options, "score."), arrays))
    if kind == "grid":
        return Scored(_grid(checked(_Grid, options, "score.")))
    if kind not in ("exact", "empirical"):
        raise InputError(f"score.kind must be {_KINDS}, got {kind!r}")
    if not hasattr(forward, "score"):
        raise InputError(f"score.kind = {kind!r} is not known for {type(forward).__name__}")
    if kind == "empirical":
        p0: Any = Empirical(checked(_Points, options, "score.").points)
    else:
        if "p0" not in table:
            raise InputError("score.p0 is missing: the law at t = 0 that the score belongs to")
        checked(_Exact, options, "score.")
        p0 = build_object(table["p0"], "score.p0", DISTRIBUTIONS, arrays)
    return Scored(forward.score(p0), p0)


def _own_function(kind: Resolved, options: dict[str, Any]) -> Any:
    """Your own function, of a coordinate, a particle, a tile or a block."""
    if options.pop("batched", False):
        return build_object(
            {"kind": "BatchedScore", "function": kind} | options,
            "score",
            {"BatchedScore": BatchedScore},
            {},
        )
    return build_object({"kind": "Score", "kernel": kind} | options, "score", {"Score": Score}, {})


def _network(table: _Network, arrays: Mapping[str, NDArray[Any]]) -> NeuralScore:
    """A network from its file, or from the arrays that a run's file keeps; it must be the same."""
    if table.path is None and table.header is None:
        raise InputError("score: kind 'neural' needs a path, the network's file")
    if table.path is not None and (table.header is None or Path(table.path).exists()):
        network = NeuralScore.load(table.path)
    else:
        prefix = "score."
        own = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        network = NeuralScore.from_arrays(str(table.header), own, "the file's network")
    if table.sha256 is not None and network.sha256 != table.sha256:
        raise InputError(
            f"score: {table.path or 'the network'} is not the network that this run began with "
            f"(its hash is {network.sha256[:12]}..., the file records {table.sha256[:12]}...)"
        )
    return network


def _grid(table: _Grid) -> grid.GridScore:
    """A score from a forward run, or from an .npz of its own arrays."""
    if (table.run is None) == (table.file is None):
        raise InputError(
            "score: kind 'grid' needs run, a forward run's file, or file, an .npz of times, x and "
            "values"
        )
    if table.run is not None:
        return GridScore.from_run(table.run, table.bandwidth, table.points, table.interpolation)
    if table.bandwidth is not None or table.points is not None:
        raise InputError("score: bandwidth and points belong to run, not to file")
    path = Path(str(table.file))
    try:
        arrays = read_npz(path)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"score.file: {path} cannot be read as .npz: {error}") from None
    try:
        return grid.GridScore(**arrays, interpolation=table.interpolation)
    except TypeError:
        raise InputError(
            f"score.file: {path} must hold times, x, values, and y in 2-D; got {sorted(arrays)}"
        ) from None
