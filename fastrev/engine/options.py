"""The plain values of a run, as keywords and configurations give them."""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from fastrev.engine import memory
from fastrev.model import check
from fastrev.model.check import InputError
from fastrev.model.timegrid import TimeGrid

Count = Annotated[int, Field(gt=0)]
_BYTES_PER_STEP = 200
"""Memory that a step of the grid and its coefficients take."""


class Every(BaseModel):
    """Frames at every so many steps, from the first on; the last step is kept too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every: Count


When = Annotated[int, Field(ge=2)] | Annotated[list[float], Field(min_length=1)] | Every
"""Some of the grid's times: a count, first and last included, a list, or a stride."""


class ObserveOptions(BaseModel):
    """What every observable may say of its times."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    times: When | None = None


class KeepIds(BaseModel):
    """Particles start, start + step, ... below stop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Annotated[int, Field(ge=0)] = 0
    stop: Count | None = None
    step: Count = 1


class Until(BaseModel):
    """The error at which a run stops: see `StandardError`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    observable: str
    target: Annotated[float, Field(gt=0)]
    relative: bool = False


class Options(BaseModel):
    """The plain values of a run: the `[run]` table of a configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n: Annotated[int, Field(gt=0, lt=2**63)] | None = None
    time: Annotated[list[float], Field(min_length=2)] = [0.0, 1.0]
    steps: Count = 1000
    grid: Literal["uniform", "power", "log", "array"] = "uniform"
    rho: Annotated[float, Field(gt=0)] = 7.0
    dim: Count | None = None
    seed: Annotated[int, Field(ge=0, lt=2**64)] | None = None
    dtype: Literal["float32", "float64"] = "float32"
    generator: Literal["philox", "ars"] = "philox"
    frames: When | Literal[0] = 2
    keep: Count | KeepIds | list[StrictInt] = 1
    storage: Literal["float16", "float32", "float64"] | None = None
    method: str | dict[str, Any] = "euler-maruyama"
    shard_size: Count | None = None
    until: Until | None = None
    part: Annotated[list[Count], Field(min_length=2, max_length=2)] | None = None

    def time_grid(self) -> TimeGrid:
        """The grid that time, steps, grid and rho describe."""
        if self.grid == "array":
            return TimeGrid(np.array(self.time))
        if len(self.time) != 2:
            raise InputError(
                f"time must be (t0, t1), got {len(self.time)} times; for a grid of your own "
                "use TimeGrid(times), or grid = 'array' in a configuration"
            )
        memory.check(self.steps * _BYTES_PER_STEP, "steps")
        t0, t1 = self.time
        if self.grid == "power":
            return TimeGrid.power(t0, t1, self.steps, self.rho)
        if self.grid == "log":
            return TimeGrid.log(t0, t1, self.steps)
        return TimeGrid.uniform(t0, t1, self.steps)


def checked(model: type[BaseModel], values: dict[str, Any], where: str = "") -> Any:
    """`model(**values)`, its complaint as one clear InputError."""
    try:
        return model(**values)
    except ValidationError as error:
        raise InputError(_one_line(model, error, where)) from None


def _one_line(model: type[BaseModel], error: ValidationError, where: str) -> str:
    """The first complaint: field, what is allowed, what came."""
    every = error.errors()
    unknown = (e for e in every if e["type"] == "extra_forbidden" and len(e["loc"]) == 1)
    first = next(unknown, every[0])
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        return f"{where}{name} is not known: {check.nearest(name, model.model_fields)}"
    wanted = [e["msg"] for e in every if e["loc"][0] == name]
    allowed = " or ".join(dict.fromkeys(w[0].lower() + w[1:] for w in wanted))
    return f"{where}{name}: {allowed}, got {first['input']!r}"
