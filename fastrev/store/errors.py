"""What goes wrong with files."""


class StoreError(ValueError):
    """A file that cannot be made, or is not what it should be."""
