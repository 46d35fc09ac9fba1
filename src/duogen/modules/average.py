"""An exponential moving average of a player's parameters, as a network of its own."""

from copy import deepcopy

import torch
from torch import Tensor, nn


class MovingAverage(nn.Module):
    """Averages a player's parameters over its own updates, warm-up aware.

    a_u = d_u a_{u-1} + (1 - d_u) p_u with d_u = min(decay, (1 + u) / (10 + u)), u counted from `start`. Buffers are
    copied, not averaged: a batch norm's running statistics are means already. (Polyak and Juditsky 1992; the warm-up
    is TensorFlow's ExponentialMovingAverage with num_updates.)

    Args:
        network: the player's network; a frozen copy of it in evaluation mode is held.
        decay: in [0, 1).
        start: updates before which the copy follows the network itself.
    """

    updates: Tensor

    def __init__(self, network: nn.Module, decay: float, start: int) -> None:
        super().__init__()
        self.decay, self.start = decay, start
        self.network = deepcopy(network).eval().requires_grad_(False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @property
    def begun(self) -> bool:
        """Whether the average differs from the network it follows; reads the device once."""
        return int(self.updates) > self.start

    @torch.no_grad()
    def update(self, network: nn.Module, updates: int) -> None:
        """Takes in `network` after its `updates`-th update."""
        counted = updates - self.start
        decay = min(self.decay, (1 + counted) / (10 + counted)) if counted > 0 else 0.0
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), 1 - decay)
        for mine, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(theirs)
        self.updates.add_(1)

    def train(self, mode: bool = True) -> "MovingAverage":
        """Stays in evaluation mode, whatever mode the module around it takes."""
        return super().train(False)
