"""What goes wrong with files."""

from pathlib import Path


class StoreError(ValueError):
    """A file that cannot be made, or is not what it should be."""


def replaced(path: str | Path) -> StoreError:
    """The error of a run that finds another file in the place of its own."""
    return StoreError(f"{path} was replaced by another file while this run wrote it")
