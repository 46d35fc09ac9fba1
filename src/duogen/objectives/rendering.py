"""Penalties of the generator: what its examples are to share with real ones, and how evenly it answers its input."""

import math

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.objectives.penalties import Penalty, Play, Watched
from duogen.ramp import Ramp


class FeatureMatching(Penalty):
    """The generated batch is to have the real batch's mean features f, those of the discriminator's last hidden layer.

    ||mean f(x) - mean f(G(z))||_2^2, 0-d. In the paper it takes the place of the generator's loss; here it stands
    beside it, at weight 1.
    Source: Salimans et al. 2016, section 3.1.
    """

    def generator(self, play: Play) -> Tensor:
        with torch.no_grad():
            real = play.features(play.real).mean(0)
        return (real - play.features(play.fake).mean(0)).square().sum()


class PathLength(Penalty):
    """A step of one size in style space is to change the picture by one amount a, whatever the style and direction.

    (l - a)^2,  l = ||J^T y||_2 = ||d(G(w) . y) / dw||_2,  y ~ N(0, I) / sqrt(H W), w the style (N, S), or the noise
    where there is no mapping. The term is (M,), the mean over the examples judged together. a <- decay a + (1 - decay)
    mean l after each of the generator's turns, from 0, with `decay` in [0, 1). Weight 2 and decay 0.99 in the authors'
    code. A generator with batch norm mixes the slopes of a batch.
    Raises `UserError` for a decay outside its range.
    Source: Karras et al. 2020 (StyleGAN2), eq. 4 and appendix B.
    """

    twice = True
    reacts = True
    length: Tensor

    def __init__(self, weight: float | Ramp, decay: float) -> None:
        super().__init__(weight)
        if not 0 <= decay < 1:
            raise UserError(f"PathLength: decay={decay}", "a share: 0 <= decay < 1", "e.g. decay=0.99")
        self.decay = decay
        self.register_buffer("length", torch.zeros(()))

    def generator(self, play: Play) -> Watched:
        styles = play.styles(play.noise.detach().requires_grad_())
        pictures = play.render(styles)
        direction = torch.randn_like(pictures) / math.sqrt(math.prod(pictures.shape[2:]))
        (slope,) = torch.autograd.grad((pictures * direction).sum(), styles, create_graph=True)
        lengths = torch.linalg.vector_norm(slope.flatten(1), dim=1).unflatten(0, (len(pictures), -1))
        return Watched((lengths - self.length).square().mean(1), lengths.detach().mean(1))

    def follow(self, mean: Tensor) -> None:
        self.length.lerp_(mean, 1 - self.decay)
