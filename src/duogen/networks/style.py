"""Networks in the manner of StyleGAN2, for square images (C, H, H): a style scales every layer of the picture."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from duogen.errors import require_at_least
from duogen.networks.discriminator import Discriminator
from duogen.networks.generator import INSTEAD, Generator
from duogen.networks.layers import MinibatchStd, constrain
from duogen.networks.pyramid import doublings

MAPPING_SPEED = 0.01
MEMORY = 0.998


class EqualizedLinear(nn.Module):
    """An affine map (N, I) to (N, O) that learns at `speed` times the rate of the others.

    y = (speed / sqrt(I)) W x + speed b, where W starts from N(0, 1 / speed^2) and speed b from `start`, so that
    the effective weights have variance 1 / I whatever the speed.
    Source: Karras et al. 2018, section 4.1; the speed is that of Karras et al. 2019, appendix C.
    """

    def __init__(self, inputs: int, outputs: int, speed: float, start: float) -> None:
        super().__init__()
        self.scale, self.speed = speed / inputs**0.5, speed
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / speed)
        self.bias = nn.Parameter(torch.full((outputs,), start / speed))

    def forward(self, values: Tensor) -> Tensor:
        return F.linear(values, self.weight * self.scale, self.bias * self.speed)


class ModulatedConv2d(nn.Module):
    """A convolution whose weights a style scales per example: (N, I, H, W) and styles (N, S) to (N, O, H, W).

    s = A style + b,  w'_oik = s_i w_oik,  and, where it demodulates, w''_oik = w'_oik / sqrt(sum_ik w'_oik^2 + 1e-8).
    The weights are shared by the batch: s scales the inputs and the root the outputs, which is the same.
    Source: Karras et al. 2020 (StyleGAN2), section 2.2, eq. 1 and 3.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, style_dim: int, demodulate: bool) -> None:
        super().__init__()
        self.scale, self.demodulate = (inputs * kernel**2) ** -0.5, demodulate
        self.style = EqualizedLinear(style_dim, inputs, speed=1.0, start=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))

    def forward(self, values: Tensor, styles: Tensor) -> Tensor:
        scales, weight = self.style(styles), self.weight * self.scale
        values = F.conv2d(values * scales[:, :, None, None], weight, padding=weight.shape[-1] // 2)
        if not self.demodulate:
            return values
        power = F.linear(scales.square(), weight.square().sum((2, 3)))
        return values * (power + 1e-8).rsqrt()[:, :, None, None]


class StyledLayer(nn.Module):
    """A modulated 3x3 convolution, noise per pixel, a bias and an activation: to (N, O, H, H), H = `side`.

    It takes a map (N, I, H, H), or, where it `grows`, one of half the side, doubled after convolving. The noise
    is N(0, 1) times one learned strength, the same on all channels: fresh in training, and in evaluation a fixed field,
    so that an image is a function of its style.
    Source: Karras et al. 2020 (StyleGAN2), section 2.1.
    """

    field: Tensor

    def __init__(self, inputs: int, outputs: int, side: int, style_dim: int, noise: bool, grows: bool) -> None:
        super().__init__()
        self.grows = grows
        self.convolution = ModulatedConv2d(inputs, outputs, 3, style_dim, demodulate=True)
        self.bias = nn.Parameter(torch.zeros(outputs, 1, 1))
        self.strength = nn.Parameter(torch.zeros(())) if noise else None
        self.register_buffer("field", torch.randn(side, side) if noise else None)

    def forward(self, values: Tensor, styles: Tensor) -> Tensor:
        values = self.convolution(values, styles)
        if self.grows:
            values = doubled(values)
        if self.strength is not None:
            field = torch.randn_like(values[:, :1]) if self.training else self.field
            values = values + self.strength * field
        return activated(values + self.bias)


class _Level(nn.Module):
    """The layers at one side H, the first of which may grow, and their picture: to (N, O, H, H) and (N, C, H, H)."""

    def __init__(self, layers: Sequence[StyledLayer], outputs: int, channels: int, style_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.picture = ModulatedConv2d(outputs, channels, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, values: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.layers:
            values = layer(values, styles)
        return values, self.picture(values, styles) + self.bias


class StyleGenerator(Generator):
    """Maps noise to a style, which scales the layers that grow a learned constant into an image.

    The noise, of unit mean square, passes `mapping_depth` affine layers of `style_dim` units that learn at 0.01 of the
    rate. The constant has side H / 2**k, k = max(2, floor(log2(H / 4))), and one layer; each of k doublings has two.
    Maps next to the image have `width` channels, those of half the side twice as many, up to 8 * width. Every side adds
    a picture to the doubled sum of those below. LeakyReLU(0.2) times sqrt(2) throughout. Where there are `classes`, an
    embedding of latent_dim numbers, of unit mean square too, is appended to the noise. `noise` switches the pixels'.
    `mean_style` (style_dim,) follows the styles of training at a rate of 0.002 per forward.
    Ours: doubling is bilinear, which away from the border is the paper's filter (1, 3, 3, 1), and comes after the
    convolution, which costs a quarter; a final tanh keeps the image in [-1, 1]; no style mixing.
    Raises `UserError` for a shape that k doublings cannot reach, and for sizes below 1.
    Source: Karras et al. 2020 (StyleGAN2), section 2 and figure 7b; Karras et al. 2019, section 2.
    """

    mean_style: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        latent_dim: int,
        style_dim: int,
        mapping_depth: int,
        width: int,
        noise: bool,
        classes: int | None,
    ) -> None:
        super().__init__()
        count = doublings("StyleGenerator", shape, INSTEAD)
        sizes = {"latent_dim": latent_dim, "style_dim": style_dim, "mapping_depth": mapping_depth, "width": width}
        require_at_least(1, "StyleGenerator", **sizes, classes=1 if classes is None else classes)
        channels, side, _ = shape
        self.classes = None if classes is None else nn.Embedding(classes, latent_dim)
        inputs = latent_dim if classes is None else 2 * latent_dim
        mapping = pairwise([inputs, *[style_dim] * mapping_depth])
        self.mapping = nn.ModuleList(EqualizedLinear(*pair, speed=MAPPING_SPEED, start=0.0) for pair in mapping)
        self.register_buffer("mean_style", torch.zeros(style_dim))
        widths = [width * min(2**level, 8) for level in reversed(range(count + 1))]
        self.start = nn.Parameter(torch.randn(widths[0], side >> count, side >> count))
        first = StyledLayer(widths[0], widths[0], side >> count, style_dim, noise, grows=False)
        self.levels = nn.ModuleList([_Level([first], widths[0], channels, style_dim)])
        for level, (wide, narrow) in zip(reversed(range(count)), pairwise(widths), strict=True):
            growing = StyledLayer(wide, narrow, side >> level, style_dim, noise, grows=True)
            other = StyledLayer(narrow, narrow, side >> level, style_dim, noise, grows=False)
            self.levels.append(_Level([growing, other], narrow, channels, style_dim))
        self.squash = nn.Tanh()

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, latent_dim), labels (N,) where there are classes, to (N, C, H, H) in [-1, 1]."""
        return self.render(self.styles(latent, labels), labels)

    def styles(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, latent_dim), labels (N,) where there are classes, to styles (N, style_dim)."""
        values = normalised(latent)
        if self.classes is not None:
            values = torch.cat([values, normalised(self.classes(labels))], 1)
        for layer in self.mapping:
            values = activated(layer(values))
        if self.training:
            with torch.no_grad():
                self.mean_style.lerp_(values.mean(0).to(self.mean_style), 1 - MEMORY)
        return values

    def render(self, styles: Tensor, labels: Tensor | None = None) -> Tensor:
        """Styles (N, style_dim), which know the class already, to (N, C, H, H) in [-1, 1]."""
        first, *others = self.levels
        values, image = first(self.start.expand(len(styles), -1, -1, -1), styles)
        for level in others:
            values, picture = level(values, styles)
            image = doubled(image) + picture
        return self.squash(image)

    def truncated(self, styles: Tensor, psi: float) -> Tensor:
        """Styles (N, style_dim) pulled to their mean m: m + psi (w - m) (Karras et al. 2019, appendix B)."""
        return self.mean_style + psi * (styles - self.mean_style)


class _Shrinking(nn.Module):
    """(shortcut(x) + branch(x)) / sqrt(2), at half the side: (N, I, H, H) to (N, O, H / 2, H / 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.near, self.far = nn.Conv2d(inputs, inputs, 3, padding=1), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        branch = activated(self.far(F.avg_pool2d(activated(self.near(values)), 2)))
        return (branch + self.shortcut(F.avg_pool2d(values, 2))) * 0.5**0.5


class _Activated(nn.Module):
    """LeakyReLU(0.2) times sqrt(2) after a layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, values: Tensor) -> Tensor:
        return activated(self.layer(values))


