import pytest
import torch
from torch import nn

from duogen.networks.generator import INSTEAD, Generator


class Doubling(Generator):
    def forward(self, latent, labels=None):
        return 2 * latent if labels is None else labels[:, None] * latent


def test_a_generator_without_a_mapping_renders_its_noise():
    network, latent, labels = Doubling(), torch.randn(3, 4), torch.tensor([5, 6, 7])
    assert network.styles(latent, labels) is latent
    assert torch.equal(network.render(network.styles(latent)), 2 * latent)
    assert torch.equal(network.render(latent, labels), network(latent, labels))


def test_a_generator_must_say_what_it_generates():
    class Empty(Generator):
        pass

    assert issubclass(Generator, nn.Module)
    with pytest.raises(TypeError, match="forward"):
        Empty()


def test_what_to_use_instead_names_both_roles_of_a_generator():
    assert "generator=mlp" in INSTEAD
    assert "decoder=mlp" in INSTEAD
