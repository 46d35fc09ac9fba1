import pytest
import torch
from torch.autograd.functional import jacobian

from networks.posteriors.built import built

FLOWS = ["maf", "realnvp"]


@pytest.mark.parametrize("stem", FLOWS)
def test_density_is_the_normals_by_the_change_of_volume(stem):
    density = built(prior=stem, latent_dim=4)[1](None)
    code = torch.randn(4)
    origin = density.transform(code)
    expected = torch.distributions.Normal(0, 1).log_prob(origin).sum()
    expected = expected + jacobian(density.transform, code).slogdet()[1]
    torch.testing.assert_close(density.log_prob(code), expected, rtol=1e-4, atol=1e-4)


def test_a_density_runs_each_masked_network_once():
    prior = built(prior="maf", latent_dim=4)[1]
    calls = []
    for layer in prior.flow.transforms:
        layer.hyper.register_forward_hook(lambda *_: calls.append(1))
    prior(None).log_prob(torch.randn(3, 4))
    assert len(calls) == 3


@pytest.mark.parametrize("stem", FLOWS)
def test_one_dimension_will_do(stem):
    density = built(prior=stem, latent_dim=1)[1](None)
    line = torch.linspace(-60, 60, 6001)
    with torch.no_grad():
        assert (density.log_prob(line[:, None]).double().exp().sum() * 0.02).item() == pytest.approx(1, abs=1e-3)