class StyleDiscriminator(Discriminator):
    """Halves an image by residual blocks of two 3x3 convolutions, k = max(2, floor(log2(H / 4))) times.

    Maps next to the image have `width` channels, each map of half the side twice as many, up to 8 * width, which is F.
    The last map, of side H / 2**k, passes one more convolution and an affine layer of F units. `minibatch_std` appends
    the spread of the batch before these; `spectral_norm` and `equalized` constrain the weights; biases start from 0.
    Ours: halving is by means of 2x2 pixels, before a block's second convolution.
    Raises `UserError` for a shape that k halvings cannot divide, and for a width below 1.
    Source: Karras et al. 2020 (StyleGAN2), section 4.1 and figure 7c.
    """

    def __init__(
        self, shape: Sequence[int], width: int, spectral_norm: bool, equalized: bool, minibatch_std: bool
    ) -> None:
        super().__init__()
        count = doublings("StyleDiscriminator", shape, "discriminator=mlp")
        require_at_least(1, "StyleDiscriminator", width=width)
        channels, side, _ = shape
        widths = [width * min(2**level, 8) for level in range(count + 1)]
        self.feature_dim = last = widths[-1]
        self.layers = nn.Sequential(
            _Activated(nn.Conv2d(channels, width, 1)),
            *(_Shrinking(*pair) for pair in pairwise(widths)),
            MinibatchStd(group=4) if minibatch_std else nn.Identity(),
            _Activated(nn.Conv2d(last + minibatch_std, last, 3, padding=1)),
            nn.Flatten(1),
            _Activated(nn.Linear(last * (side >> count) ** 2, last)),
        )
        self.output = nn.Linear(last, 1)
        constrain(self, spectral_norm, equalized)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)

    def features(self, examples: Tensor) -> Tensor:
        """(N, C, H, H) in [-1, 1] to (N, F)."""
        return self.layers(examples)


def activated(values: Tensor) -> Tensor:
    """LeakyReLU(0.2) times sqrt(2): the mean square of a centred normal becomes 1.04 times what it was."""
    return F.leaky_relu(values, 0.2) * 2**0.5


def normalised(values: Tensor) -> Tensor:
    """(N, Z) to unit mean square per example (Karras et al. 2018, section 4.2)."""
    return values * (values.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def doubled(values: Tensor) -> Tensor:
    """(N, C, H, W) to (N, C, 2 H, 2 W), bilinearly."""
    return F.interpolate(values, scale_factor=2.0, mode="bilinear")
