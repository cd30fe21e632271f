"""Weights out of a torch module (torch is the caller's; nothing here imports it)."""

from typing import Any

from fastrev.model.check import Array, InputError

_ACTIVATIONS = {
    "SiLU": "silu",
    "Tanh": "tanh",
    "ReLU": "relu",
    "GELU": "gelu",
    "Softplus": "softplus",
}
_WANTED = "Sequential(Linear, activation, ..., Linear)"


def layers_of(module: Any) -> tuple[list[tuple[Array, Array, Array | None]], str]:
    """Weight, bias and time weight of each layer, and the activation.  Raises InputError."""
    # of a module of one's own, children would tell nothing of how it joins them
    parts = list(module) if type(module).__name__ == "Sequential" else []
    kinds = [type(part).__name__ for part in parts]
    if len(parts) < 3 or len(parts) % 2 == 0 or set(kinds[::2]) != {"Linear"}:
        raise InputError(f"from_torch takes a {_WANTED}, got {kinds or module!r}")
    between = set(kinds[1::2])
    if len(between) != 1 or not between <= _ACTIVATIONS.keys():
        raise InputError(
            f"from_torch takes one activation of {', '.join(_ACTIVATIONS)}, got {sorted(between)}"
        )
    for part in parts[1::2]:
        if getattr(part, "approximate", "none") != "none":
            raise InputError("from_torch takes GELU(approximate='none')")
        if (getattr(part, "beta", 1), getattr(part, "threshold", 20)) != (1, 20):
            raise InputError(f"from_torch takes Softplus(beta=1, threshold=20), got {part}")
    layers: list[tuple[Array, Array, Array | None]] = []
    for part in parts[::2]:
        weight = _array(part.weight)
        bias = weight[:, 0] * 0.0 if part.bias is None else _array(part.bias)
        layers.append((weight, bias, None))
    first, last = layers[0][0], layers[-1][0]
    if first.shape[1] == len(last) + 1:  # t is the last input
        layers[0] = (first[:, :-1], layers[0][1], first[:, -1:])
    return layers, _ACTIVATIONS[between.pop()]


def _array(tensor: Any) -> Array:
    """A tensor's values in float64."""
    return tensor.detach().cpu().double().numpy()  # type: ignore[no-any-return]
