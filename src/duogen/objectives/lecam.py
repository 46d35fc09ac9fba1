"""A penalty for little data that holds a discriminator's outputs near their own past."""

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.objectives.penalties import Penalty, Play
from duogen.ramp import Ramp
from duogen.records import Opinion


class Lecam(Penalty):
    """Pulls the logits of each kind towards the running mean of the other kind's.

    (D(x) - a_F)^2 + (D(G(z)) - a_R)^2,  a <- decay a + (1 - decay) mean D after each of the discriminator's turns,
    from 0, with `decay` in [0, 1). Weight: the paper's lambda, 0.3 for BigGAN; decay 0.99.
    Raises `UserError` for a decay outside its range.
    Source: Tseng et al. 2021, eq. 4 to 6.
    """

    reacts = True
    real_mean: Tensor
    fake_mean: Tensor

    def __init__(self, weight: float | Ramp, decay: float) -> None:
        super().__init__(weight)
        if not 0 <= decay < 1:
            raise UserError(f"Lecam: decay={decay}", "a share: 0 <= decay < 1", "e.g. decay=0.99")
        self.decay = decay
        self.register_buffer("real_mean", torch.zeros(()))
        self.register_buffer("fake_mean", torch.zeros(()))

    def discriminator(self, play: Play) -> Tensor:
        real, fake = play.logits
        return (real - self.fake_mean).square() + (fake - self.real_mean).square()

    def react(self, opinion: Opinion) -> None:
        self.real_mean.lerp_(opinion.real, 1 - self.decay)
        self.fake_mean.lerp_(opinion.fake, 1 - self.decay)
