"""Starting where another run ended: the last frame of its file, row by row."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrev.model.check import InputError

if TYPE_CHECKING:
    from fastrev.store.reader import FileFrames


@dataclass(frozen=True, eq=False)
class LastFrame:
    """Rows of a file's last frame, read as they are needed: memory does not grow with n.

    digest   hash of the file's specification and of its shards' checksums
    """

    path: Path
    digest: str
    frames: "FileFrames"

    @property
    def shape(self) -> tuple[int, int]:
        """(n, dim)."""
        return self.frames.shape[1], self.frames.shape[2]

    @property
    def dim(self) -> int:
        """Coordinates."""
        return self.shape[1]

    def rows(self, first: int, count: int, dtype: Any) -> NDArray[Any]:
        """Initial states of particles first .. first+count-1, (count, dim)."""
        return np.ascontiguousarray(self.frames[-1, first : first + count], dtype=dtype)


def last_frame(path: str | Path, digest: str | None = None) -> LastFrame:
    """The last frame of a finished run's file.

    Raises InputError where the file is none, shards are missing, or the content is not
    the one of `digest`.
    """
    from fastrev.store.errors import StoreError
    from fastrev.store.reader import FileFrames, content_digest, read_progress

    try:
        done = read_progress(path).committed
    except StoreError as error:
        raise InputError(f"x0 must be a distribution, an array or a run's file: {error}") from None
    if not done.all():
        raise InputError(
            f"x0: {path} is not finished: {int(done.sum())} of {len(done)} shards are committed; "
            "resume it first"
        )
    frames = FileFrames(path)
    if len(frames) == 0:
        raise InputError(f"x0: {path} keeps no frames (frames = 0), only observables")
    found = content_digest(path)
    if digest is not None and found != digest:
        raise InputError(f"x0: {path} is not the file that this run began from (its hash differs)")
    return LastFrame(Path(path).resolve(), found, frames)
