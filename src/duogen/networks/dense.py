"""Fully connected networks, for vectors (D,) and for images (C, H, W)."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils import parametrizations

from duogen.errors import UserError


def require_at_least(least: int, network: str, **sizes: int) -> None:
    """Raise `UserError` for the first named size of a network that is below `least`."""
    for name, size in sizes.items():
        if size < least:
            given, allowed = f"{network}: {name}={size}", f"whole numbers of at least {least}"
            raise UserError(given, allowed, f"set {name} to {least} or more")


def require_share(network: str, dropout: float) -> None:
    """Raise `UserError` for a share of dropped units outside [0, 1)."""
    if not 0 <= dropout < 1:
        raise UserError(f"{network}: dropout={dropout}", "0 or more, less than 1", "e.g. dropout=0.3, or 0.0 for none")


def leaky(dropout: float) -> nn.Module:
    """LeakyReLU(0.2), followed by dropout where some is asked for."""
    return nn.Sequential(nn.LeakyReLU(0.2), nn.Dropout(dropout)) if dropout else nn.LeakyReLU(0.2)


class MlpGenerator(nn.Module):
    """Maps noise to an example through `depth` hidden layers of `width` ReLU units.

    Images end in tanh and lie in [-1, 1]; vectors end in a linear layer and are unbounded. Depth 0 is one affine map.
    Raises `UserError` for a shape that is neither (D,) nor (C, H, W), and for sizes below their least.
    """

    def __init__(self, shape: Sequence[int], latent_dim: int, width: int, depth: int) -> None:
        super().__init__()
        _check("MlpGenerator", shape, width, depth)
        require_at_least(1, "MlpGenerator", latent_dim=latent_dim)
        self.layers = nn.Sequential(
            *_dense([latent_dim, *[width] * depth, math.prod(shape)], nn.ReLU),
            nn.Unflatten(1, tuple(shape)),
            *([nn.Tanh()] if len(shape) == 3 else []),
        )

    def forward(self, latent: Tensor) -> Tensor:
        """(N, latent_dim) to (N, C, H, W) in [-1, 1], or to (N, D)."""
        return self.layers(latent)


class MlpDiscriminator(nn.Module):
    """Maps an example to one logit through `depth` hidden layers of `width` LeakyReLU(0.2) units.

    With `spectral_norm` every linear layer is divided by its largest singular value, estimated by one power iteration
    per training forward (Miyato et al. 2018, eq. 8). Each hidden unit is dropped with probability `dropout`, in [0, 1)
    (Srivastava et al. 2014; Goodfellow et al. 2014 use it here). Depth 0 is one affine map.
    Raises `UserError` for a shape that is neither (D,) nor (C, H, W), and for sizes below their least.
    """

    def __init__(self, shape: Sequence[int], width: int, depth: int, spectral_norm: bool, dropout: float) -> None:
        super().__init__()
        _check("MlpDiscriminator", shape, width, depth)
        require_share("MlpDiscriminator", dropout)
        layers = _dense([math.prod(shape), *[width] * depth, 1], partial(leaky, dropout))
        self.layers = nn.Sequential(nn.Flatten(1), *layers, nn.Flatten(0))
        if spectral_norm:
            for layer in self.layers:
                if isinstance(layer, nn.Linear):
                    parametrizations.spectral_norm(layer)

    def forward(self, examples: Tensor) -> Tensor:
        """(N, C, H, W) or (N, D) to logits (N,)."""
        return self.layers(examples)


def _dense(sizes: Sequence[int], activation: Callable[[], nn.Module]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return layers[:-1]


def _check(network: str, shape: Sequence[int], width: int, depth: int) -> None:
    if len(shape) not in (1, 3) or min(shape) < 1:
        given, allowed = f"{network}: shape {tuple(shape)}", "(D,) or (C, H, W), every size at least 1"
        raise UserError(given, allowed, "give the shape of one example, without the batch")
    require_at_least(1, network, width=width)
    require_at_least(0, network, depth=depth)
