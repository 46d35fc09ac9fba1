import copy

import numpy as np
import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.networks.autoencoder import AutoencoderDiscriminator

N, WIDTH, HIDDEN = 5, 4, 7
# The sides and channels of the encoder's maps, for a width of 4.
PYRAMIDS = {
    (1, 8, 8): ([4, 2], [4, 8]),
    (1, 28, 28): ([14, 7], [4, 8]),
    (1, 32, 32): ([16, 8, 4], [4, 8, 16]),
    (3, 32, 32): ([16, 8, 4], [4, 8, 16]),
    (3, 64, 64): ([32, 16, 8, 4], [4, 8, 16, 32]),
    (6, 28, 28): ([14, 7], [4, 8]),
    (12, 32, 32): ([16, 8, 4], [4, 8, 16]),
}


def discriminator(shape=(1, 8, 8), norm=1):
    torch.manual_seed(0)
    return AutoencoderDiscriminator(shape, WIDTH, HIDDEN, norm)


@pytest.mark.parametrize("shape", PYRAMIDS)
def test_the_decoder_mirrors_the_encoder(shape):
    network, seen = discriminator(shape), []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda _, __, output: seen.append((output.shape[3], output.shape[1])))
    images = torch.randn(N, *shape)
    assert network.features(images).shape == (N, network.feature_dim) == (N, HIDDEN)
    seen.clear()
    assert network(images).shape == (N,)
    maps = list(zip(*PYRAMIDS[shape], strict=True))
    assert seen == [*maps, *reversed(maps[:-1]), (shape[1], shape[0])]


@pytest.mark.parametrize("norm", [1, 2])
def test_the_energy_is_the_mean_error_of_a_reconstruction(norm):
    network, images = discriminator((3, 12, 12), norm), torch.randn(N, 3, 12, 12)
    rebuilt = network.decoder(network.features(images)).detach().numpy()
    errors = (np.abs(images.numpy() - rebuilt) ** norm).mean((1, 2, 3))
    np.testing.assert_allclose(network(images).detach(), errors, rtol=1e-5)
    assert (network(images) > 0).all()


def test_a_perfect_reconstruction_has_no_energy():
    network = discriminator()
    with torch.no_grad():
        for parameter in network.decoder[-1].parameters():
            parameter.zero_()
        network.decoder[-1].bias.fill_(0.25)
    assert not network(torch.full((N, 1, 8, 8), 0.25)).any()


def test_training_lowers_the_energy_of_what_it_saw():
    network, images = discriminator((1, 8, 8), 1), torch.rand(N, 1, 8, 8) * 2 - 1
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    before = network(images).mean().item()
    for _ in range(60):
        optimizer.zero_grad()
        network(images).mean().backward()
        optimizer.step()
    assert network(images).mean().item() < 0.6 * before


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64)])
@pytest.mark.parametrize("norm", [1, 2])
def test_every_parameter_and_the_image_receive_a_finite_gradient(shape, norm):
    network, images = discriminator(shape, norm), torch.randn(N, *shape, requires_grad=True)
    network(images).sum().backward()
    for name, parameter in [*network.named_parameters(), ("image", images)]:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("norm", [1, 2])
def test_double_backward_reaches_every_weight(norm):
    network, images = discriminator((1, 8, 8), norm), torch.randn(N, 1, 8, 8, requires_grad=True)
    (slope,) = torch.autograd.grad(network(images).square().sum(), images, create_graph=True)
    slope.square().sum().backward()
    weights = [p for p in network.parameters() if p.ndim > 1]
    assert len(weights) == 6
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in weights)


def test_no_energy_depends_on_another_example():
    network, images = discriminator(), torch.randn(N, 1, 8, 8)
    torch.testing.assert_close(network(images[2:]), network(images)[2:])


def test_a_deep_copy_is_equal_and_independent():
    network, images = discriminator(), torch.randn(N, 1, 8, 8)
    before, twin = network(images), copy.deepcopy(network)
    assert torch.equal(twin(images), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(3)
    assert torch.equal(network(images), before)


def test_builds_and_runs_on_the_meta_device():
    with torch.device("meta"):
        assert discriminator((3, 64, 64))(torch.empty(N, 3, 64, 64)).shape == (N,)


@pytest.mark.parametrize("shape", [(), (5,), (28, 28), (1, 28, 32), (3, 30, 30)])
def test_refuses_a_shape_by_name(shape):
    with pytest.raises(UserError) as caught:
        discriminator(shape)
    assert caught.value.given == f"AutoencoderDiscriminator: shape {shape}"
    assert "another discriminator" in caught.value.remedy


def test_refuses_sizes_and_norms_by_name():
    with pytest.raises(UserError, match="AutoencoderDiscriminator: width=0"):
        AutoencoderDiscriminator((1, 8, 8), 0, 7, 1)
    with pytest.raises(UserError, match="AutoencoderDiscriminator: hidden_dim=0"):
        AutoencoderDiscriminator((1, 8, 8), 4, 0, 1)
    with pytest.raises(UserError, match="AutoencoderDiscriminator: norm=3"):
        AutoencoderDiscriminator((1, 8, 8), 4, 7, 3)
