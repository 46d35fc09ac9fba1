"""Penalties that keep what a discriminator says of an example where the example is only changed a little."""

import math

import torch
from torch import Tensor, nn

from duogen.errors import UserError
from duogen.objectives.penalties import Penalty, Play, checked
from duogen.ramp import Ramp


class Consistency(Penalty):
    """Real images and their augmentations T(x) are to be judged alike (CR).

    (D(x) - D(T(x)))^2. Weight: the paper's lambda, 10. `augmentation` maps images (M, C, H, W) and a step to such
    images; packed ones are changed alike.
    Source: Zhang et al. 2020 (CR-GAN), algorithm 1.
    """

    def __init__(self, weight: float | Ramp, augmentation: nn.Module) -> None:
        super().__init__(weight)
        self.augmentation = augmentation

    def discriminator(self, play: Play) -> Tensor:
        return self.change(play, play.real, play.logits[0])

    def change(self, play: Play, examples: Tensor, logits: Tensor) -> Tensor:
        """The squared change (M,) of the logits (M,) of examples (M, *shape) under the augmentation."""
        return (logits - play.critic(self.augmentation(examples, play.step))).square()


class BalancedConsistency(Consistency):
    """Real and generated images are each to be judged like their augmentations (bCR).

    (D(x) - D(T(x)))^2 + share (D(G(z)) - D(T(G(z))))^2, `share` >= 0 that of generated images. Weight: the paper's
    lambda_real, 10; its lambda_fake is weight x share, 10.
    Raises `UserError` for a share that is negative or not finite.
    Source: Zhao et al. 2021 (ICR), section 3.1, algorithm 1.
    """

    def __init__(self, weight: float | Ramp, augmentation: nn.Module, share: float) -> None:
        super().__init__(weight, augmentation)
        checked("BalancedConsistency", "share", share)
        self.share = share

    def discriminator(self, play: Play) -> Tensor:
        real, fake = play.logits
        return self.change(play, play.real, real) + self.share * self.change(play, play.fake, fake)


class LatentConsistency(Penalty):
    """A small change d ~ N(0, std^2 I) of the noise is to leave the judgement, and to change the picture (zCR).

    The discriminator's term is (D(G(z)) - D(G(z + d)))^2, the generator's -mean (G(z) - G(z + d))^2 over the values of
    an example. Weights: the paper's lambda_dis, 5, and lambda_gen, 0.5; `std` > 0 is 0.05.
    Raises `UserError` for a deviation that is not positive and finite.
    Source: Zhao et al. 2021 (ICR), section 3.2, algorithm 2; the norm of images is taken per value.
    """

    def __init__(self, weight: float | Ramp, generator_weight: float | Ramp, std: float) -> None:
        super().__init__(weight)
        self._generator_weight = checked("LatentConsistency", "generator_weight", generator_weight)
        if not 0 < std < math.inf:
            raise UserError(f"LatentConsistency: std={std}", "a finite deviation above 0", "e.g. std=0.05")
        self.std = std

    @property
    def generator_weight(self) -> float | Ramp:
        return self._generator_weight

    def discriminator(self, play: Play) -> Tensor:
        with torch.no_grad():
            near = self.near(play)
        return (play.logits[1] - play.critic(near)).square()

    def generator(self, play: Play) -> Tensor:
        return -(play.fake - self.near(play)).square().flatten(1).mean(1)

    def near(self, play: Play) -> Tensor:
        """Examples (M, *shape) from noise close to the turn's."""
        return play.generate(play.noise + self.std * torch.randn_like(play.noise))
