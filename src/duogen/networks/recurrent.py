"""Networks that paint and read an image row by row, from the top."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from duogen.errors import UserError, require_at_least
from duogen.networks.discriminator import Discriminator
from duogen.networks.generator import INSTEAD, Generator
from duogen.networks.layers import MinibatchStd, constrain


class GatedRecurrence(nn.Module):
    """One layer of gated recurrent units over a sequence x_1 .. x_T: (N, T, I) to its states h_1 .. h_T, (N, T, S).

    r = sigmoid(W_r x_t + U_r h + b_r),  u = sigmoid(W_u x_t + U_u h + b_u),  c = tanh(W_c x_t + b_c + r (U_c h + d_c)),
    h_t = (1 - u) c + u h with h = h_{t-1} and h_0 = 0. `arriving` is W_r, W_u, W_c in one linear layer, `recurring`
    U_r, U_u, U_c, so that weights can be constrained. Written out because cuDNN's recurrence has no second derivative.
    Source: Cho et al. 2014, section 2.3, with the reset gate after the product, as torch has it.
    """

    def __init__(self, inputs: int, states: int) -> None:
        super().__init__()
        self.states = states
        self.arriving, self.recurring = nn.Linear(inputs, 3 * states), nn.Linear(states, 3 * states)

    def forward(self, sequence: Tensor) -> Tensor:
        arriving: Tensor = self.arriving(sequence)
        # Read once: a constrained weight is computed anew, and spectral norm iterates, at every reading.
        weight, bias = self.recurring.weight, self.recurring.bias
        state, states = arriving.new_zeros(len(sequence), self.states), []
        split = [2 * self.states, self.states]
        for come in arriving.unbind(1):
            gates, candidate = come.split(split, 1)
            kept_gates, kept = F.linear(state, weight, bias).split(split, 1)
            reset, update = torch.sigmoid(gates + kept_gates).chunk(2, 1)
            candidate = torch.tanh(candidate + reset * kept)
            state = candidate + update * (state - candidate)
            states.append(state)
        return torch.stack(states, 1)


class RecurrentGenerator(Generator):
    """Paints an image in H steps: at step t gated recurrent units see the noise and a learned embedding of t.

    h_t = GRU([z, r_t], h_{t-1}), row t = tanh(A h_t + b), through `depth` layers of `width` units; a row is C * W
    values, all channels at once, and is not fed back: what was painted is known by the state alone. Where there are
    `classes`, an embedding of the class, of latent_dim numbers, is appended to the noise.
    Raises `UserError` for a shape other than (C, H, W), and for sizes below 1.
    The recurrence is Cho et al. 2014; rows as steps and a row's embedding, of `width` numbers, are ours.
    """

    def __init__(self, shape: Sequence[int], latent_dim: int, width: int, depth: int, classes: int | None) -> None:
        super().__init__()
        channels, rows, columns = _image("RecurrentGenerator", shape, INSTEAD)
        sizes = {"latent_dim": latent_dim, "width": width, "depth": depth}
        require_at_least(1, "RecurrentGenerator", **sizes, classes=1 if classes is None else classes)
        self.shape = (channels, rows, columns)
        self.classes = None if classes is None else nn.Embedding(classes, latent_dim)
        inputs = latent_dim if classes is None else 2 * latent_dim
        self.rows = nn.Parameter(torch.randn(rows, width))
        self.recurrences = _stack(inputs + width, width, depth)
        self.paint, self.squash = nn.Linear(width, channels * columns), nn.Tanh()

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, latent_dim), labels (N,) where there are classes, to (N, C, H, W) in [-1, 1]."""
        if self.classes is not None:
            latent = torch.cat([latent, self.classes(labels)], 1)
        channels, rows, _ = self.shape
        seen = torch.cat([latent[:, None].expand(-1, rows, -1), self.rows.expand(len(latent), -1, -1)], 2)
        painted: Tensor = self.squash(self.paint(self.recurrences(seen)))
        return painted.unflatten(2, (channels, -1)).transpose(1, 2)


class RecurrentDiscriminator(Discriminator):
    """Reads an image row by row through `depth` layers of `width` gated recurrent units; F is their mean over rows.

    A row is C * W values, all channels at once. `minibatch_std` appends the spread of the batch to the features;
    `spectral_norm` and `equalized` constrain the weights, a layer's three gates as one matrix.
    Raises `UserError` for a shape other than (C, H, W), and for sizes below 1.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        depth: int,
        spectral_norm: bool,
        equalized: bool,
        minibatch_std: bool,
    ) -> None:
        super().__init__()
        channels, _, columns = _image("RecurrentDiscriminator", shape, "discriminator=mlp")
        require_at_least(1, "RecurrentDiscriminator", width=width, depth=depth)
        self.recurrences = _stack(channels * columns, width, depth)
        self.spread = MinibatchStd(group=4) if minibatch_std else nn.Identity()
        self.feature_dim = width + minibatch_std
        self.output = nn.Linear(self.feature_dim, 1)
        constrain(self, spectral_norm, equalized)

    def features(self, examples: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] to (N, F)."""
        return self.spread(self.recurrences(examples.transpose(1, 2).flatten(2)).mean(1))


def _stack(inputs: int, width: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(GatedRecurrence(*pair) for pair in pairwise([inputs, *[width] * depth])))


def _image(network: str, shape: Sequence[int], remedy: str) -> tuple[int, int, int]:
    if len(shape) != 3 or min(shape) < 1:
        given, allowed = f"{network}: shape {tuple(shape)}", "images (C, H, W), every size at least 1"
        raise UserError(given, allowed, f"use {remedy}, or data of images")
    channels, rows, columns = shape
    return channels, rows, columns
