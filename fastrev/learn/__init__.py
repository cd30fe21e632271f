"""Scores from data: networks and training (torch is loaded on use: the extra `learn`)."""

from typing import Any

from fastrev.learn.training import TrainOptions, train

__all__ = ["ScoreNetwork", "TrainOptions", "train"]


def __getattr__(name: str) -> Any:
    """The torch module, without loading torch before it is asked for."""
    if name == "ScoreNetwork":
        from fastrev.learn.network import ScoreNetwork

        return ScoreNetwork
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
