"""What likelihoods of values on the whole line share."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from duogen.errors import require_at_least
from duogen.networks.likelihoods.levels import spacing
from duogen.networks.likelihoods.likelihood import Likelihood


class ContinuousLikelihood(Likelihood):
    """A density over examples as they are, images in [-1, 1] but not only there.

    Images have `levels` grey levels, w = 2 / (levels - 1) apart. Where `dequantise`, each value of an image gets noise
    of one level, x + u with u ~ U(-w / 2, w / 2), anew at each use: then E_u log p(x + u | z) + D log w is at most the
    log-probability of the levels, for D values (Theis et al. 2016, section 3.1), and no density of noise-free levels
    grows without end. Vectors have no levels: they get no noise, and `level` is None.
    Raises `UserError` for fewer than 2 levels.
    """

    def __init__(self, shape: Sequence[int], levels: int, dequantise: bool) -> None:
        super().__init__(shape)
        require_at_least(2, type(self).__name__, levels=levels)
        self.image = len(self.shape) == 3
        self.level = spacing(levels) if self.image else None
        self.dequantise = dequantise

    def prepared(self, examples: Tensor) -> Tensor:
        if self.level is None or not self.dequantise:
            return examples
        return examples + self.level * (torch.rand_like(examples) - 0.5)

    def shown(self, distribution: Distribution) -> Tensor:
        return distribution.mean.clamp(-1, 1) if self.image else distribution.mean
