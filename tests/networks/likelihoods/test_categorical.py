import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from duogen.errors import UserError
from duogen.networks.likelihoods.categorical import Categorical


@pytest.mark.parametrize("shape", [(1, 2, 3), (3, 2, 4), (5,)])
def test_log_prob_equals_scipy(shape):
    numbers = torch.randn(4, 7, *shape, dtype=torch.float64)
    level = torch.randint(7, (4, *shape))
    log_probs = log_softmax(numbers.numpy(), 1)
    expected = np.take_along_axis(log_probs, level.numpy()[:, None], 1).reshape(4, -1).sum(1)
    distribution = Categorical(shape, 7)(numbers.flatten(1, 2))
    np.testing.assert_allclose(distribution.log_prob(level), expected, rtol=1e-6)
    mean = (np.exp(log_probs) * np.arange(7).reshape(7, *[1] * len(shape))).sum(1)
    np.testing.assert_allclose(distribution.mean, mean, rtol=1e-6)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_probabilities_of_the_levels_sum_to_1(levels):
    distribution = Categorical((1,), levels)(3 * torch.randn(levels, dtype=torch.float64))
    values = Categorical((1,), levels).prepared(torch.linspace(-1, 1, levels)[:, None])
    assert distribution.log_prob(values).exp().sum().item() == pytest.approx(1, abs=1e-6)


def test_grey_values_become_levels_and_certain_levels_become_grey_values():
    made, grey = Categorical((1, 16, 16), 256), (torch.arange(256) / 127.5 - 1).view(1, 1, 16, 16)
    assert torch.equal(made.prepared(grey), torch.arange(256.0).view(1, 1, 16, 16))
    certain = 1e4 * torch.eye(256).view(1, 256, 16, 16)
    torch.testing.assert_close(made.shown(made(certain)), grey)
    assert made(certain).log_prob(made.prepared(grey)).item() == 0


def test_samples_are_as_frequent_as_probable():
    torch.manual_seed(0)
    drawn = Categorical((1,), 3)(torch.tensor([0.5, 0.2, 0.3]).log()).sample(torch.Size([4000]))
    np.testing.assert_allclose(torch.bincount(drawn.flatten(), minlength=3) / 4000, [0.5, 0.2, 0.3], atol=0.03)


def test_refuses_one_level_by_name():
    with pytest.raises(UserError, match="Categorical: levels=1"):
        Categorical((5,), 1)
