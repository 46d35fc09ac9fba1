"""InfoGAN: a GAN whose noise holds a code that can be read off its examples (Chen et al. 2016)."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from duogen.augmentations.augmentation import Augmentation
from duogen.errors import UserError
from duogen.modules.gan import GAN
from duogen.modules.penalising import with_terms
from duogen.objectives.adversarial import Adversarial
from duogen.objectives.penalties import Penalty, Play
from duogen.ramp import Ramp
from duogen.records import Loss

HALF_LOG_TAU = math.log(2 * math.pi) / 2


class InfoGAN(GAN):
    """Both players also maximise a lower bound of the mutual information between code c and example G(z, c).

    min_{G,Q} max_D V(D, G) - lambda L_I(G, Q),  L_I = E[log Q(c | G(z, c))] + H(c)  (Chen et al. 2016, eq. 5 and 6).
    The code is categorical, c_k ~ Uniform{1..K_k}, and continuous, c_j ~ Uniform(-1, 1); Q reads each categorical code
    as logits and each continuous one as a Gaussian, its mean and its log standard deviation, held within [-3, 1]. Q
    shares all but its last layers with the discriminator and learns in both turns, as in the authors' code. Terms
    `categorical` and `continuous` are -log Q per example, in nats, the constants H(c) left out.

    Args:
        discriminator: (N, *shape) -> (N, 1 + sum K_k + 2 J): the logit, then what Q says.
        latent_dim: Z, the noise and the code together; its last sum K_k + J components are the code.
        categories: K_k, the number of values of each categorical code, >= 2.
        continuous: J, the number of continuous codes, >= 0.
        information: lambda of the categorical codes, >= 0.
        continuous_information: lambda of the continuous codes, >= 0, smaller to be of one scale with the GAN's loss.
    The others are the GAN's. Raises `UserError` where there is no code, or no noise left beside it.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        adversarial: Adversarial,
        penalties: Mapping[str, Penalty],
        augmentation: Augmentation | None,
        latent_dim: int,
        top_k: float | Ramp,
        weight_clip: float | None,
        categories: Sequence[int],
        continuous: int,
        information: float,
        continuous_information: float,
    ) -> None:
        super().__init__(
            generator, discriminator, adversarial, penalties, augmentation, latent_dim, 1, top_k, None, weight_clip
        )
        size = sum(categories) + continuous
        if min([*categories, 2]) < 2 or continuous < 0 or not 0 < size < latent_dim:
            given = f"InfoGAN: categories={list(categories)}, continuous={continuous} in latent_dim={latent_dim}"
            allowed = "a code of categories with 2 values or more and of continuous numbers, smaller than latent_dim"
            raise UserError(given, allowed, "e.g. noise_dim=62, categories=[10] and continuous=2")
        if min(information, continuous_information) < 0:
            given = f"InfoGAN: information={information}, continuous_information={continuous_information}"
            raise UserError(given, "0 or more", "e.g. model.information=1.0")
        self.categories, self.continuous, self.coded = tuple(categories), continuous, size
        self.information, self.continuous_information = information, continuous_information

    @property
    def gaussian(self) -> int:
        return self.latent_dim - self.coded

    def noise(self, count: int) -> Tensor:
        """z ~ N(0, I), then the categorical codes one-hot, then the continuous ones: (count, Z)."""
        free = torch.randn(count, self.latent_dim - self.coded, device=self.device)
        drawn = [torch.randint(size, (count,), device=self.device) for size in self.categories]
        return self.joined(free, drawn, 2 * torch.rand(count, self.continuous, device=self.device) - 1)

    def drawn(self, count: int, generator: torch.Generator) -> Tensor:
        """As `noise`, on the CPU; the values of each categorical code follow one another."""
        free = torch.randn(count, self.latent_dim - self.coded, generator=generator)
        drawn = [torch.arange(count) % size for size in self.categories]
        return self.joined(free, drawn, 2 * torch.rand(count, self.continuous, generator=generator) - 1)

    def joined(self, free: Tensor, categorical: Sequence[Tensor], continuous: Tensor) -> Tensor:
        # Rows of the identity: to check its indices torch's one_hot reads them, except on CUDA.
        pairs = zip(categorical, self.categories, strict=True)
        return torch.cat([free, *(torch.eye(size, device=free.device)[drawn] for drawn, size in pairs), continuous], 1)

    def beside(self, loss: Loss, play: Play) -> Loss:
        """The loss with -log Q(c | G(z, c)) of the generated examples, (N,) each."""
        assert play.fake_output is not None
        code = play.noise[:, self.latent_dim - self.coded :]
        said = play.fake_output[:, 1:].float()
        sizes = [*self.categories, self.continuous]
        *drawn, continuous = code.split(sizes, 1)
        *logits, means, log_stds = said.split([*sizes, self.continuous], 1)
        if self.categories:
            surprises = [cross_entropy(*pair, reduction="none") for pair in zip(logits, drawn, strict=True)]
            loss = with_terms(loss, {"categorical": torch.stack(surprises).sum(0)}, self.information)
        if self.continuous:
            log_stds = 2 * log_stds.tanh() - 1
            surprise = ((continuous - means) / log_stds.exp()).square() / 2 + log_stds + HALF_LOG_TAU
            loss = with_terms(loss, {"continuous": surprise.sum(1)}, self.continuous_information)
        return loss
