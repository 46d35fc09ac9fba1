"""A causal transformer over a grid of codes, row by row."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from duogen.errors import UserError, require_at_least
from duogen.networks.samplers.descent import Descent
from duogen.networks.samplers.grid import GridSampler


class TransformerSampler(GridSampler):
    """What a place sees of those before it by `layers` of causal attention with `heads` heads, over the grid as a row.

    The token of a place is the code of the place before it, the first one that of the class, plus the place's own
    vector; layers are normalised first and have 4 W hidden units, W = `width` a multiple of `heads`.
    `dropout` is a share in [0, 1). Raises `UserError` for numbers out of range.
    Source: Vaswani et al. 2017, section 3; Esser et al. 2021, section 3.2, for the codes of a quantized autoencoder.
    """

    def __init__(
        self,
        places: Sequence[int],
        sizes: Sequence[int],
        classes: int | None,
        width: int,
        layers: int,
        heads: int,
        dropout: float,
        fitting: Descent,
    ) -> None:
        super().__init__(places, sizes, classes, width, fitting)
        require_at_least(1, "TransformerSampler", layers=layers, heads=heads)
        if width % heads or not 0 <= dropout < 1:
            given = f"TransformerSampler: width={width} with heads={heads} and dropout={dropout}"
            allowed = "a width that heads divides, a dropout in [0, 1)"
            raise UserError(given, allowed, "e.g. sampler.width=64 sampler.heads=4 sampler.dropout=0.1")
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.body = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.first = nn.Embedding(classes or 1, width)
        self.positions = nn.Embedding(self.shape[0] * self.shape[1], width)

    def seen(self, values: Tensor, labels: Tensor | None) -> Tensor:
        row = values.flatten(1, 2)
        told = row.new_zeros(len(row), dtype=torch.long) if labels is None else labels
        tokens = torch.cat([self.first(told)[:, None], row[:, :-1]], 1) + self.positions.weight[: row.shape[1]]
        mask = torch.ones(row.shape[1], row.shape[1], dtype=torch.bool, device=row.device).triu(1)
        return self.body(tokens, mask=mask, is_causal=True).view_as(values)
