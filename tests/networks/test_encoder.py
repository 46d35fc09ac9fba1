"""Every encoder on disk, at its published size: what it makes of each shape, or the words that refuse it."""

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from duogen.conftree import conf_dir
from duogen.errors import UserError
from duogen.experiment.build import build
from duogen.networks.encoder import Encoder

OPTIONS = sorted(path.stem for path in (conf_dir() / "encoder").glob("*.yaml"))
SHAPES = [(5,), (1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 64, 64), (2, 6, 9)]
IMAGES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 64, 64)]
LARGE = [(1, 28, 28), (3, 32, 32), (1, 64, 64)]
SERVED = {"mlp": SHAPES, "gated": SHAPES, "conv": LARGE, "rae": LARGE, "resnet": IMAGES}
ELSEWHERE = {"vq"}  # maps of codes, tested with the quantizers
CASES = [(option, shape) for option in SERVED for shape in SERVED[option]]
REFUSED = [(option, shape) for option in SERVED for shape in SHAPES if shape not in SERVED[option]]
N, CLASSES = 4, 3


def encoder(option, shape, classes=None):
    torch.manual_seed(0)
    node = yaml.safe_load((conf_dir() / "encoder" / f"{option}.yaml").read_text())
    config = OmegaConf.create({"encoder": node, "data": {"shape": list(shape)}, "classes": classes})
    return build(OmegaConf.to_container(config, resolve=True)["encoder"])


def test_the_encoders_were_found():
    assert set(OPTIONS) - ELSEWHERE == set(SERVED)
    assert (len(SERVED), len(CASES), len(REFUSED)) == (5, 22, 8)
    assert all(isinstance(encoder(option, (1, 28, 28)), Encoder) for option in SERVED)


@pytest.mark.parametrize(("option", "shape"), CASES)
def test_examples_become_features_and_every_parameter_a_gradient(option, shape):
    network, examples = encoder(option, shape, CLASSES), torch.rand(N, *shape) * 2 - 1
    features = network(examples, torch.tensor([0, 1, 2, 1]))
    assert features.shape == (N, network.feature_dim)
    (features * torch.randn_like(features)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize(("option", "shape"), REFUSED)
def test_a_shape_that_is_not_served_is_refused_in_words(option, shape):
    with pytest.raises(UserError) as caught:
        encoder(option, shape)
    assert str(list(shape)[-1]) in caught.value.given
    assert "encoder=mlp" in caught.value.remedy or "encoder.widths=[" in caught.value.remedy


@pytest.mark.parametrize("option", SERVED)
def test_labels_are_used_where_there_are_classes_and_only_there(option):
    examples = torch.rand(N, 1, 28, 28) * 2 - 1
    first, second = torch.tensor([0, 1, 2, 1]), torch.tensor([0, 1, 0, 1])
    told, plain = encoder(option, (1, 28, 28), CLASSES).eval(), encoder(option, (1, 28, 28)).eval()
    changed = (told(examples, first) - told(examples, second)).abs().amax(1)
    assert changed[2] > 1e-6
    assert changed[[0, 1, 3]].max() == 0
    assert torch.equal(plain(examples, first), plain(examples))
    with pytest.raises(UserError, match="3 classes"):
        told(examples)


@pytest.mark.parametrize("option", SERVED)
def test_fewer_than_one_class_is_refused(option):
    with pytest.raises(UserError, match="classes=0"):
        encoder(option, (1, 28, 28), 0)


@pytest.mark.parametrize("option", SERVED)
def test_builds_on_the_meta_device_and_the_default_generator_decides(option):
    with torch.device("meta"):
        assert all(tensor.is_meta for tensor in encoder(option, (1, 28, 28), CLASSES).state_dict().values())
    first, second = encoder(option, (1, 28, 28)).state_dict(), encoder(option, (1, 28, 28)).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_an_encoder_must_say_how_it_encodes():
    class Empty(Encoder):
        pass

    with pytest.raises(TypeError, match="forward"):
        Empty()
