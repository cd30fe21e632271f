"""A score as a network: layers, how time enters, and what its output means.

    h_0 = z,   h_i = act(W_i h_(i-1) + V_i phi(t) + b_i),   F = last layer

    form "score"      s = F, with z = x
    form "noise"      s = -F/sqrt(v(t)), with z = x: the network predicts the noise
    form "gaussian"   the score of a Gaussian, or of several, which the network corrects

In the last, y = U^T (x - m(t)) for an orthogonal basis U, and

    z = y/typical(t),   s = U (-y/std(t)^2 + gain(t) F)

For a process with Gaussian transitions N(a x_0 + b, v) and data of mean mu and standard
deviations sigma along the columns of U, m = a mu + b, std^2 = a^2 sigma^2 + v, typical is rms(std),
the root mean square over the columns, and

    gain = c^2/sqrt(v),   c = a rms(sigma)/rms(std)

Data that form clusters are better begun from a mixture of Gaussians, of centres mu + U c_k, weights
w_k and the same sigma: then -y/std^2 is (a sum_k p_k c_k - y)/std^2 with the probabilities
p_k ~ w_k N(y; a c_k, std^2), and typical and c are of the whole mixture.

The first c makes what there is to learn of size one at low noise (Karras et al. 2022,
arXiv:2206.00364, eq. 7 and table 1); with the second the network fades where noise has made the law
Gaussian.  Where transitions are not Gaussian, m and std come as a table over t, and gain = 1/std.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastrev.model import check
from fastrev.model.check import Array, InputError
from fastrev.model.clock import Clock
from fastrev.model.kernel import Kernel
from fastrev.model.network_layers import Layer, Mixture, Spread, checked_layers
from fastrev.model.process import GAUSSIAN

ACTIVATIONS = ("silu", "tanh", "relu", "gelu", "softplus")
FORMS = ("gaussian", "noise", "score")


@dataclass(frozen=True, eq=False)
class NeuralScore:
    """A trained score, run inside the kernel.  Raises InputError where shapes do not fit.

    layers      each a `Layer`, or a pair (weight, bias) or triple (weight, bias, time)
    activation  between layers: "silu", "tanh", "relu", "gelu" or "softplus"
    form        what the output means: "gaussian", "noise" or "score"
    clock       the features of time that the layers' third weights take
    process     with Gaussian transitions: the one that it was trained for
    mean, std   of the data for form "gaussian" with a process: (d,), and a number or (d,)
    basis       (d, d), orthogonal: std are along its columns; None along the coordinates
    mixture     centres of the data about their mean, along the basis, where `std` is within them
    spread      mean and standard deviation of p_t by time, for form "gaussian" without
    """

    layers: Sequence[Any]
    activation: str = "silu"
    form: str = "score"
    clock: Clock = field(default_factory=Clock)
    process: Any = None
    mean: Any = None
    std: Any = None
    spread: Spread | None = None
    basis: Any = None
    mixture: Mixture | None = None
    path: Path | None = None

    def __post_init__(self) -> None:
        check.one_of("NeuralScore.activation:", self.activation, ACTIVATIONS)
        check.one_of("NeuralScore.form:", self.form, FORMS)
        object.__setattr__(self, "layers", checked_layers(self.layers, max(1, self.clock.count)))
        gaussian = isinstance(self.process, tuple(GAUSSIAN.values()))
        if not gaussian and (self.form == "noise" or self.clock.kind == "log-snr"):
            raise InputError(
                f"NeuralScore of form {self.form!r} with a clock of {self.clock.kind!r} needs the "
                f"process that it was trained for, one with Gaussian transitions; "
                f"got {self.process!r}"
            )
        if self.form == "gaussian":
            self._check_spread(gaussian)
        for name in ("mean", "std", "spread", "basis", "mixture"):
            if self.form != "gaussian" and getattr(self, name) is not None:
                raise InputError(
                    f"NeuralScore.{name} belongs to form 'gaussian', got form {self.form!r}"
                )

    def _check_spread(self, gaussian: bool) -> None:
        if gaussian and self.mean is not None and self.std is not None:
            mean = check.finite_array("NeuralScore.mean", self.mean, ndim=(1,))
            std = check.finite_array("NeuralScore.std", self.std, ndim=(0, 1))
            if std.min() < 0.0 or std.max() == 0.0 or std.shape not in ((), mean.shape):
                raise InputError(
                    f"NeuralScore.std must be positive, a number or of shape {mean.shape}, "
                    f"got {self.std!r}"
                )
            object.__setattr__(self, "mean", mean)
            object.__setattr__(self, "std", np.broadcast_to(std, mean.shape))
            shape = mean.shape
        elif self.spread is not None:
            spread = Spread(
                check.finite_array("NeuralScore.spread.times", self.spread.times, ndim=(1,)),
                check.finite_array("NeuralScore.spread.means", self.spread.means, ndim=(2,)),
                check.positive_array("NeuralScore.spread.stds", self.spread.stds, ndim=(1,)),
            )
            count = len(spread.times)
            if np.any(np.diff(spread.times) <= 0) or {count} != {len(a) for a in spread}:
                raise InputError(
                    "NeuralScore.spread must have increasing times, and a mean and a standard "
                    f"deviation at each, got {count} times, {len(spread.means)} and "
                    f"{len(spread.stds)}"
                )
            object.__setattr__(self, "spread", spread)
            shape = spread.means.shape[1:]
        else:
            raise InputError(
                "NeuralScore of form 'gaussian' needs mean and std of the data with a process of "
                "Gaussian transitions, or else spread"
            )
        if self.basis is not None:
            basis = check.finite_array("NeuralScore.basis", self.basis, ndim=(2,))
            eye = np.eye(self.dim)
            if basis.shape != eye.shape or not np.allclose(basis.T @ basis, eye, atol=1e-5):
                raise InputError(
                    f"NeuralScore.basis must be orthogonal, of shape {eye.shape}, "
                    f"got shape {basis.shape}"
                )
            object.__setattr__(self, "basis", basis)
        if self.mixture is not None:
            self._check_mixture()
        if shape != (self.dim,):
            raise InputError(f"NeuralScore: the mean must have shape ({self.dim},), got {shape}")

    def _check_mixture(self) -> None:
        if self.mean is None:
            raise InputError("NeuralScore.mixture needs mean and std of the data, and a process")
        weights, centres = self.mixture or ((), ())
        name = "NeuralScore.mixture"
        weights = check.positive_array(f"{name}.weights", weights, ndim=(1,))
        centres = check.finite_array(f"{name}.centres", centres, ndim=(2,))
        if centres.shape != (len(weights), self.dim) or abs(weights.sum() - 1.0) > 1e-6:
            raise InputError(
                f"{name} must have K weights that sum to 1 and centres (K, {self.dim}), got "
                f"{weights.shape} that sum to {weights.sum():.6g}, and {centres.shape}"
            )
        object.__setattr__(self, "mixture", Mixture(weights, centres))

    @property
    def dim(self) -> int:
        """Coordinates."""
        return int(self.layers[0].weight.shape[1])

    def __repr__(self) -> str:
        sizes = " x ".join(str(len(layer.bias)) for layer in self.layers[:-1])
        return f"NeuralScore({self.dim} -> {sizes} -> {self.dim}, {self.activation}, {self.form!r})"

    def as_kernel(self, dim: int) -> Kernel:
        """The tile kernel; time's share of each layer is a table by step."""
        from fastrev.model.network_kernel import kernel_of

        if dim != self.dim:
            raise InputError(f"dim must be {self.dim}, as the network has, got {dim}")
        return kernel_of(self)

    @property
    def whole_variance(self) -> Array:
        """Of the data along the basis, (d,): within centres, and among them."""
        among = 0.0
        if self.mixture is not None:
            among = (self.mixture.weights[:, None] * self.mixture.centres**2).sum(axis=0)
        return np.asarray(self.std**2 + among)

    def header(self) -> str:
        """All but the arrays, as JSON."""
        values: dict[str, Any] = {
            "format": "fastrev network 1",
            "activation": self.activation,
            "form": self.form,
            "clock": asdict(self.clock),
        }
        if self.process is not None:
            values["process"] = {"kind": type(self.process).__name__} | asdict(self.process)
        return json.dumps(values, sort_keys=True)

    def arrays(self) -> dict[str, Array]:
        """The arrays by name."""
        named: dict[str, Array] = {}
        for k, layer in enumerate(self.layers):
            named |= {f"layers.{k}.{n}": v for n, v in layer._asdict().items() if v is not None}
        if self.form == "gaussian" and self.mean is not None:
            named |= {"mean": self.mean, "std": self.std}
        if self.form == "gaussian" and self.basis is not None:
            named["basis"] = self.basis
        if self.mixture is not None:
            named |= {f"mixture.{n}": v for n, v in self.mixture._asdict().items()}
        if self.spread is not None:
            named |= {f"spread.{n}": v for n, v in self.spread._asdict().items()}
        return named

    @property
    def sha256(self) -> str:
        """A hash of all that the score depends on, whatever the kind of file it came from."""
        digest = hashlib.sha256(self.header().encode())
        for name, array in sorted(self.arrays().items()):
            digest.update(repr((name, array.shape)).encode())
            digest.update(np.ascontiguousarray(array, np.float64).tobytes())
        return digest.hexdigest()

    @classmethod
    def from_arrays(cls, header: str, arrays: Mapping[str, Any], where: str) -> "NeuralScore":
        """The network of a header and its arrays; where they are from is for errors.

        Raises InputError.
        """
        try:
            values = json.loads(header)
            if values.pop("format") != "fastrev network 1":
                raise KeyError("format")
            values["clock"] = Clock(**values["clock"])
            if "process" in values:
                forward = dict(values["process"])
                values["process"] = GAUSSIAN[forward.pop("kind")](**forward)
            names = sorted({int(n.split(".")[1]) for n in arrays if n.startswith("layers.")})
            values["layers"] = [
                [arrays.get(f"layers.{k}.{part}") for part in Layer._fields] for k in names
            ]
            if "spread.times" in arrays:
                values["spread"] = Spread(*(arrays[f"spread.{n}"] for n in Spread._fields))
            if "mixture.weights" in arrays:
                values["mixture"] = Mixture(*(arrays[f"mixture.{n}"] for n in Mixture._fields))
            law: Any = {name: arrays.get(name) for name in ("mean", "std", "basis")}
            return cls(**values, **law)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(f"{where} does not hold a network of fastrev: {error!r}") from None

    @classmethod
    def load(cls, path: str | Path) -> "NeuralScore":
        """A network from an .npz or .safetensors file; nothing in it is run.

        Raises InputError.
        """
        from fastrev.model.network_file import read_network

        header, arrays = read_network(path)
        return replace(cls.from_arrays(header, arrays, str(path)), path=Path(path).resolve())

    def save(self, path: str | Path) -> Path:
        """Write an .npz or .safetensors file, by its name.  Raises InputError."""
        from fastrev.model.network_file import write_network

        return write_network(path, self.header(), self.arrays())

    @classmethod
    def from_torch(cls, module: Any, **options: Any) -> "NeuralScore":
        """The network of a torch module: `learn.ScoreNetwork`, or Sequential of Linear layers.

        A Sequential of Linear(d, h), activation, ..., Linear(h, d), or with Linear(d + 1, h)
        first, where t is the last input; `options` are those of the class, such as
        form="noise", process=VP().  Raises InputError.
        """
        from fastrev.model.network_torch import layers_of

        if hasattr(module, "neural_score"):
            return module.neural_score()  # type: ignore[no-any-return]
        layers, activation = layers_of(module)
        return cls(layers, activation, **options)
