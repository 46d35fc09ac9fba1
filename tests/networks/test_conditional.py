import numpy as np
import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.networks.conditional import AuxiliaryClassifier, CodeReader, Projection
from duogen.networks.dense import MlpDiscriminator
from duogen.networks.images import DcganDiscriminator
from duogen.networks.resnet import ResnetDiscriminator

N, CLASSES = 5, 3
LABELS = torch.tensor([2, 0, 1, 2, 2])
DISCRIMINATORS = {
    "mlp": ((4,), lambda shape: MlpDiscriminator(shape, 7, 2, 0.0, False, False, True)),
    "dcgan": ((6, 8, 8), lambda shape: DcganDiscriminator(shape, 4, False, 0.0, True, False, False)),
    "resnet": ((1, 8, 8), lambda shape: ResnetDiscriminator(shape, 4, False, True, False)),
}


def pair(kind, wrap):
    """The wrapped discriminator in evaluation, where spectral norm stands still, and examples."""
    torch.manual_seed(0)
    shape, build = DISCRIMINATORS[kind]
    return wrap(build(shape)).eval(), torch.randn(N, *shape)


def code(discriminator):
    return CodeReader(discriminator, [4, 2], 3, 11)


def classifier(discriminator):
    return AuxiliaryClassifier(discriminator, CLASSES)


def projection(discriminator):
    return Projection(discriminator, CLASSES, False)


@pytest.mark.parametrize("kind", DISCRIMINATORS)
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_projection_equals_its_formula(kind, spectral_norm):
    network, examples = pair(kind, lambda inner: Projection(inner, CLASSES, spectral_norm))
    features = network.features(examples).detach().numpy()
    table = network.classes.weight.detach().numpy()
    plain = network.discriminator(examples).detach().numpy()
    expected = [logit + table[y] @ phi for logit, y, phi in zip(plain, LABELS, features, strict=True)]
    np.testing.assert_allclose(network(examples, LABELS).detach(), expected, rtol=1e-4, atol=1e-5)


def test_projection_starts_xavier_uniform():
    torch.manual_seed(0)
    network = Projection(MlpDiscriminator((4,), 400, 1, 0.0, False, False, False), 20, False)
    bound = np.sqrt(6 / 420)
    assert network.classes.weight.shape == (20, 400)
    assert 0.99 * bound < network.classes.weight.abs().max().item() <= bound


def test_spectral_norm_bounds_the_embeddings():
    network, examples = pair("mlp", lambda inner: Projection(inner, CLASSES, True))
    nn.init.normal_(network.classes.parametrizations.weight.original, 0.0, 9.0)
    network.train()
    for _ in range(100):
        network(examples, LABELS)
    table = network.eval().classes.weight.detach().numpy()
    assert np.linalg.svd(table, compute_uv=False)[0] == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("kind", DISCRIMINATORS)
def test_classifier_equals_its_formula(kind):
    network, examples = pair(kind, classifier)
    seen = network(examples, LABELS).detach()
    weight, bias = (p.detach().numpy() for p in network.classes.parameters())
    assert seen.shape == (N, 1 + CLASSES)
    torch.testing.assert_close(seen[:, 0], network.discriminator(examples).detach())
    logits = network.features(examples).detach().numpy() @ weight.T + bias
    np.testing.assert_allclose(seen[:, 1:], logits, rtol=1e-4, atol=1e-5)
    assert torch.equal(network(examples), network(examples, LABELS))


@pytest.mark.parametrize("kind", DISCRIMINATORS)
def test_code_equals_its_formula(kind):
    network, examples = pair(kind, code)
    network.train()
    network.discriminator.eval()
    seen = network(examples).detach()
    first, gain, bias, second, offset = (p.detach().numpy() for p in network.code.parameters())
    assert first.shape == (11, network.feature_dim)
    assert seen.shape == (N, 1 + (4 + 2) + 2 * 3)
    torch.testing.assert_close(seen[:, 0], network.discriminator(examples).detach())
    hidden = network.features(examples).detach().numpy() @ first.T
    hidden = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-5) * gain + bias
    expected = np.where(hidden > 0, hidden, 0.1 * hidden) @ second.T + offset
    np.testing.assert_allclose(seen[:, 1:], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("categories", "continuous", "width"), [([10], 2, 15), ([], 1, 3), ([2, 3, 4], 0, 10)])
def test_widths_of_codes(categories, continuous, width):
    network = CodeReader(MlpDiscriminator((4,), 7, 1, 0.0, False, False, False), categories, continuous, 6)
    assert network(torch.randn(N, 4)).shape == (N, width)


@pytest.mark.parametrize("kind", DISCRIMINATORS)
@pytest.mark.parametrize("wrap", [projection, classifier, code])
def test_every_parameter_receives_a_finite_gradient(kind, wrap):
    network, examples = pair(kind, wrap)
    network.train()
    seen = network(examples, LABELS)
    (seen * torch.randn_like(seen)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("kind", DISCRIMINATORS)
@pytest.mark.parametrize("wrap", [projection, classifier, code])
def test_double_backward_is_finite(kind, wrap):
    network, examples = pair(kind, wrap)
    network.train()
    examples.requires_grad_()
    (slope,) = torch.autograd.grad(network(examples, LABELS).sum(), examples, create_graph=True)
    slope.square().sum().backward()
    touched = [p.grad for p in network.parameters() if p.grad is not None]
    assert len(touched) >= 3
    assert all(gradient.isfinite().all() for gradient in touched)


@pytest.mark.parametrize("wrap", [projection, classifier, code])
def test_features_are_those_of_the_discriminator(wrap):
    network, examples = pair("dcgan", wrap)
    features = network.features(examples)
    assert torch.equal(features, network.discriminator.features(examples))
    assert features.shape == (N, network.feature_dim)


@pytest.mark.parametrize("wrap", [projection, classifier, code])
def test_refuses_a_network_without_features(wrap):
    with pytest.raises(UserError, match="Linear without features, feature_dim, output") as caught:
        wrap(nn.Linear(4, 1))
    assert "Discriminator" in caught.value.remedy


def test_projection_wants_labels():
    network, examples = pair("mlp", projection)
    with pytest.raises(UserError, match="Projection: no labels"):
        network(examples)


def test_refuses_one_class():
    inner = MlpDiscriminator((4,), 7, 1, 0.0, False, False, False)
    with pytest.raises(UserError, match="Projection: classes=1"):
        Projection(inner, 1, False)
    with pytest.raises(UserError, match="AuxiliaryClassifier: classes=0"):
        AuxiliaryClassifier(inner, 0)


@pytest.mark.parametrize(
    ("arguments", "given"),
    [(([], 0, 5), "continuous=0"), (([4, 1], 2, 5), "categories"), (([4], -1, 5), "-1"), (([4], 1, 0), "width=0")],
)
def test_refuses_codes_that_say_nothing(arguments, given):
    with pytest.raises(UserError, match=f"CodeReader: .*{given}"):
        CodeReader(MlpDiscriminator((4,), 7, 1, 0.0, False, False, False), *arguments)
