"""How much memory a run may take."""

import os
from pathlib import Path

from fastrev.model.check import InputError

_HARMLESS = 64 * 2**20
"""Bytes that are not worth a question."""


def available() -> int | None:
    """Bytes that can be had without swapping, None where the platform does not tell."""
    limits = [limit for limit in (_machine(), _cgroup()) if limit is not None]
    return min(limits, default=None)


def _cgroup(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What the control group still allows (cgroup v2)."""
    try:
        limit = int((root / "memory.max").read_text())
        return limit - int((root / "memory.current").read_text())
    except (OSError, ValueError):  # none, or "max"
        return None


def _machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


_FRAMES = "n x frames x dim"


def check(nbytes: int, what: str = _FRAMES) -> None:
    """Refuse what does not fit.  Raises InputError."""
    if nbytes < _HARMLESS:
        return
    room = available()
    if room is not None and nbytes > 0.9 * room:
        instead = ", or stream frames to a file with out=" if what == _FRAMES else ""
        raise InputError(
            f"{what} needs {nbytes / 1e9:.1f} GB of memory and {room / 1e9:.1f} GB are "
            f"available; ask for fewer{instead}"
        )
