"""Layers and constraints of weights that several networks share."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from duogen.errors import UserError

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)


class MinibatchStd(nn.Module):
    """Tells each example how much its group varies: (N, F) to (N, F + 1), or (N, C, H, W) to (N, C + 1, H, W).

    The appended value is the mean over features of sqrt(var + 1e-8), the variance over the examples of a group. The
    groups are of the largest size up to `group` that divides N; example i is in group i mod (N / size).
    Source: Karras et al. 2018 (progressive growing), section 3.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, values: Tensor) -> Tensor:
        size = next(size for size in range(min(self.group, len(values)), 0, -1) if len(values) % size == 0)
        groups = values.float().unflatten(0, (size, -1))
        variance = (groups - groups.mean(0)).square().mean(0)
        spread = (variance + 1e-8).sqrt().flatten(1).mean(1)
        column = spread.to(values.dtype).repeat(size).view(-1, *[1] * (values.ndim - 1))
        return torch.cat([values, column.expand(-1, 1, *values.shape[2:])], 1)


class _Equalized(nn.Module):
    """w = c w', with c = 1 / sqrt(fan-in), so that w' has unit variance and all layers learn at one speed."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.scale


def constrain(network: nn.Module, spectral_norm: bool, equalized: bool) -> None:
    """Reparametrises the weights of all linear and convolutional layers in place; call it after initialisation.

    `spectral_norm` divides each by its largest singular value, estimated by one power iteration per training forward
    (Miyato et al. 2018, eq. 8). `equalized` draws them from N(0, 1) and scales them by 1 / sqrt(fan-in) at every use
    (Karras et al. 2018, section 4.1). Raises `UserError` where both are asked for.
    """
    if spectral_norm and equalized:
        given = f"{type(network).__name__}: spectral_norm=true and equalized=true"
        raise UserError(given, "one of the two", "leave one out: a normalised weight has no scale to equalise")
    for layer in [layer for layer in network.modules() if isinstance(layer, WEIGHTED)]:
        if spectral_norm:
            parametrizations.spectral_norm(layer)
        if equalized:
            nn.init.normal_(layer.weight)
            fan_in = layer.weight[0].numel()
            if isinstance(layer, nn.ConvTranspose2d):
                fan_in = layer.weight.numel() // layer.weight.shape[1]
            parametrize.register_parametrization(layer, "weight", _Equalized(fan_in**-0.5))
