import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import kstest
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli
from torch.distributions import Independent, Normal

from duogen.errors import UserError
from duogen.networks.likelihoods.continuous_bernoulli import ContinuousBernoulli, TiltedUniform

HALF = [0.0, 1e-12, 1e-6, 1e-3, 0.05, 0.0999, 0.1, 0.1001, 0.3, 1.0, 5.0, 15.0, 25.0, 5e3]
LOGITS = sorted({sign * 2 * half for half in HALF for sign in (-1, 1)})
VALUES = [0.0, 1e-3, 0.3, 0.5, 1.0]


def exact_log_prob(logit, value):
    """log p(x) = l x - log((e^l - 1) / l), in 50 digits."""
    logit, value = mpmath.mpf(logit), mpmath.mpf(value)
    return logit * value - (mpmath.log(mpmath.expm1(logit) / logit) if logit else 0)


def exact_mean(logit):
    logit = mpmath.mpf(logit)
    return 1 / (1 - mpmath.exp(-logit)) - 1 / logit if logit else mpmath.mpf("0.5")


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-6)])
@pytest.mark.parametrize("logit", LOGITS)
def test_log_prob_its_gradient_and_the_mean_equal_the_exact_ones(logit, dtype, tolerance):
    given = torch.full((len(VALUES),), logit, dtype=dtype, requires_grad=True)
    distribution, logit = TiltedUniform(given), given[0].item()
    log_prob = distribution.log_prob(torch.tensor(VALUES, dtype=dtype))
    (gradient,) = torch.autograd.grad(log_prob.sum(), given)
    values = torch.tensor(VALUES, dtype=dtype).tolist()
    with mpmath.workdps(50):
        expected = [float(exact_log_prob(logit, value)) for value in values]
        mean = float(exact_mean(logit))
    np.testing.assert_allclose(log_prob.detach(), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(distribution.mean.detach(), mean, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(gradient, np.array(values) - mean, rtol=0, atol=5 * tolerance)


def test_equals_torch_where_torch_is_a_density():
    logits = torch.linspace(-12, 12, 41, dtype=torch.float64)
    value = torch.rand(41, dtype=torch.float64)
    ours, theirs = TiltedUniform(logits), TorchContinuousBernoulli(logits=logits)
    torch.testing.assert_close(ours.log_prob(value), theirs.log_prob(value), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours.mean, theirs.mean, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("logit", [-40.0, -2.0, 0.0, 0.19, 3.0, 60.0])
def test_the_density_integrates_to_1(logit):
    distribution = ContinuousBernoulli((1,), 256, False)(torch.tensor([logit]))
    whole = quad(lambda x: distribution.log_prob(torch.tensor([x], dtype=torch.float64)).exp().item(), 0, 1)[0]
    assert whole == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("logit", [-40.0, -2.0, 0.0, 1e-4, 3.0])
def test_samples_follow_the_density(logit):
    torch.manual_seed(0)
    drawn = TiltedUniform(torch.tensor([logit], dtype=torch.float64)).sample(torch.Size([2000])).flatten().numpy()
    assert kstest(drawn, lambda x: np.expm1(logit * x) / np.expm1(logit) if logit else x).pvalue > 0.01


def test_samples_stay_in_the_support_and_carry_gradients():
    logits = torch.tensor([-1e4, -1.0, 0.0, 1.0, 1e4], requires_grad=True)
    drawn = TiltedUniform(logits).rsample(torch.Size([1000]))
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    (gradient,) = torch.autograd.grad(drawn.sum(), logits)
    assert gradient.isfinite().all()
    assert (gradient[[1, 3]] > 0).all()


def test_noisy_levels_fill_the_support():
    torch.manual_seed(0)
    made = ContinuousBernoulli((1, 50, 60), 17, True)
    for level, value in ((0, -1.0), (5, 5 / 8 - 1), (16, 1.0)):
        noise = made.prepared(torch.full((2, 1, 50, 60), value)) * 17 - level
        assert noise.min() > -1e-5
        assert noise.max() < 1 + 1e-5
        np.testing.assert_allclose(torch.histc(noise, 10, 0, 1), 600, atol=5 * 600**0.5)
    assert made.level == 1 / 17
    clean = ContinuousBernoulli((1, 1, 3), 17, False)
    assert clean.prepared(torch.tensor([[[-1.0, 0.5, 1.0]]])).flatten().tolist() == [0, 0.75, 1]
    assert clean.level == 1 / 16


def test_what_is_shown_is_back_in_the_range_of_the_levels():
    made = ContinuousBernoulli((1, 1, 17), 17, True)
    levels = torch.arange(17).view(1, 1, 17)
    middle = Independent(Normal((levels + 0.5) / 17, 1.0), 3)
    torch.testing.assert_close(made.shown(middle), levels / 8 - 1)
    ends = Independent(Normal(torch.tensor([[[0.0, 1.0]]]), 1.0), 3)
    assert made.shown(ends).flatten().tolist() == [-1, 1]


def test_refuses_one_level_by_name():
    with pytest.raises(UserError, match="ContinuousBernoulli: levels=1"):
        ContinuousBernoulli((5,), 1, True)
