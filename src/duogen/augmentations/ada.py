"""Adaptive discriminator augmentation: the same pipeline, with a probability that follows overfitting."""

from collections.abc import Mapping

import torch
from torch import Tensor

from duogen.augmentations.pipeline import Pipeline
from duogen.errors import UserError
from duogen.records import Opinion


class Ada(Pipeline):
    """Augments more often while the discriminator is too sure of real images, and less often while it is not.

    r = mean sign D(x) over `every` of the discriminator's turns, and then p <- clip(p + sign(r - target) n / speed,
    0, 1), n the number of real images in these turns; p starts from 0 and is recorded.
    Raises `UserError` for numbers out of range.
    Source: Karras et al. 2020 (ADA), section 3, r_t of eq. 1.

    Args:
        target: the wanted r, in (-1, 1), the paper's 0.6; the sign of 0 counts as nothing.
        speed: images in which p can go from 0 to 1, >= 1, the paper's 500,000.
        every: the discriminator's turns between two changes of p, >= 1, the paper's 4.
        blit, geometry, color, cutout: shares of p, as in `Pipeline`.
    """

    reacts = True
    probability: Tensor
    signs: Tensor
    images: Tensor
    turns: Tensor

    def __init__(
        self, target: float, speed: int, every: int, blit: float, geometry: float, color: float, cutout: float
    ) -> None:
        super().__init__(blit, geometry, color, cutout)
        if not (-1 < target < 1 and speed >= 1 and every >= 1):
            given, allowed = (
                f"Ada: target={target}, speed={speed}, every={every}",
                "target between -1 and 1, others >= 1",
            )
            raise UserError(given, allowed, "the paper's are target=0.6, speed=500000 images, every=4 turns")
        self.target, self.speed, self.every = target, speed, every
        for name in ("probability", "signs", "images", "turns"):
            self.register_buffer(name, torch.zeros(()))

    def strength(self, step: int) -> Tensor:
        return self.probability

    def observe(self) -> Mapping[str, Tensor]:
        return {"augmentation_probability": self.probability.clone()}

    def react(self, opinion: Opinion) -> None:
        self.signs += opinion.sign * opinion.count
        self.images += opinion.count
        self.turns += 1
        due = self.turns >= self.every
        change = (self.signs / self.images - self.target).sign() * self.images / self.speed
        self.probability.add_(change * due).clamp_(0, 1)
        for gathered in (self.signs, self.images, self.turns):
            gathered.mul_(~due)
