import numpy as np
import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.networks.layers import MinibatchStd, constrain


@pytest.mark.parametrize(("count", "group", "size"), [(6, 4, 3), (8, 4, 4), (5, 4, 1), (2, 4, 2), (7, 7, 7)])
@pytest.mark.parametrize("rest", [(3,), (3, 2, 5)])
def test_minibatch_std(count, group, size, rest):
    torch.manual_seed(0)
    values = torch.randn(count, *rest)
    seen = MinibatchStd(group)(values)
    assert seen.shape == (count, 4, *rest[1:])
    assert torch.equal(seen[:, :3], values)
    groups = count // size
    for i in range(count):
        peers = values[i % groups :: groups].numpy()
        assert len(peers) == size
        spread = np.sqrt(peers.var(0) + 1e-8).mean()
        np.testing.assert_allclose(seen[i, 3], np.full(rest[1:], spread), rtol=1e-5)


def test_minibatch_std_keeps_the_precision_of_its_input():
    assert MinibatchStd(4)(torch.randn(4, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_minibatch_std_differentiates_twice_where_all_examples_agree():
    values = torch.ones(4, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(MinibatchStd(4)(values).square().sum(), values, create_graph=True)
    slope.square().sum().backward()
    assert values.grad.isfinite().all()


@pytest.mark.parametrize(
    ("build", "sizes", "fan_in"),
    [
        (nn.Linear, (6, 5), 6),
        (nn.Conv1d, (3, 5, 2), 3 * 2),
        (nn.Conv2d, (3, 5, 2), 3 * 2 * 2),
        (nn.ConvTranspose2d, (3, 5, 2), 3 * 2 * 2),
    ],
)
def test_equalized_weights(build, sizes, fan_in):
    torch.manual_seed(0)
    network = nn.Sequential(build(*sizes), nn.ReLU())
    shape = network[0].weight.shape
    constrain(network, spectral_norm=False, equalized=True)
    original = network[0].parametrizations.weight.original
    assert network[0].weight.shape == original.shape == shape
    np.testing.assert_allclose(network[0].weight.detach(), original.detach() / np.sqrt(fan_in), rtol=1e-6)


def test_equalized_weights_are_drawn_anew():
    torch.manual_seed(0)
    layer = nn.Linear(100, 80)
    nn.init.zeros_(layer.weight)
    constrain(layer, spectral_norm=False, equalized=True)
    original = layer.parametrizations.weight.original
    assert original.std().item() == pytest.approx(1, rel=0.03)
    assert abs(original.mean().item()) < 0.03


@pytest.mark.parametrize("build", [lambda: nn.Linear(6, 5), lambda: nn.Conv2d(3, 5, 2)])
def test_spectral_norm(build):
    torch.manual_seed(0)
    layer = build()
    raw = layer.weight.detach().flatten(1).numpy()
    constrain(layer, spectral_norm=True, equalized=False)
    for _ in range(100):
        _ = layer.weight
    largest = np.linalg.svd(raw, compute_uv=False)[0]
    np.testing.assert_allclose(layer.eval().weight.detach().flatten(1), raw / largest, rtol=1e-4, atol=1e-6)


def test_no_constraint_leaves_the_network_alone():
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    constrain(network, spectral_norm=False, equalized=False)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_refuses_both_constraints():
    with pytest.raises(UserError, match=r"Linear: spectral_norm=true and equalized=true"):
        constrain(nn.Linear(3, 2), spectral_norm=True, equalized=True)
