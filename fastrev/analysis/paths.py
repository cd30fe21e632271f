"""Paths of single particles, computed again and saved as a table or as H5MD-like HDF5."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastrev.engine.run import Run
from fastrev.model.check import InputError


def save_paths(
    run: Run, ids: Sequence[int], every: int, path: str | Path, overwrite: bool = False
) -> Path:
    """Write the paths of particles at every so many steps (and the last).

    .csv  columns particle, step, t, x0, x1, ...; all digits of the run's dtype
    .h5   datasets value (steps, ids, d), step, time, particle

    Raises InputError, StoreError.
    """
    target = Path(path)
    if target.suffix not in (".csv", ".h5"):
        raise InputError(f"out must end in .csv or .h5, got {str(target)!r}")
    from fastrev.store.h5md import check_target, made_beside

    check_target(target, 0, overwrite)
    values = run.trace(ids)
    steps = np.unique(np.append(np.arange(0, len(values), every), len(values) - 1))
    times = run.specification.grid.times[steps]
    write = _write_h5 if target.suffix == ".h5" else _write_csv
    with made_beside(target) as partial:
        write(partial, ids, steps, times, values)
    return target


def _write_h5(target: Path, ids: Sequence[int], steps: Any, times: Any, values: Any) -> None:
    import h5py

    with h5py.File(target, "w") as file:
        file["value"], file["step"] = values[steps], steps
        file["time"], file["particle"] = times, np.asarray(ids)


def _write_csv(target: Path, ids: Sequence[int], steps: Any, times: Any, values: Any) -> None:
    digits = 9 if values.dtype == np.float32 else 17
    with open(target, "w", encoding="ascii") as file:
        names = [f"x{j}" for j in range(values.shape[2])]
        file.write(",".join(["particle", "step", "t", *names]) + "\n")
        for column, particle in enumerate(ids):
            for step, t in zip(steps, times, strict=True):
                row = ",".join(f"{v:.{digits}g}" for v in values[step, column])
                file.write(f"{particle},{step},{t:.17g},{row}\n")
