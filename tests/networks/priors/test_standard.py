import numpy as np
import torch
from scipy import stats
from torch.distributions import Independent, Normal, kl_divergence

from duogen.networks.posteriors.gaussian import diagonal
from duogen.networks.priors.standard import StandardPrior


def test_density_equals_scipy():
    code = torch.randn(4, 5, 3)
    found = StandardPrior(3)(lambda examples: None).log_prob(code)
    np.testing.assert_allclose(found, stats.norm.logpdf(code.numpy()).sum(-1), rtol=1e-5)


def test_it_has_nothing_to_learn_and_nothing_to_save():
    prior = StandardPrior(3)
    assert list(prior.parameters()) == []
    assert prior.state_dict() == {}


def test_the_rate_of_a_gaussian_is_that_of_torch():
    posterior, zeros = diagonal(torch.randn(4, 6).double()), torch.zeros(3).double()
    generic = Independent(Normal(posterior.base_dist.loc, posterior.base_dist.scale), 1)
    found = kl_divergence(posterior, StandardPrior(3).double()(lambda examples: None))
    torch.testing.assert_close(found, kl_divergence(generic, Independent(Normal(zeros, zeros + 1), 1)))
    assert StandardPrior(3)(lambda examples: None).expand((2,)).sample().shape == (2, 3)
