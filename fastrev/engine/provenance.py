"""Where a result came from: versions, machine, user."""

import functools
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata


def provenance() -> dict[str, str]:
    """Text for the file's attributes, by name."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "processor": platform.processor() or platform.machine(),
        "system": platform.platform(),
        "command": " ".join(sys.argv),
        "user": os.environ.get("USER", "unknown"),
        "version": _version("fastrev"),
        "python": platform.python_version(),
        "versions": " ".join(f"{name}={_version(name)}" for name in _PACKAGES),
    }


_PACKAGES = ("fastrev", "numpy", "numba", "llvmlite", "h5py")


@functools.cache
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"
