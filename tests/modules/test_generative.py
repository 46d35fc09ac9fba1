import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.modules.average import MovingAverage
from duogen.modules.generative import GenerativeModule
from duogen.records import Examples


class Plain(GenerativeModule):
    """One player, whose examples are its noise times a weight, plus the class."""

    def __init__(self, classes=None):
        super().__init__(latent_dim=3, classes=classes)
        self.generator = Maker()

    @property
    def players(self):
        return {"generator": self.generator}

    @property
    def objectives(self):
        return {}


class Maker(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, noise, labels=None):
        return self.weight * noise + (0 if labels is None else labels.view(-1, 1)) + 100 * self.training


def test_examples_are_a_function_of_the_generator_that_draws():
    module = Plain()
    one, two = (module.samples(5, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(one.values, two.values)
    assert torch.equal(one.values, torch.randn(5, 3, generator=torch.Generator().manual_seed(7)))
    assert one.labels is None
    assert module.gaussian == 3


def test_evaluation_leaves_the_mode_as_it_was():
    module = Plain().train()
    assert float(module.generate(torch.zeros(2, 3)).max()) == 0
    assert module.generator.training
    assert not module.generate(torch.zeros(2, 3)).requires_grad


def test_classes_follow_one_another_or_those_of_the_batch():
    module = Plain(classes=2)
    assert module.samples(5, torch.Generator().manual_seed(0)).labels.tolist() == [0, 1, 0, 1, 0]
    batch = Examples(torch.zeros(3, 3), torch.tensor([1, 1, 0]))
    found = module.counterparts(batch, torch.Generator().manual_seed(0))
    assert found.labels.tolist() == [1, 1, 0]
    torch.testing.assert_close(
        found.values - module.drawn(3, torch.Generator().manual_seed(0)), torch.tensor([[1.0], [1], [0]]).expand(3, 3)
    )
    with pytest.raises(UserError, match="without labels"):
        module.labels(Examples(torch.zeros(3, 3)))


def test_the_average_draws_once_it_has_begun():
    module = Plain()
    module.averages["generator"] = MovingAverage(module.generator, decay=0.5, start=0)
    noise = torch.ones(1, 3)
    with torch.no_grad():
        module.generator.weight.fill_(3.0)
    assert float(module.generate(noise)[0, 0]) == 3
    module.averages["generator"].update(module.generator, 1)
    average = float(module.averages["generator"].network.weight.detach())
    assert float(module.generate(noise)[0, 0]) == pytest.approx(average)
    assert average != 3
