import numpy as np
import pytest
import torch
from scipy import special, stats

from duogen.errors import UserError
from duogen.networks.priors.mixture import MixturePrior


def test_density_equals_scipy():
    torch.manual_seed(0)
    prior = MixturePrior(3, 4, 2.0)
    with torch.no_grad():
        for parameter in (prior.logits, prior.log_variances):
            parameter.copy_(3 * torch.randn_like(parameter))
    code = 2 * torch.randn(5, 2, 3)
    means, logits, numbers = (p.detach().numpy() for p in (prior.means, prior.logits, prior.log_variances))
    scales = np.exp(4 * np.tanh(numbers / 8))
    parts = stats.norm.logpdf(code.numpy()[:, :, None], means, scales).sum(-1) + special.log_softmax(logits)
    with torch.no_grad():
        found = prior(lambda examples: None).log_prob(code)
    np.testing.assert_allclose(found, special.logsumexp(parts, -1), rtol=1e-4)


def test_means_start_apart_and_the_rest_alike():
    torch.manual_seed(0)
    prior = MixturePrior(50, 40, 3.0)
    assert prior.means.std().item() == pytest.approx(3, rel=0.1)
    assert not prior.log_variances.any()
    assert not prior.logits.any()


def test_no_components_are_refused():
    with pytest.raises(UserError, match="components=0"):
        MixturePrior(3, 0, 1.0)
