import copy

import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.networks.attention import AttentionGenerator
from duogen.networks.dense import MlpGenerator
from duogen.networks.generated import GeneratorDecoder
from duogen.networks.generator import Generator
from duogen.networks.images import DcganGenerator
from duogen.networks.recurrent import RecurrentGenerator
from duogen.networks.resnet import ResnetGenerator
from duogen.networks.style import StyleGenerator
from duogen.networks.transformer import TransformerGenerator

N, LATENT, CLASSES = 4, 6, 3
LABELS = torch.tensor([0, 2, 1, 0])
BUILDS = {
    "mlp": lambda shape: MlpGenerator(shape, LATENT, 7, 2, True, None, CLASSES),
    "dcgan": lambda shape: DcganGenerator(shape, LATENT, 4, CLASSES),
    "resnet": lambda shape: ResnetGenerator(shape, LATENT, 4, CLASSES),
    "attention": lambda shape: AttentionGenerator(shape, LATENT, 8, None, True, CLASSES),
    "style": lambda shape: StyleGenerator(shape, LATENT, 7, 2, 3, True, CLASSES),
    "recurrent": lambda shape: RecurrentGenerator(shape, LATENT, 7, 2, CLASSES),
    "transformer": lambda shape: TransformerGenerator(shape, LATENT, 12, 2, 3, 4, CLASSES),
}


def test_every_generator_is_here():
    assert sorted(type(build((1, 8, 8))).__name__ for build in BUILDS.values()) == sorted(
        found.__name__ for found in Generator.__subclasses__() if found.__module__.startswith("duogen.networks.")
    )
    assert len(BUILDS) == 7


@pytest.mark.parametrize("name", BUILDS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (6, 16, 16)])
def test_the_image_is_the_tanh_of_the_numbers(name, shape):
    torch.manual_seed(0)
    generator, codes = BUILDS[name](shape).eval(), torch.randn(N, LATENT)
    decoder = GeneratorDecoder(copy.deepcopy(generator))
    numbers = decoder(codes, LABELS)
    assert numbers.shape == (N, *shape)
    assert torch.equal(numbers.tanh(), generator(codes, LABELS))
    assert not torch.equal(numbers, numbers.tanh())
    assert list(decoder.state_dict()) == [f"generator.{key}" for key in generator.state_dict()]


def test_vectors_are_unbounded_as_they_were():
    torch.manual_seed(0)
    generator, codes = MlpGenerator((5,), LATENT, 7, 2, False, None, None), torch.randn(N, LATENT)
    assert torch.equal(GeneratorDecoder(copy.deepcopy(generator))(codes), generator(codes))


@pytest.mark.parametrize("name", BUILDS)
def test_a_generator_ends_in_one_squash_that_holds_no_state(name):
    generator = BUILDS[name]((1, 8, 8))
    assert sum(isinstance(layer, nn.Tanh) for layer in generator.modules()) == 1
    assert not any("squash" in key for key in generator.state_dict())
    decoder = GeneratorDecoder(generator)
    assert not any(isinstance(layer, nn.Tanh) for layer in decoder.modules())


def test_a_generator_without_a_squash_is_refused():
    class Bounded(Generator):
        def forward(self, latent, labels=None):
            return latent.tanh()

    with pytest.raises(UserError, match="Bounded without squash"):
        GeneratorDecoder(Bounded())
