"""Is a file what it should be?  H5MD's rules, what this program adds, and checksums."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from fastrev.store.checksum import checksum
from fastrev.store.errors import StoreError
from fastrev.store.h5md import CHECKSUMS, OBSERVABLES, ROWS, SHARDS, VALUE
from fastrev.store.reader import open_file, shard_numbers, shard_passages


class Finding(NamedTuple):
    """One rule: level "error" (broken), "advice" (allowed, but some reader minds) or "ok"."""

    level: str
    rule: str
    detail: str


def damaged_shards(path: str | Path) -> list[int]:
    """Committed shards that do not match their checksum.  Reads the whole file."""
    with open_file(path) as file:
        value = file[VALUE]
        shards, sums = file[SHARDS][:], file[CHECKSUMS][:]
        bounds = file[ROWS][:].tolist()
        damaged = []
        for index in np.flatnonzero(shards).tolist():
            rows = _rows(value, bounds[index], bounds[index + 1])
            numbers, passages = shard_numbers(file, index), shard_passages(file, index)
            digest = checksum(index, rows, passages, numbers)
            if shards[index] != 1 or digest != int(sums[index]):
                damaged.append(index)
    return damaged


def _rows(value: h5py.Dataset, a: int, b: int) -> Any:
    """Rows a..b of every frame."""
    try:
        return value[:, a:b]
    except OSError as error:
        raise StoreError(f"{value.file.filename} is damaged or cut short: {error}") from None


def validate(path: str | Path, deep: bool = False) -> list[Finding]:
    """Every rule with its verdict; `deep` also reads all rows.  Raises StoreError."""
    with open_file(path) as file:
        findings = [*_h5md(file), *_own(file), *_mdanalysis(file, Path(path))]
    if deep:
        damaged = damaged_shards(path)
        detail = f"damaged: {', '.join(map(str, damaged))}" if damaged else "all match"
        findings.append(Finding("error" if damaged else "ok", "checksums of shards", detail))
    return findings


def _rule(good: bool, rule: str, detail: Any, level: str = "error") -> Finding:
    return Finding("ok" if good else level, rule, str(detail))


def _h5md(file: h5py.File) -> Iterator[Finding]:
    """H5MD 1.1, https://h5md.nongnu.org/h5md.html, section by section."""
    root = file.get("h5md")
    yield _rule(isinstance(root, h5py.Group), "/h5md is a group", root)
    if not isinstance(root, h5py.Group):
        return
    version = np.asarray(root.attrs.get("version", []))
    good = version.shape == (2,) and version.dtype.kind in "iu" and version[0] == 1
    yield _rule(good, "/h5md version is Integer[2], major 1", version.tolist())
    for group, names in (("author", ("name",)), ("creator", ("name", "version"))):
        for name in names:
            text = root[group].attrs.get(name) if group in root else None
            good = isinstance(text, bytes | np.bytes_ | str)
            yield _rule(good, f"/h5md/{group} has a string {name}", text)
    particles = file.get("particles")
    yield _rule(isinstance(particles, h5py.Group), "/particles is a group", particles)
    for name, group in (particles or {}).items():
        yield from _box(name, group)
        for element, node in group.items():
            if isinstance(node, h5py.Group) and "value" in node:
                yield from _element(f"/particles/{name}/{element}", node)
    for name, node in file.get("observables", {}).items():
        if isinstance(node, h5py.Group) and "value" in node:
            yield from _element(f"/observables/{name}", node)


def _box(name: str, group: h5py.Group) -> Iterator[Finding]:
    box = group.get("box")
    yield _rule(isinstance(box, h5py.Group), f"/particles/{name}/box is a group", box)
    if not isinstance(box, h5py.Group):
        return
    dimension = box.attrs.get("dimension")
    good = dimension is not None and np.ndim(dimension) == 0 and int(dimension) > 0
    yield _rule(good, f"/particles/{name}/box has a dimension", dimension)
    boundary = np.atleast_1d(box.attrs.get("boundary", np.array([], "S1")))
    allowed = {b"none", b"periodic", "none", "periodic"}
    good = good and boundary.shape == (int(dimension),) and set(boundary.tolist()) <= allowed
    yield _rule(bool(good), f"/particles/{name}/box boundary per dimension", boundary.tolist())
    if any(b in (b"periodic", "periodic") for b in boundary.tolist()):
        yield _rule("edges" in box, f"/particles/{name}/box has edges", "edges" in box)


def _element(name: str, node: h5py.Group) -> Iterator[Finding]:
    """A time-dependent element: value, step and time agree, and time increases."""
    frames = node["value"].shape[0]
    for axis in ("step", "time"):
        if axis not in node:
            yield _rule(axis == "time", f"{name} has {axis}", "missing")
            continue
        values = np.atleast_1d(node[axis][()])
        explicit = node[axis].shape != ()
        good = not explicit or len(values) == frames
        yield _rule(good, f"{name}/{axis} has one entry per frame", values.shape)
        if explicit:
            rising = bool(np.all(np.diff(values) > 0))
            yield _rule(rising, f"{name}/{axis} increases", values.tolist()[:4])
    if "step" in node:
        yield _rule(node["step"].dtype.kind in "iu", f"{name}/step is integer", node["step"].dtype)


def _own(file: h5py.File) -> Iterator[Finding]:
    """What resume and the reader rely on."""
    shards, value, bounds = file[SHARDS], file[VALUE], file[ROWS][:]
    wanted = len(bounds) - 1
    ordered = bool(np.all(np.diff(bounds) >= 0)) and bounds[-1] == value.shape[1]
    yield _rule(ordered, "/fastrev/rows divides the rows among the shards", bounds.shape)
    yield _rule(shards.shape == (wanted,), "/fastrev/shards has a byte per shard", shards.shape)
    marks = set(np.unique(shards[:]).tolist())
    yield _rule(marks <= {0, 1}, "/fastrev/shards holds 0 or 1", marks)
    done = int(np.count_nonzero(shards[:] == 1))
    yield _rule(done == wanted, "every shard is committed", f"{done} of {wanted}", "advice")
    end = (value.id.get_offset() or 0) + value.size * value.dtype.itemsize
    length = Path(file.filename).stat().st_size
    for name, node in file.get(OBSERVABLES, {}).items():
        shape = node["numbers"].shape
        good = shape[:2] == (wanted, len(node["times"]))
        yield _rule(good, f"/fastrev/observables/{name} has numbers per shard and time", shape)
    whole = value.chunks is not None or length >= end
    yield _rule(whole, "the file holds all its rows", f"{length:,} bytes, rows end at {end:,}")


def _mdanalysis(file: h5py.File, path: Path) -> Iterator[Finding]:
    """What MDAnalysis's H5MD reader asks for beyond the standard."""
    dim = file[VALUE].shape[2]
    yield _rule(dim == 3, "MDAnalysis reads three dimensions", f"dim {dim}", "advice")
    named = path.suffix == ".h5md"
    detail = path.suffix if named else f'{path.suffix}: pass format="H5MD"'
    yield _rule(named, "MDAnalysis knows the file by its name", detail, "advice")
