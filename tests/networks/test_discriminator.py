import pytest
import torch
from torch import nn

from duogen.networks.discriminator import Discriminator


class Flat(Discriminator):
    def __init__(self):
        super().__init__()
        self.feature_dim = 6
        self.output = nn.Linear(6, 1)

    def features(self, examples):
        return examples.flatten(1)


@pytest.mark.parametrize("count", [1, 4])
def test_the_logit_is_read_off_the_features(count):
    network, examples = Flat(), torch.randn(count, 2, 3)
    weight, bias = network.output.weight[0], network.output.bias
    assert network(examples).shape == (count,)
    torch.testing.assert_close(network(examples), (examples.flatten(1) * weight).sum(1) + bias)


def test_a_discriminator_must_have_features():
    class Empty(Discriminator):
        pass

    with pytest.raises(TypeError, match="features"):
        Empty()
