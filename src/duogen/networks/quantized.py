"""Convolutional networks between images (C, H, W) and maps of features of a quarter of their sides."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from duogen.errors import UserError, require_at_least
from duogen.networks.dense import class_inputs, told


class MapEncoder(nn.Module, ABC):
    """Maps images to features that keep their places, F = `feature_dim` of them at each of the `places` (h, w)."""

    feature_dim: int
    places: tuple[int, int]

    @abstractmethod
    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, H, W) in [-1, 1], and labels (N,) where the encoder knows classes, to (N, F, h, w)."""


class MapDecoder(nn.Module, ABC):
    """Maps features at their places to numbers, of which the likelihood knows the meaning."""

    @abstractmethod
    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, D, h, w), and labels (N,) where the decoder knows classes, to (N, m C, H, W), unbounded."""


class VqEncoder(MapEncoder):
    """Two 4x4 convolutions of stride 2, then `blocks` residual blocks, all of `width` units; F = `width`.

    A block is x + c_1(relu(c_3(relu(x)))) with a 3x3 and a 1x1 convolution. The paper has 2 blocks of 256 units.
    Where there are `classes`, a one-hot class is appended to the image, as maps.
    Raises `UserError` for a shape whose sides 4 does not divide, and for sizes below their least.
    Source: van den Oord et al. 2017, section 4.1; the last relu is the authors' code's.
    """

    def __init__(self, shape: Sequence[int], width: int, blocks: int, classes: int | None) -> None:
        super().__init__()
        channels, *sides = checked("VqEncoder", shape, width, blocks)
        self.feature_dim, self.places, self.classes = width, (sides[0] // 4, sides[1] // 4), classes
        self.layers = nn.Sequential(
            nn.Conv2d(channels + class_inputs("VqEncoder", classes), width, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(width, width, 4, 2, 1),
            *(Block(width) for _ in range(blocks)),
            nn.ReLU(),
        )

    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(told(examples, labels, self.classes))


class VqDecoder(MapDecoder):
    """A 3x3 convolution, `blocks` residual blocks, and two transposed 4x4 convolutions of stride 2, all of `width`.

    (N, D, H / 4, W / 4), D = `latent_dim`, to the numbers (N, *shape), shape (m C, H, W); blocks as in `VqEncoder`.
    Where there are `classes`, a one-hot class is appended to the features, as maps.
    Raises `UserError` for a shape whose sides 4 does not divide, and for sizes below their least.
    Source: van den Oord et al. 2017, section 4.1; the first convolution, from D to `width`, is the authors' code's.
    """

    def __init__(self, shape: Sequence[int], latent_dim: int, width: int, blocks: int, classes: int | None) -> None:
        super().__init__()
        numbers, *_ = checked("VqDecoder", shape, width, blocks)
        require_at_least(1, "VqDecoder", latent_dim=latent_dim)
        self.classes = classes
        self.layers = nn.Sequential(
            nn.Conv2d(latent_dim + class_inputs("VqDecoder", classes), width, 3, 1, 1),
            *(Block(width) for _ in range(blocks)),
            nn.ReLU(),
            nn.ConvTranspose2d(width, width, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(width, numbers, 4, 2, 1),
        )

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(told(features, labels, self.classes))


class Block(nn.Module):
    """x + c_1(relu(c_3(relu(x)))): (N, F, h, w) to (N, F, h, w)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1), nn.ReLU(), nn.Conv2d(width, width, 1))

    def forward(self, values: Tensor) -> Tensor:
        return values + self.branch(values)


def checked(network: str, shape: Sequence[int], width: int, blocks: int) -> Sequence[int]:
    """The shape; raises `UserError`, in the name of `network`, where two halvings do not divide it evenly."""
    if len(shape) != 3 or min(shape) < 1 or shape[1] % 4 or shape[2] % 4:
        given, allowed = f"{network}: shape {tuple(shape)}", "images (C, H, W) whose sides 4 divides"
        remedy = "take encoder=mlp and decoder=mlp, where one code stands for an example, or data of such a shape"
        raise UserError(given, allowed, remedy)
    require_at_least(1, network, width=width)
    require_at_least(0, network, blocks=blocks)
    return shape
