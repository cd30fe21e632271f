"""A run in parts, each a file of its own: for machines that share no disk.

Part k of m has the k-th m-th of the run's shards; it can be opened, resumed, compared like any
run.  `merge` makes of all parts the file that the whole run would have made.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from fastrev.engine.executors import by_value, each_done, functions_of, one_thread, this_process
from fastrev.engine.files import copied_rows, resume
from fastrev.engine.progress import Progress
from fastrev.engine.run import Run, open_run
from fastrev.engine.specification import Specification
from fastrev.model.check import InputError

if TYPE_CHECKING:
    from fastrev.store.h5md import Header


def parsed_part(text: str | None, parts: int | None = None) -> tuple[int, int] | None:
    """(3, 8) of "3/8", (1, 8) of 8 parts, None of neither.  Raises InputError."""
    if text is None:
        return (1, parts) if parts else None
    k, _, m = text.partition("/")
    if not (k.isdecimal() and m.isdecimal()):
        raise InputError(f"--part must be K/M, such as 3/8, got {text!r}")
    if parts:
        raise InputError("--part runs one part here, --parts all of them: give one of the two")
    return int(k), int(m)


def part_path(out: Path, k: int, m: int) -> Path:
    """run.h5 -> run.part2of8.h5."""
    return out.with_name(f"{out.stem}.part{k}of{m}{out.suffix}")


def run_parts(
    spec: Specification,
    out: Path,
    executor: Any = None,
    overwrite: bool = False,
    done: Callable[[Path], None] = lambda path: None,
) -> list[Path]:
    """Run all parts of the run that spec is one of, here one after the other, or each on one of
    the executor's workers.

    A part lies where its worker wrote it.  One that exists, of this very run, is gone on with.
    Raises InputError, StoreError, WorkerError.
    """
    count = spec.part[1]
    paths = {k: part_path(out, k, count) for k in range(1, count + 1)}
    if executor is None:
        for k, path in paths.items():
            _run_part(replace(spec, part=(k, count)), path, overwrite, None)
            done(path)
        return list(paths.values())
    same = (by_value(spec, spec), str(out.resolve()), overwrite, this_process())
    names = {k: f"part {k} of {count}" for k in paths}
    for k, _ in each_done(executor, _run_numbered, names, same):
        done(paths[k])
    return list(paths.values())


def _run_numbered(k: int, pickled: bytes, out: str, overwrite: bool, driver: str) -> int:
    """What a worker does: a part, of which it says how many particles it has."""
    import pickle

    one_thread(driver)
    spec = pickle.loads(pickled)
    spec = replace(spec, part=(k, spec.part[1]))
    return _run_part(spec, part_path(Path(out), *spec.part), overwrite, False).n


def _run_part(spec: Specification, path: Path, overwrite: bool, progress: bool | None) -> Run:
    from fastrev.engine.simulate import execute

    if path.exists() and _is_of(spec, path):
        return resume(path, functions_of(spec), progress=progress)
    return execute(spec, path, progress=progress, overwrite=overwrite)


def _is_of(spec: Specification, path: Path) -> bool:
    """Whether a file is of this very run."""
    from fastrev.engine.describe import to_toml
    from fastrev.store.errors import StoreError
    from fastrev.store.reader import read_header

    try:
        header = read_header(path)
    except StoreError:
        return False
    text = to_toml(spec)
    return header.specification == text.toml and _same_arrays(header.arrays, text.arrays)


def _same_arrays(some: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    return some.keys() == others.keys() and all(
        np.array_equal(array, others[name]) for name, array in some.items()
    )


def merge(
    parts: Iterable[str | Path],
    out: str | Path,
    overwrite: bool = False,
    progress: bool | None = None,
) -> Run:
    """Join the files of all parts of a run: byte for byte the frames of the whole run.

    Raises InputError where parts are missing, unfinished or of another run; StoreError.
    """
    from fastrev.store.h5md import create
    from fastrev.store.writer import Writer

    out = Path(out)
    headers = _sorted({Path(part): None for part in parts})
    if any(out.exists() and out.samefile(path) for path in headers):
        raise InputError(f"out must be another file than the parts, got {out}")
    whole = _whole(headers)
    offsets, to = create(out, whole, overwrite), 0
    with Progress(whole.shape[1], 1, progress) as bar, Writer(out, whole, offsets) as writer:
        for path, header in headers.items():
            for index in range(header.shard_count):
                writer.submit(copied_rows(path, index, to, writer.buffer(to)))
                bar.advance(int(whole.rows[to + 1] - whole.rows[to]))
                to += 1
    return open_run(out)


def _sorted(given: dict[Path, None]) -> dict[Path, "Header"]:
    """The headers of finished parts of one run, in order.  Raises InputError."""
    from fastrev.store.reader import read_header, read_progress

    found: dict[tuple[int, int], tuple[Path, Header]] = {}
    for path in given:
        header = read_header(path)
        part = tomllib.loads(header.specification)["run"].get("part")
        if part is None:
            raise InputError(f"merge: {path} is no part of a run, but a whole one")
        k, m = (int(v) for v in part)
        if (k, m) in found:
            raise InputError(f"merge: {path} and {found[k, m][0]} are both part {k} of {m}")
        missing = int((~read_progress(path).committed).sum())
        if missing:
            raise InputError(f"merge: {path} lacks {missing} of its shards; resume it first")
        found[k, m] = path, header
    counts = {m for _, m in found}
    if len(counts) != 1:
        raise InputError(f"merge needs the parts of one run, got parts of {sorted(counts) or None}")
    count = counts.pop()
    absent = [str(k) for k in range(1, count + 1) if (k, count) not in found]
    if absent:
        raise InputError(f"merge: of {count} parts there lack {', '.join(absent)}")
    return dict(found[k] for k in sorted(found))


def _whole(headers: dict[Path, "Header"]) -> "Header":
    """The header of the whole run.  Raises InputError where a part is of another one."""
    (first_path, first), *others = headers.items()
    text = _without_part(first)
    for path, header in others:
        same = _without_part(header) == text and _same_arrays(header.arrays, first.arrays)
        if not same or header.provenance.get("program") != first.provenance.get("program"):
            raise InputError(f"merge: {path} is a part of another run than {first_path}")
    sizes = np.concatenate([np.diff(header.rows) for header in headers.values()])
    return replace(
        first, rows=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), specification=text
    )


def _without_part(header: "Header") -> str:
    tables = tomllib.loads(header.specification)
    tables["run"].pop("part")
    return tomli_w.dumps(tables)
