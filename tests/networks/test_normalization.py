import numpy as np
import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.networks.normalization import Chain, ConditionalBatchNorm2d, batch_norm_2d

LABELS = torch.tensor([2, 0, 2, 1])


def images():
    torch.manual_seed(0)
    return 3 * torch.randn(4, 5, 2, 3) + 1


def drawn(norm):
    """The norm with gains and biases that differ between classes and channels."""
    nn.init.normal_(norm.gain.weight)
    nn.init.normal_(norm.bias.weight)
    return norm


def test_equals_numpy():
    norm, values = drawn(ConditionalBatchNorm2d(5, 3)), images()
    x = values.numpy()
    normal = (x - x.mean((0, 2, 3), keepdims=True)) / np.sqrt(x.var((0, 2, 3), keepdims=True) + 1e-5)
    gain, bias = (p.detach().numpy() for p in norm.parameters())
    expected = np.stack(
        [gain[y][:, None, None] * n + bias[y][:, None, None] for n, y in zip(normal, LABELS, strict=True)]
    )
    np.testing.assert_allclose(norm(values, LABELS).detach(), expected, rtol=1e-4, atol=1e-5)


def test_two_values_by_hand():
    norm = ConditionalBatchNorm2d(1, 2)
    norm.gain.weight.data = torch.tensor([[2.0], [10.0]])
    norm.bias.weight.data = torch.tensor([[1.0], [-5.0]])
    # Mean 5 and variance 4: the values are normalised to -1 and 1.
    seen = norm(torch.tensor([3.0, 7.0]).view(2, 1, 1, 1), torch.tensor([1, 0]))
    np.testing.assert_allclose(seen.detach().flatten(), [-15, 3], rtol=1e-5)


def test_starts_as_plain_batch_norm():
    plain, conditional = nn.BatchNorm2d(5), ConditionalBatchNorm2d(5, 3)
    for _ in range(3):
        torch.testing.assert_close(conditional(images(), LABELS), plain(images()))
    torch.testing.assert_close(conditional.eval()(images(), LABELS), plain.eval()(images()))
    assert torch.equal(conditional.norm.running_var, plain.running_var)


def test_only_the_classes_of_the_batch_learn():
    norm = drawn(ConditionalBatchNorm2d(5, 4))
    norm(images(), LABELS).square().sum().backward()
    for table in (norm.gain, norm.bias):
        assert table.weight.grad.isfinite().all()
        assert [bool(row.any()) for row in table.weight.grad] == [True, True, True, False]


def test_keeps_the_precision_of_its_values():
    assert ConditionalBatchNorm2d(5, 3)(images().bfloat16(), LABELS).dtype == torch.bfloat16


def test_wants_labels():
    with pytest.raises(UserError, match="3 classes") as caught:
        ConditionalBatchNorm2d(5, 3)(images())
    assert "classes=null" in caught.value.remedy


def test_refuses_no_classes_at_all():
    with pytest.raises(UserError, match="classes=0"):
        ConditionalBatchNorm2d(5, 0)


def test_plain_where_there_are_no_classes():
    assert type(batch_norm_2d(5, None)) is nn.BatchNorm2d
    assert batch_norm_2d(5, None).num_features == 5
    conditional = batch_norm_2d(5, 3)
    assert isinstance(conditional, ConditionalBatchNorm2d)
    assert conditional.gain.weight.shape == (3, 5)


def test_a_chain_tells_the_labels_to_those_that_want_them():
    norms = [drawn(ConditionalBatchNorm2d(5, 3)) for _ in range(2)]
    chain = Chain([norms[0], nn.Tanh(), Chain([nn.ReLU(), norms[1]])])
    expected = norms[1](norms[0](images(), LABELS).tanh().relu(), LABELS)
    torch.testing.assert_close(chain(images(), LABELS), expected)


def test_a_chain_without_labels_is_a_sequence_with_the_same_keys():
    layers = [nn.Conv2d(5, 4, 1), nn.BatchNorm2d(4), nn.ReLU()]
    chain, sequence = Chain(layers), nn.Sequential(*layers)
    torch.testing.assert_close(chain(images()), sequence(images()))
    assert chain.state_dict().keys() == sequence.state_dict().keys()
