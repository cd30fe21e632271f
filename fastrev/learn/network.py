"""The network that `train` fits, as a torch module."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from fastrev.model.clock import Clock
from fastrev.model.network import NeuralScore

_ACTIVATIONS = {
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
}


class ScoreNetwork(nn.Module):  # type: ignore[misc]
    """F(z, phi): layers of `hidden` units, to each of which the features of time are added.

        h_i = act(W_i h_(i-1) + V_i phi + b_i),   F = W_L h_(L-1) + b_L

    options   of `NeuralScore`: form, process, mean, std, spread
    """

    def __init__(
        self, dim: int, hidden: Sequence[int], clock: Clock, activation: str, **options: Any
    ) -> None:
        super().__init__()
        sizes = [dim, *hidden]
        self.layers = nn.ModuleList(
            nn.Linear(a, b) for a, b in zip(sizes, [*hidden, dim], strict=True)
        )
        self.times = nn.ModuleList(nn.Linear(max(1, clock.count), b, bias=False) for b in hidden)
        self.activation, self.clock, self.options = activation, clock, options
        self.act = _ACTIVATIONS[activation]()
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, z: Any, phi: Any) -> Any:
        """F for z (B, d) and features (B, E)."""
        h = z
        for layer, time in zip(self.layers, self.times, strict=False):
            h = self.act(layer(h) + time(phi))
        return self.layers[-1](h)

    def neural_score(self) -> NeuralScore:
        """The score, for runs and files; see `NeuralScore.from_torch`."""
        with torch.no_grad():
            layers = [
                [layer.weight.double().numpy(), layer.bias.double().numpy()]
                + ([self.times[k].weight.double().numpy()] if k < len(self.times) else [])
                for k, layer in enumerate(self.layers)
            ]
        return NeuralScore(layers, self.activation, clock=self.clock, **self.options)
