import mpmath
import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import logistic

from duogen.errors import UserError
from duogen.networks.likelihoods.discretised_logistic_mixture import DiscretisedLogisticMixture, LogisticMixture

K = 3


def probabilities(logits, means, scales, levels):
    """P of each of the levels, (levels, *), by differences of scipy's distribution function; parameters (K, *)."""
    values = np.linspace(-1, 1, levels).reshape(levels, 1, *[1] * (means.ndim - 1))
    above = logistic.cdf(values + 1 / (levels - 1), means, scales)
    below = logistic.cdf(values - 1 / (levels - 1), means, scales)
    above[-1], below[0] = 1, 0
    return ((above - below) * softmax(logits, 0)).sum(1)


def single(logits, means, log_scales, levels):
    """One value, its parameters as lists."""
    parts = (torch.tensor([part], dtype=torch.float64) for part in (logits, means, log_scales))
    return LogisticMixture(*parts, levels, 1)


def grid(levels):
    return torch.linspace(-1, 1, levels, dtype=torch.float64)[:, None]


@pytest.mark.parametrize("levels", [2, 5, 256])
@pytest.mark.parametrize("shape", [(1, 2, 4), (3, 2, 4), (5,)])
def test_log_prob_equals_scipy(shape, levels):
    numbers = torch.randn(6, 3, K, *shape, dtype=torch.float64)
    level = torch.randint(levels, (6, *shape))
    level.flatten()[:2] = torch.tensor([0, levels - 1])
    logits, means, log_scales = numbers.numpy().swapaxes(0, 1).swapaxes(1, 2)
    table = probabilities(logits, means, np.exp(7 * np.tanh(log_scales / 7)), levels)
    expected = np.log(np.take_along_axis(table, level.numpy()[None], 0)[0]).reshape(6, -1).sum(1)
    made = DiscretisedLogisticMixture(shape, levels, K)
    value = made.prepared(level.double() * 2 / (levels - 1) - 1)
    np.testing.assert_allclose(made(numbers.flatten(1, 3)).log_prob(value), expected, rtol=1e-6)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("log_scale", [-7.0, -5.0, -2.0, 0.0, 3.0, 7.0])
@pytest.mark.parametrize("mean", [-5.0, -1.0, -0.003, 0.5, 1.0, 1e4])
def test_probabilities_of_the_levels_sum_to_1(mean, log_scale, levels):
    mixture = single([0.4, -1.0], [mean, 0.2], [log_scale, -3.0], levels)
    assert mixture.log_prob(grid(levels)).exp().sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
@pytest.mark.parametrize("value", [-1.0, -0.2, 1.0])
@pytest.mark.parametrize("log_scale", [-7.0, -3.0, 4.0])
@pytest.mark.parametrize("mean", [-30.0, -1.0, 0.0, 0.9, 30.0])
def test_log_prob_is_exact_far_from_the_mean(mean, log_scale, value, dtype, tolerance):
    parts = (torch.tensor([[part]], dtype=dtype) for part in (0.0, mean, log_scale))
    ours = LogisticMixture(*parts, 256, 1).log_prob(torch.tensor([value], dtype=dtype)).item()
    with mpmath.workdps(60):
        scale, half = mpmath.exp(log_scale), mpmath.mpf(1) / 255
        mean, value = float(torch.tensor(mean, dtype=dtype)), float(torch.tensor(value, dtype=dtype))

        def under(x):
            tail = mpmath.exp(-abs((x - mean) / scale))
            return (tail if x < mean else 1) / (1 + tail)

        def over(x):
            tail = mpmath.exp(-abs((x - mean) / scale))
            return (1 if x < mean else tail) / (1 + tail)

        if value == -1:
            expected = mpmath.log(under(value + half))
        elif value == 1:
            expected = mpmath.log(over(value - half))
        else:
            side = under if value < mean else over
            expected = mpmath.log(abs(side(value + half) - side(value - half)))
        expected = float(expected)
    assert ours == pytest.approx(expected, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("log_scale", [-7.0, -4.0, -1.0, 3.0])
@pytest.mark.parametrize("mean", [-30.0, -0.99, 0.1, 0.7, 30.0])
def test_the_mean_is_within_half_a_level_of_the_levels_mean(mean, log_scale, levels):
    mixture = single([0.4, -1.0], [mean, 0.2], [log_scale, -2.0], levels)
    exact = (mixture.log_prob(grid(levels)).exp() * grid(levels)[:, 0]).sum().item()
    assert abs(mixture.mean.item() - exact) <= 1 / (levels - 1) + 1e-9
    assert log_scale < -1 or levels < 256 or mixture.mean.item() == pytest.approx(exact, abs=1e-4)


def test_samples_are_levels_as_frequent_as_probable():
    torch.manual_seed(0)
    mixture = single([0.4, -0.5], [-0.6, 0.8], [-2.0, -1.0], 9)
    drawn = mixture.sample(torch.Size([8000]))
    counts = ((drawn + 1) * 4).flatten()
    torch.testing.assert_close(counts, counts.round())
    frequencies = torch.bincount(counts.round().long(), minlength=9) / 8000
    np.testing.assert_allclose(frequencies, mixture.log_prob(grid(9)).exp(), atol=0.02)


def test_channels_are_not_coupled():
    made = DiscretisedLogisticMixture((3, 2, 4), 256, K)
    numbers = torch.randn(1, 3 * K * 3, 2, 4, requires_grad=True)
    distribution = made(numbers)
    torch.testing.assert_close(distribution.mean.shape, torch.Size([1, 3, 2, 4]))
    (gradient,) = torch.autograd.grad(distribution.mean[:, 1].sum(), numbers)
    touched = gradient.view(3 * K, 3, 2, 4).abs().sum((0, 2, 3))
    assert touched[1] > 0
    assert touched[0] == touched[2] == 0


def test_values_are_taken_for_their_nearest_level():
    made = DiscretisedLogisticMixture((4,), 5, K)
    assert made.prepared(torch.tensor([-1.3, -0.7, 0.2, 0.9])).tolist() == [-1, -0.5, 0, 1]


def test_refuses_sizes_by_name():
    with pytest.raises(UserError, match="DiscretisedLogisticMixture: levels=1"):
        DiscretisedLogisticMixture((5,), 1, K)
    with pytest.raises(UserError, match="DiscretisedLogisticMixture: components=0"):
        DiscretisedLogisticMixture((5,), 256, 0)
