import math

import pytest
import torch

from duogen.networks.priors.hypersphere import HyperspherePrior, log_area


@pytest.mark.parametrize(
    ("dimension", "area"), [(1, 2), (2, 2 * math.pi), (3, 4 * math.pi), (4, 2 * math.pi**2), (5, 8 / 3 * math.pi**2)]
)
def test_area(dimension, area):
    assert math.exp(log_area(dimension)) == pytest.approx(area)


def test_draws_are_uniform_directions():
    torch.manual_seed(0)
    uniform = HyperspherePrior(4)(lambda examples: None)
    drawn = uniform.sample((5000,))
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(5000))
    assert drawn.mean(0).abs().max() < 3.5 * (1 / 4 / 5000) ** 0.5
    torch.testing.assert_close(drawn.T @ drawn / 5000, torch.eye(4) / 4, rtol=0, atol=0.01)
    torch.testing.assert_close(uniform.log_prob(drawn), torch.full((5000,), -math.log(2 * math.pi**2)))
