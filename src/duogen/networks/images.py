"""Convolutional networks for square images (C, H, H)."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from duogen.errors import require_at_least
from duogen.networks.dense import leaky, require_share
from duogen.networks.discriminator import Discriminator
from duogen.networks.generator import INSTEAD, Generator
from duogen.networks.layers import MinibatchStd, constrain
from duogen.networks.normalization import Chain, batch_norm_2d
from duogen.networks.pyramid import doublings


class DcganGenerator(Generator):
    """Doubles a small feature map by strided transposed 4x4 convolutions until it is an image.

    The map starts at side H / 2**k with width * 2**(k - 1) channels, k = max(2, floor(log2(H / 4))); each doubling
    halves the channels, down to `width` next to the image. Batch norm and ReLU follow every layer but the last, which
    ends in tanh; where there are `classes`, batch norm is conditional. Weights start from N(0, 0.02), the gains of
    plain batch norm from N(1, 0.02), the second number a deviation.
    Raises `UserError` for a shape that k doublings cannot reach, and for sizes below 1.
    Source: Radford et al. 2016, section 3 and figure 1, with 4x4 kernels, which a stride of 2 covers evenly.
    """

    def __init__(self, shape: Sequence[int], latent_dim: int, width: int, classes: int | None) -> None:
        super().__init__()
        count = doublings("DcganGenerator", shape, INSTEAD)
        require_at_least(1, "DcganGenerator", latent_dim=latent_dim, width=width)
        channels, side, _ = shape
        widths = [width << level for level in reversed(range(count))]
        self.layers = Chain(
            [
                nn.Unflatten(1, (latent_dim, 1, 1)),
                nn.ConvTranspose2d(latent_dim, widths[0], side >> count, bias=False),
                batch_norm_2d(widths[0], classes),
                nn.ReLU(),
            ]
        )
        for inputs, outputs in pairwise(widths):
            up = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
            self.layers.extend([up, batch_norm_2d(outputs, classes), nn.ReLU()])
        self.layers.append(nn.ConvTranspose2d(width, channels, 4, 2, 1))
        self.layers.apply(_initialise)
        self.squash = nn.Tanh()

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, latent_dim), and labels (N,) where there are classes, to (N, C, H, H) in [-1, 1]."""
        return self.squash(self.layers(latent, labels))


class DcganDiscriminator(Discriminator):
    """Halves an image by strided 4x4 convolutions, the mirror of the generator, and reads one logit off the last map.

    LeakyReLU(0.2) throughout; `batch_norm` normalises every convolution but the first; `minibatch_std` appends the
    spread of the batch to the last map; `spectral_norm` and `equalized` constrain the weights, which start as the
    generator's. The last map as one vector is the features, F = width * 2**(k - 1) * (H / 2**k)**2 without spread.
    Raises `UserError` for a shape that k halvings cannot divide, and for a width below 1.
    Source: Radford et al. 2016, section 3.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        batch_norm: bool,
        dropout: float,
        spectral_norm: bool,
        equalized: bool,
        minibatch_std: bool,
    ) -> None:
        super().__init__()
        halvings = doublings("DcganDiscriminator", shape, "discriminator=mlp")
        require_at_least(1, "DcganDiscriminator", width=width)
        require_share("DcganDiscriminator", dropout)
        channels, side, _ = shape
        widths = [width << level for level in range(halvings)]
        self.layers = nn.Sequential(nn.Conv2d(channels, width, 4, 2, 1), leaky(dropout))
        for inputs, outputs in pairwise(widths):
            self.layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not batch_norm))
            self.layers.extend([nn.BatchNorm2d(outputs)] if batch_norm else [])
            self.layers.append(leaky(dropout))
        self.layers.extend([MinibatchStd(group=4)] if minibatch_std else [])
        self.feature_dim = (widths[-1] + minibatch_std) * (side >> halvings) ** 2
        self.output = nn.Linear(self.feature_dim, 1)
        self.apply(_initialise)
        constrain(self, spectral_norm, equalized)

    def features(self, examples: Tensor) -> Tensor:
        """(N, C, H, H) in [-1, 1] to (N, F)."""
        return self.layers(examples).flatten(1)


def _initialise(layer: nn.Module) -> None:
    match layer:
        case nn.BatchNorm2d() if layer.affine:
            nn.init.normal_(layer.weight, 1.0, 0.02)
        case nn.Conv2d() | nn.ConvTranspose2d() | nn.Linear():
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
