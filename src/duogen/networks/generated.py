"""Generators in the place of decoders, so that one architecture can be compared as both."""

from torch import Tensor, nn

from duogen.errors import UserError
from duogen.networks.decoder import Decoder
from duogen.networks.generator import Generator


class GeneratorDecoder(Decoder):
    """A generator without its `squash`: the code is its noise, its values before the last tanh are the numbers.

    The generator is built for the numbers' shape, (m C, H, W) or (m D,), and belongs to the decoder from then on.
    Raises `UserError` for a generator that has no `squash`.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        if not hasattr(generator, "squash"):
            given, allowed = f"GeneratorDecoder: {type(generator).__name__} without squash", "generators that have one"
            raise UserError(given, allowed, "let its constructor set self.squash, and its forward apply it last")
        generator.squash = nn.Identity()
        self.generator = generator

    def forward(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, latent_dim), and labels (N,) where there are classes, to (N, m C, H, W) or (N, m D), unbounded."""
        return self.generator(code, labels)
