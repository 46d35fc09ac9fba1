"""What a classifier beside the discriminator adds to both players' losses."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from duogen.objectives.penalties import Penalty, Play, checked
from duogen.ramp import Ramp


class AuxiliaryClassification(Penalty):
    """Both players want the class to be read off the example: the discriminator from both kinds, the generator its own.

    The discriminator's term is -log P(y | x) - log P(y | G(z, y)), the generator's -log P(y | G(z, y)), in nats, of
    outputs whose columns after the first are the classes' logits. `fake_weight` is that of generated examples in the
    discriminator's term: 1 in the paper, 0 in code that wants no help from bad examples.
    Source: Odena et al. 2017, eq. 3.
    """

    def __init__(self, weight: float | Ramp, generator_weight: float | Ramp, fake_weight: float) -> None:
        super().__init__(weight)
        self._generator_weight = checked(type(self).__name__, "generator_weight", generator_weight)
        self.fake_weight = fake_weight

    @property
    def generator_weight(self) -> float | Ramp:
        return self._generator_weight

    def discriminator(self, play: Play) -> Tensor:
        return self.surprise(play.real_output, play) + self.fake_weight * self.surprise(play.fake_output, play)

    def generator(self, play: Play) -> Tensor:
        return self.surprise(play.fake_output, play)

    def surprise(self, output: Tensor | None, play: Play) -> Tensor:
        assert output is not None
        assert play.labels is not None
        return cross_entropy(output[:, 1:].float(), play.labels, reduction="none")
