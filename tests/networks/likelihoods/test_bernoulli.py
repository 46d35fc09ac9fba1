import numpy as np
import pytest
import torch
from scipy.stats import bernoulli

from duogen.networks.likelihoods.bernoulli import Bernoulli


@pytest.mark.parametrize("shape", [(1, 2, 3), (3, 2, 4), (5,)])
def test_log_prob_equals_scipy(shape):
    logits = torch.randn(4, *shape, dtype=torch.float64)
    value = torch.randint(2, (4, *shape)).double()
    expected = bernoulli.logpmf(value.numpy(), 1 / (1 + np.exp(-logits.numpy()))).reshape(4, -1).sum(1)
    np.testing.assert_allclose(Bernoulli(shape)(logits).log_prob(value), expected, rtol=1e-6)


def test_grey_values_give_the_cross_entropy():
    logits, grey = torch.randn(4, 5, dtype=torch.float64), torch.rand(4, 5, dtype=torch.float64)
    white = 1 / (1 + np.exp(-logits.numpy()))
    expected = (grey.numpy() * np.log(white) + (1 - grey.numpy()) * np.log(1 - white)).sum(1)
    np.testing.assert_allclose(Bernoulli((5,))(logits).log_prob(grey), expected, rtol=1e-6)


def test_black_is_0_and_white_is_1():
    made = Bernoulli((3,))
    assert made.prepared(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [0, 0.5, 1]
    shown = made.shown(made(torch.tensor([-50.0, 0.0, 50.0])))
    np.testing.assert_allclose(shown, [-1, 0, 1], atol=1e-6)


def test_one_example_meets_the_numbers_of_several_codes():
    logits, value = torch.randn(3, 2, 1, 4, 5), torch.randint(2, (2, 1, 4, 5)).float()
    found = Bernoulli((1, 4, 5))(logits).log_prob(value)
    torch.testing.assert_close(found, torch.stack([Bernoulli((1, 4, 5))(each).log_prob(value) for each in logits]))
    assert found.shape == (3, 2)
