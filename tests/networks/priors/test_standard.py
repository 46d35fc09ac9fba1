import numpy as np
import torch
from scipy import stats

from duogen.networks.priors.standard import StandardPrior


def test_density_equals_scipy():
    code = torch.randn(4, 5, 3)
    found = StandardPrior(3)(lambda examples: None).log_prob(code)
    np.testing.assert_allclose(found, stats.norm.logpdf(code.numpy()).sum(-1), rtol=1e-5)


def test_it_has_nothing_to_learn_and_nothing_to_save():
    prior = StandardPrior(3)
    assert list(prior.parameters()) == []
    assert prior.state_dict() == {}
