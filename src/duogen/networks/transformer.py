"""Networks of attention alone, over an image cut into patches."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from duogen.errors import UserError, require_at_least
from duogen.networks.discriminator import Discriminator
from duogen.networks.generator import INSTEAD, Generator
from duogen.networks.layers import MinibatchStd, constrain


class Attention(nn.Module):
    """Every token asks all tokens: (N, T, E) to (N, T, E).

    softmax(Q K^T / sqrt(E / heads)) V in each head, of E / heads numbers, then an affine map of all heads together.
    Source: Vaswani et al. 2017, section 3.2, eq. 1.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ask, self.answer = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        queries, keys, values = self.ask(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        heads = F.scaled_dot_product_attention(queries, keys, values)
        return self.answer(heads.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), the MLP of one hidden layer of 4 E units with GELU: (N, T, E).

    Source: Vaswani et al. 2017, section 3.1, with layer norm inside the residual branch (Xiong et al. 2020, figure 1b).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), Attention(width, heads))
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(tokens)
        return tokens + self.mlp(tokens)


class TransformerGenerator(Generator):
    """Maps noise to one token of `width` numbers per patch, which `depth` blocks turn into the patch's pixels.

    tokens = reshape(A z) + positions (+ the class's embedding, on every token); blocks; layer norm; an affine map to
    C * patch^2 values and tanh. Images of any sides that `patch` divides; T = (H / patch) (W / patch) tokens.
    Raises `UserError` for a shape other than (C, H, W), a patch that does not divide both sides, a number of heads that
    does not divide the width, and sizes below 1.
    The map to a grid of tokens and learned positions are TransGAN's (Jiang et al. 2021, section 3); one resolution
    throughout and patches painted by an affine map instead of growing grids are ours.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_dim: int,
        width: int,
        depth: int,
        heads: int,
        patch: int,
        classes: int | None,
    ) -> None:
        super().__init__()
        self.grid = _grid("TransformerGenerator", shape, patch, INSTEAD)
        _check("TransformerGenerator", width, depth, heads)
        require_at_least(1, "TransformerGenerator", latent_dim=latent_dim, classes=1 if classes is None else classes)
        tokens = self.grid[0] * self.grid[1]
        self.patch = patch
        self.tokens = nn.Sequential(nn.Linear(latent_dim, tokens * width, bias=False), nn.Unflatten(1, (tokens, width)))
        self.positions = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.classes = None if classes is None else nn.Embedding(classes, width)
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads) for _ in range(depth)))
        self.paint = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, shape[0] * patch**2))
        self.squash = nn.Tanh()

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, latent_dim), labels (N,) where there are classes, to (N, C, H, W) in [-1, 1]."""
        tokens = self.tokens(latent) + self.positions
        if self.classes is not None:
            tokens = tokens + self.classes(labels)[:, None]
        return from_patches(self.squash(self.paint(self.blocks(tokens))), self.grid, self.patch)


class TransformerDiscriminator(Discriminator):
    """Cuts an image into patches, one token of `width` numbers each; F is the mean over tokens after `depth` blocks.

    tokens = A patches + b + positions; blocks; layer norm; mean. `minibatch_std` appends the spread of the batch to the
    features; `spectral_norm` and `equalized` constrain the weights, queries, keys and values as one matrix.
    Raises `UserError` as the generator does.
    Source: Dosovitskiy et al. 2021, section 3.1, eq. 1-4, with the mean over tokens instead of a class token.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        depth: int,
        heads: int,
        patch: int,
        spectral_norm: bool,
        equalized: bool,
        minibatch_std: bool,
    ) -> None:
        super().__init__()
        rows, columns = _grid("TransformerDiscriminator", shape, patch, "discriminator=mlp")
        _check("TransformerDiscriminator", width, depth, heads)
        self.patch = patch
        self.tokens = nn.Linear(shape[0] * patch**2, width)
        self.positions = nn.Parameter(0.02 * torch.randn(rows * columns, width))
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads) for _ in range(depth)), nn.LayerNorm(width))
        self.spread = MinibatchStd(group=4) if minibatch_std else nn.Identity()
        self.feature_dim = width + minibatch_std
        self.output = nn.Linear(self.feature_dim, 1)
        constrain(self, spectral_norm, equalized)

    def features(self, examples: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] to (N, F)."""
        tokens = self.tokens(to_patches(examples, self.patch)) + self.positions
        return self.spread(self.blocks(tokens).mean(1))


def to_patches(images: Tensor, patch: int) -> Tensor:
    """(N, C, H, W) to (N, T, C * patch^2): patches in reading order, each channel by channel."""
    return F.pixel_unshuffle(images, patch).flatten(2).transpose(1, 2)


def from_patches(patches: Tensor, grid: tuple[int, int], patch: int) -> Tensor:
    """The inverse of `to_patches` for a grid of (H / patch, W / patch) patches."""
    return F.pixel_shuffle(patches.transpose(1, 2).unflatten(2, grid), patch)


def _grid(network: str, shape: Sequence[int], patch: int, remedy: str) -> tuple[int, int]:
    if len(shape) != 3 or min(shape) < 1:
        given, allowed = f"{network}: shape {tuple(shape)}", "images (C, H, W), every size at least 1"
        raise UserError(given, allowed, f"use {remedy}, or data of images")
    _, height, width = shape
    fitting = [size for size in range(1, min(height, width) + 1) if height % size == 0 and width % size == 0]
    _require_divisor(f"{network}: patch={patch} with images of {height}x{width}", "patch", patch, fitting)
    return height // patch, width // patch


def _check(network: str, width: int, depth: int, heads: int) -> None:
    require_at_least(1, network, width=width, depth=depth)
    fitting = [count for count in range(1, width + 1) if width % count == 0]
    _require_divisor(f"{network}: heads={heads} with width={width}", "heads", heads, fitting)


def _require_divisor(given: str, name: str, value: int, fitting: list[int]) -> None:
    if value not in fitting:
        near = sorted(fitting, key=lambda size: abs(size - value))
        raise UserError(given, "divisors: " + ", ".join(map(str, near)), f"e.g. {name}={near[0]}")
