"""The kernel of a network's score, and what of it varies by step."""

import functools
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastrev.model.check import Array, InputError
from fastrev.model.kernel import Kernel

if TYPE_CHECKING:
    from fastrev.model.network import NeuralScore

_NEVER = -1e30
"""The logit of a centre that is none."""


class _Params(NamedTuple):
    """Constants of `kernels.scores.network`."""

    sizes: Array
    weights: Array


class _Turned(NamedTuple):
    """The same with a basis."""

    sizes: Array
    weights: Array
    turn: Array
    back: Array
    nothing: Array


class _Mixed(NamedTuple):
    """The same with centres: rows and columns of them."""

    sizes: Array
    weights: Array
    turn: Array
    back: Array
    nothing: Array
    rows: Array
    columns: Array


def kernel_of(network: "NeuralScore") -> Kernel:
    """The tile kernel; time's share of each layer is a table by step."""
    from fastrev.kernels.matmul import ROWS, packed
    from fastrev.kernels.scores.network import NETWORKS

    sizes = np.array([network.dim, *(len(layer.bias) for layer in network.layers)], np.float64)
    weights = np.concatenate([packed(layer.weight).ravel() for layer in network.layers])
    params: Any = _Params(sizes, weights)
    if network.basis is not None or network.mixture is not None:
        basis = np.eye(network.dim) if network.basis is None else network.basis
        nothing = np.zeros(network.dim + ROWS)
        turned = (sizes, weights, packed(basis.T), packed(basis), nothing)
        params = _Turned(*turned)
        if network.mixture is not None:
            rows, columns = packed(network.mixture.centres), packed(network.mixture.centres.T)
            params = _Mixed(*turned, rows, columns)
    inner = NETWORKS[network.activation, type(params) is not _Params, network.mixture is not None]
    return Kernel(inner, params, functools.partial(_schedule, network), shape="tile")


def _schedule(network: "NeuralScore", times: Array) -> Mapping[str, Array]:
    from fastrev.kernels.matmul import ROWS

    _check_times(network, times)
    features = network.clock.features(network.process, times)
    columns = []
    for layer in network.layers:
        count = len(layer.bias)
        bias = np.zeros((len(times), -(-count // ROWS) * ROWS))
        bias[:, :count] = layer.bias
        if layer.time is not None:  # sums by element: the same bits on every machine
            for e in range(features.shape[1]):
                bias[:, :count] += features[:, e : e + 1] * layer.time[:, e]
        columns.append(bias)
    return {"bias": np.concatenate(columns, axis=1)} | _standard(network, times)


def _check_times(network: "NeuralScore", times: Array) -> None:
    """Within those of the spread, else an InputError; of the clock, else a warning."""
    if network.form == "gaussian" and network.spread is not None and network.mean is None:
        first, last = (float(t) for t in network.spread.times[[0, -1]])
        slack = 1e-9 * max(1.0, abs(last))
        outside = (times < first - slack) | (times > last + slack)
        if outside.any():
            raise InputError(
                f"NeuralScore was trained for t from {first:g} to {last:g}; the run asks for the "
                f"score at t = {float(times[np.argmax(outside)]):g}"
            )
    outside = network.clock.outside(network.process, times)
    if outside.any():
        warnings.warn(
            f"NeuralScore was not trained for t = {float(times[np.argmax(outside)]):g}; what it "
            "corrects is taken from the nearest time that it was",
            RuntimeWarning,
            stacklevel=2,
        )


def _standard(network: "NeuralScore", times: Array) -> dict[str, Array]:
    """Centre, enter, skip and gain, each (S, d); of a mixture pull and heights too."""
    one, more = np.ones((len(times), network.dim)), {}
    if network.form == "score":
        return {"centre": 0 * one, "enter": one, "skip": 0 * one, "gain": one}
    if network.form == "noise":
        root = np.sqrt(network.process.transition(times).variance)[:, None]
        return {"centre": 0 * one, "enter": one, "skip": 0 * one, "gain": -one / root}
    if network.mean is not None:
        scale, shift, variance = (v[:, None] for v in network.process.transition(times))
        centre = scale * network.mean + shift
        whole = scale**2 * network.std**2 + variance
        own = scale**2 * np.mean(network.whole_variance)
        typical = own + variance
        gain = one * own / (typical * np.sqrt(variance))
        if network.mixture is not None:
            more = _heights(network, scale, whole)
    else:
        assert network.spread is not None
        centre = np.stack(
            [np.interp(times, network.spread.times, column) for column in network.spread.means.T], 1
        )
        std = np.interp(times, network.spread.times, network.spread.stds)[:, None] * one
        whole, typical, gain = std**2, std[:, :1] ** 2, 1.0 / std
    enter = one / np.sqrt(typical)
    return {"centre": centre, "enter": enter, "skip": 1.0 / whole, "gain": gain} | more


def _heights(network: "NeuralScore", scale: Array, whole: Array) -> dict[str, Array]:
    """pull, a/std^2, and what each centre's logit has beside it; none where a block ends."""
    from fastrev.kernels.matmul import ROWS

    assert network.mixture is not None
    weights, centres = network.mixture
    heights = np.full((len(scale), -(-len(weights) // ROWS) * ROWS), _NEVER)
    heights[:, : len(weights)] = np.log(weights)
    for j in range(network.dim):  # sums by element: the same bits on every machine
        heights[:, : len(weights)] -= 0.5 * scale**2 / whole[:, j : j + 1] * centres[:, j] ** 2
    return {"pull": scale / whole, "heights": heights}
