import math

import pytest
import torch

from duogen.errors import UserError
from duogen.networks.likelihoods.bounded import bounded, require_scale


def test_is_the_identity_near_0_and_bounded_far_from_it():
    numbers = torch.tensor([-1e4, -3.0, 0.0, 0.01, 3.0, 1e4])
    expected = [-5, 5 * math.tanh(-0.6), 0, 0.01, 5 * math.tanh(0.6), 5]
    torch.testing.assert_close(bounded(numbers, 5.0), torch.tensor(expected), rtol=1e-5, atol=0)


def test_rises_everywhere():
    numbers = torch.linspace(-20, 20, 101, dtype=torch.float64)
    assert (bounded(numbers, 6.0).diff() > 0).all()


@pytest.mark.parametrize("least", [0.0, -0.1, 1.0, 2.0, math.nan])
def test_refuses_a_least_scale_by_name(least):
    with pytest.raises(UserError, match="LearnedGaussian: least="):
        require_scale(least, "LearnedGaussian")
