"""How much memory a run may take."""

import os
from pathlib import Path

from fastrev.model.check import InputError


def available() -> int | None:
    """Bytes that can be had without swapping, None where the platform does not tell."""
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


def check(nbytes: int) -> None:
    """Refuse frames that do not fit.  Raises InputError."""
    room = available()
    if room is not None and nbytes > 0.9 * room:
        raise InputError(
            f"n x frames x dim needs {nbytes / 1e9:.1f} GB of memory and {room / 1e9:.1f} GB are "
            "available; keep fewer frames, or stream them to a file with out="
        )
