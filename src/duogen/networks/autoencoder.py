"""Discriminators that say how badly they can rebuild an example."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from duogen.errors import UserError, require_at_least
from duogen.networks.discriminator import Discriminator
from duogen.networks.pyramid import doublings


class AutoencoderDiscriminator(Discriminator):
    """Judges an image x by the error of its reconstruction: an energy (N,), 0 or more, low for what it takes for real.

    E(x) = mean over pixels of |x - decoder(encoder(x))|^norm, norm 1 or 2. The encoder halves the image by strided 4x4
    convolutions, k = max(2, floor(log2(H / 4))) times, from `width` channels to width * 2**(k - 1), and maps it to a
    code of `hidden_dim` numbers, which are the features; the decoder mirrors it. ELU, no normalisation, and an output
    without bounds. No `output` reads the energy off the code: heads that need one do not fit this discriminator.
    Raises `UserError` for a shape that k halvings cannot divide, sizes below 1, and another norm.
    Source: Berthelot et al. 2017 (BEGAN), section 3; Zhao et al. 2017 (energy-based), section 2.3, whose energy is the
    2-norm itself. The mean over pixels, and the layers in the manner of Radford et al. 2016, are ours.
    """

    def __init__(self, shape: Sequence[int], width: int, hidden_dim: int, norm: int) -> None:
        super().__init__()
        count = doublings("AutoencoderDiscriminator", shape, "another discriminator and adversarial")
        require_at_least(1, "AutoencoderDiscriminator", width=width, hidden_dim=hidden_dim)
        if norm not in (1, 2):
            raise UserError(f"AutoencoderDiscriminator: norm={norm}", "1 (BEGAN) or 2 (energy-based)", "set norm to 1")
        channels, side, _ = shape
        widths = [channels, *(width << level for level in range(count))]
        last = (widths[-1], side >> count, side >> count)
        self.norm, self.feature_dim = norm, hidden_dim
        self.encoder = nn.Sequential()
        for pair in pairwise(widths):
            self.encoder.extend([nn.Conv2d(*pair, 4, 2, 1), nn.ELU()])
        self.encoder.extend([nn.Flatten(1), nn.Linear(last[0] * last[1] ** 2, hidden_dim)])
        self.decoder = nn.Sequential(nn.Linear(hidden_dim, last[0] * last[1] ** 2), nn.Unflatten(1, last))
        for pair in pairwise(reversed(widths)):
            self.decoder.extend([nn.ELU(), nn.ConvTranspose2d(*pair, 4, 2, 1)])

    def features(self, examples: Tensor) -> Tensor:
        """(N, C, H, H) in [-1, 1] to codes (N, F), F = hidden_dim."""
        return self.encoder(examples)

    def forward(self, examples: Tensor) -> Tensor:
        """(N, C, H, H) in [-1, 1] to energies (N,)."""
        rebuilt = self.decoder(self.features(examples))
        return (examples - rebuilt).abs().pow(self.norm).flatten(1).mean(1)
