"""A configuration for training: [process], [data] points, [train], grid and dim of [run]."""

from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from fastrev.engine.config import PROCESSES, check_tables, read_tables, with_imports
from fastrev.engine.objects import DISTRIBUTIONS, build_object
from fastrev.engine.options import Options, checked
from fastrev.model.check import InputError
from fastrev.model.timegrid import TimeGrid


class _Data(BaseModel):
    """The `[data]` table: points, a file of them, or p0, a law."""

    model_config = ConfigDict(extra="forbid")

    points: str | None = None
    p0: dict[str, Any] | None = None


class Training(NamedTuple):
    """What `train` is called with, and where the network goes."""

    process: Any
    data: Any
    time: TimeGrid | None
    dim: int | None
    checkpoint: str | None
    options: dict[str, Any]
    target: Path


def read_training(path: str | Path) -> Training:
    """A configuration file.  Raises InputError, which names the file and the field."""
    path = Path(path)
    try:
        tables = with_imports(read_tables(path))
        check_tables(tables, ("process", "data"))
        own = checked(_Data, tables["data"], "data.")
        if (own.points is None) == (own.p0 is None):
            raise InputError("data needs points, a file of them, or p0, a law; one of the two")
        data = own.points or build_object(own.p0, "data.p0", DISTRIBUTIONS, {})
        process = build_object(tables["process"], "process", PROCESSES, {})
        time = dim = None
        if "run" in tables:
            run = checked(Options, tables["run"], "run.")
            time, dim = run.time_grid(), run.dim
        options = dict(tables.get("train", {}))
        checkpoint = options.pop("checkpoint", None)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from None
    named = tables.get("score", {}).get("path")
    target = Path(named or f"{path.stem}.npz")
    return Training(process, data, time, dim, checkpoint, options, target)
