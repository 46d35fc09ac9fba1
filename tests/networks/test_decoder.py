"""Every decoder on disk, at its published size: the numbers that it gives for each shape, or the words that refuse."""

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from duogen.conftree import conf_dir
from duogen.errors import UserError
from duogen.experiment.build import build
from duogen.networks.decoder import Decoder
from duogen.resolvers import packed

OPTIONS = sorted(path.stem for path in (conf_dir() / "decoder").glob("*.yaml"))
SHAPES = [(5,), (1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 64, 64), (2, 6, 9)]
IMAGES, LARGE = SHAPES[1:5], SHAPES[2:5]
PYRAMIDS = dict.fromkeys(("attention", "dcgan", "resnet", "style", "transformer"), IMAGES)
SERVED = {"mlp": SHAPES, "gated": SHAPES, "conv": LARGE, "rae": SHAPES[1:], "recurrent": SHAPES[1:], **PYRAMIDS}
ELSEWHERE = {"vq", "hierarchical"}  # maps of codes, and two layers of them, tested in places of their own
CASES = [(option, shape) for option in SERVED for shape in SERVED[option]]
REFUSED = [(option, shape) for option in SERVED for shape in SHAPES if shape not in SERVED[option]]
GENERATORS = ("attention", "dcgan", "recurrent", "resnet", "style", "transformer")
N, LATENT, CLASSES = 4, 6, 3
LABELS = torch.tensor([0, 1, 2, 1])


def node_of(role, option):
    return yaml.safe_load((conf_dir() / role / f"{option}.yaml").read_text())


def decoder(option, shape, outputs=1, classes=None):
    torch.manual_seed(0)
    told = {"decoded": packed(list(shape), outputs), "latent_dim": LATENT, "classes": classes}
    config = OmegaConf.create({"decoder": node_of("decoder", option), **told})
    return build(OmegaConf.to_container(config, resolve=True)["decoder"])


def test_the_decoders_were_found():
    assert set(OPTIONS) - ELSEWHERE == set(SERVED)
    assert (len(SERVED), len(CASES), len(REFUSED)) == (10, 45, 15)
    assert all(isinstance(decoder(option, (1, 28, 28)), Decoder) for option in SERVED)


@pytest.mark.parametrize(("outputs", "classes"), [(1, None), (3, CLASSES)])
@pytest.mark.parametrize(("option", "shape"), CASES)
def test_codes_become_numbers_and_every_parameter_a_gradient(option, shape, outputs, classes):
    network = decoder(option, shape, outputs, classes)
    numbers = network(torch.randn(N, LATENT), LABELS)
    assert numbers.shape == (N, outputs * shape[0], *shape[1:])
    (numbers * torch.randn_like(numbers)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # Before training, what leads to attention's zero gain has no gradient.
        assert parameter.grad.any() or option == "attention", name


@pytest.mark.parametrize(("option", "shape"), REFUSED)
def test_a_shape_that_is_not_served_is_refused_in_words(option, shape):
    with pytest.raises(UserError) as caught:
        decoder(option, shape)
    assert str(shape[-1]) in caught.value.given
    assert any(word in caught.value.remedy for word in ("decoder=mlp", "decoder.widths=[", "patch="))


@pytest.mark.parametrize("option", SERVED)
def test_numbers_are_unbounded(option):
    network = decoder(option, (1, 28, 28)).train()
    final = [parameter for name, parameter in network.named_parameters() if name.endswith(("weight", "original"))]
    with torch.no_grad():
        [parameter.mul_(30) for parameter in final]
    assert network(10 * torch.randn(N, LATENT)).abs().max() > 1


@pytest.mark.parametrize("option", SERVED)
def test_labels_are_used_where_there_are_classes_and_only_there(option):
    codes, other = torch.randn(N, LATENT), torch.tensor([0, 1, 0, 1])
    told, plain = decoder(option, (1, 28, 28), classes=CLASSES), decoder(option, (1, 28, 28)).eval()
    told(codes, LABELS).exp().sum().backward()
    with torch.no_grad():
        [parameter.sub_(0.1 * parameter.grad.sign()) for parameter in told.parameters()]
    told.eval()
    changed = (told(codes, LABELS) - told(codes, other)).abs().flatten(1).amax(1)
    assert changed[2] > 0
    assert changed[[0, 1, 3]].max() == 0
    assert torch.equal(plain(codes, LABELS), plain(codes))


@pytest.mark.parametrize("option", SERVED)
def test_the_numbers_are_a_function_of_the_code_in_training_too(option):
    network, codes = decoder(option, (1, 28, 28)).train(), torch.randn(N, LATENT)
    network(codes)
    random = torch.get_rng_state()
    network(codes)
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("option", SERVED)
def test_builds_on_the_meta_device_and_the_default_generator_decides(option):
    with torch.device("meta"):
        assert all(tensor.is_meta for tensor in decoder(option, (1, 28, 28), 3, CLASSES).state_dict().values())
    first, second = decoder(option, (1, 28, 28)).state_dict(), decoder(option, (1, 28, 28)).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_generators_are_compared_at_equal_settings():
    assert sorted(path.stem for path in (conf_dir() / "generator").glob("*.yaml")) == sorted([*GENERATORS, "mlp"])
    for option in GENERATORS:
        expected = node_of("generator", option) | {"shape": "${decoded}"}
        given = node_of("decoder", option)["generator"]
        # The noise of each pixel would make the likelihood a draw of its own.
        assert given == (expected | {"noise": False} if option == "style" else expected)


def test_a_decoder_must_say_how_it_decodes():
    class Empty(Decoder):
        pass

    with pytest.raises(TypeError, match="forward"):
        Empty()
