"""The augmentations of Karras et al. 2020, with a probability that is set."""

from abc import abstractmethod

from torch import Tensor

from duogen.augmentations.augmentation import Augmentation, require_share
from duogen.augmentations.color import recolored
from duogen.augmentations.geometry import blits, then, transforms
from duogen.augmentations.places import erased, warp
from duogen.ramp import Ramp


class Pipeline(Augmentation):
    """Changes of place, geometry and colour, and a hole, each with the probability p times the share of its kind.

    As long as p stays below about 0.8 generated images do not inherit the changes. Pixels are resampled once,
    bilinearly, where the paper's code filters by wavelets.
    Raises `UserError` for a share outside [0, 1].
    Source: Karras et al. 2020 (ADA), section 2.2 and appendix B.

    Args:
        blit: share of flips, quarter turns and whole translations.
        geometry: share of scalings, turns and translations, which mix pixels.
        color: share of changes of brightness, contrast, luma, hue and saturation.
        cutout: share of holes, half as high and wide as the image.
    """

    def __init__(self, blit: float, geometry: float, color: float, cutout: float) -> None:
        super().__init__()
        require_share(type(self).__name__, blit=blit, geometry=geometry, color=color, cutout=cutout)
        self.blit, self.geometry, self.color, self.cutout = blit, geometry, color, cutout

    @abstractmethod
    def strength(self, step: int) -> float | Tensor:
        """p at a step, a number or 0-d."""

    def changed(self, images: Tensor, step: int) -> Tensor:
        p = self.strength(step)
        if self.blit or self.geometry:
            images = warp(images, then(blits(images, p * self.blit), transforms(images, p * self.geometry)))
        if self.color:
            images = recolored(images, p * self.color)
        return erased(images, 0.5, p * self.cutout) if self.cutout else images


class AugmentPipeline(Pipeline):
    """The pipeline at a probability in [0, 1] that is constant or a function of the step.

    Raises `UserError` for a constant outside [0, 1].
    Source: Karras et al. 2020 (ADA), section 2; Huang et al. 2024 (R3GAN) let the probability follow a schedule.
    """

    def __init__(self, probability: float | Ramp, blit: float, geometry: float, color: float, cutout: float) -> None:
        super().__init__(blit, geometry, color, cutout)
        if not isinstance(probability, Ramp):
            require_share("AugmentPipeline", probability=probability)
        self.probability = probability

    def strength(self, step: int) -> float:
        return self.probability(step) if isinstance(self.probability, Ramp) else self.probability
