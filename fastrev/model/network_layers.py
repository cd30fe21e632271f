"""What a network's score is made of: its layers, and what it is told of the law."""

from typing import Any, NamedTuple

from fastrev.model import check
from fastrev.model.check import Array, InputError


class Layer(NamedTuple):
    """weight (out, in), bias (out,), and the weight (out, E) of the features of time, or None."""

    weight: Array
    bias: Array
    time: Array | None = None


class Spread(NamedTuple):
    """Mean (K, d) and standard deviation (K,) of p_t at the times (K,)."""

    times: Array
    means: Array
    stds: Array


class Mixture(NamedTuple):
    """Weights (K,) that sum to one, and centres (K, d) about the mean, along the basis."""

    weights: Array
    centres: Array


def checked_layers(layers: Any, features: int) -> list[Layer]:
    """Layers whose shapes fit one another.  Raises InputError."""
    checked: list[Layer] = []
    for k, given in enumerate(layers):
        name = f"NeuralScore.layers[{k}]"
        if not isinstance(given, list | tuple) or not 2 <= len(given) <= 3:
            raise InputError(
                f"{name} must be (weight, bias) or (weight, bias, time), got {given!r}"
            )
        weight, bias, *rest = given
        weight = check.finite_array(f"{name}.weight", weight, ndim=(2,))
        bias = check.finite_array(f"{name}.bias", bias, ndim=(1,))
        time = None
        if rest and rest[0] is not None:
            time = check.finite_array(f"{name}.time", rest[0], ndim=(2,))
            if time.shape != (len(weight), features):
                raise InputError(
                    f"{name}.time must have shape ({len(weight)}, {features}), got {time.shape}"
                )
        if bias.shape != (len(weight),):
            raise InputError(f"{name}.bias must have shape ({len(weight)},), got {bias.shape}")
        if checked and weight.shape[1] != len(checked[-1].bias):
            raise InputError(
                f"{name}.weight must have {len(checked[-1].bias)} columns, as the layer before has "
                f"rows, got shape {weight.shape}"
            )
        checked.append(Layer(weight, bias, time))
    if not checked:
        raise InputError("NeuralScore.layers must not be empty")
    if len(checked[-1].bias) != checked[0].weight.shape[1]:
        raise InputError(
            f"NeuralScore: {checked[0].weight.shape[1]} inputs and {len(checked[-1].bias)} outputs "
            "differ; a score has as many as x has coordinates"
        )
    return checked
