import pytest
import torch
from torch import nn

from contracts.tiny import TinyVAE
from duogen.errors import UserError
from duogen.experiment.show import Scene, within
from duogen.modules.gan import GAN
from duogen.networks.dense import MlpGenerator
from duogen.objectives.adversarial import NonSaturating


def scene(module):
    return Scene(module, lambda: pytest.fail("nobody has asked for data"), torch.Generator())


def gan():
    generator = MlpGenerator([2], 3, 4, 1, False, None, None)
    return GAN(generator, nn.Linear(2, 1), NonSaturating(), {}, None, 3, 1, 1.0, None, None)


def test_a_gan_maps_noise_to_examples_but_has_no_codes():
    module = gan()
    assert scene(module).generative("interpolation") is module
    with pytest.raises(UserError, match="show=plane with a checkpoint of GAN"):
        scene(module).vae("plane")


def test_a_module_of_another_kind_is_refused_by_both():
    with pytest.raises(UserError, match="checkpoint of TinyVAE"):
        scene(TinyVAE()).generative("interpolation")
    with pytest.raises(UserError, match="checkpoint of TinyVAE"):
        scene(TinyVAE()).vae("traversals")


@pytest.mark.parametrize("value", [0, 6])
def test_a_setting_outside_its_range_is_refused(value):
    within("n", 5, 1, 5)
    with pytest.raises(UserError, match=f"n={value}"):
        within("n", value, 1, 5)
