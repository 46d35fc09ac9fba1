import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.objectives.variational.elbo import Elbo
from duogen.objectives.variational.info_vae import InfoVae
from duogen.objectives.variational.mmd import Gaussian
from objectives.variational.gaussian_toy import Toy, gradients


def by_loops(codes, others):
    """The V-statistic with k(x, y) = exp(-||x - y||^2 / Z^2)."""

    def mean(first, second):
        return np.mean([[np.exp(-((x - y) ** 2).sum() / len(x) ** 2) for y in second] for x in first])

    return mean(codes, codes) + mean(others, others) - 2 * mean(codes, others)


def test_its_terms_and_weights():
    evidence = Toy().evidence()
    torch.manual_seed(3)
    loss = InfoVae(alpha=0.25, lambda_=10.0, kernel=Gaussian(1.0))(evidence)
    torch.manual_seed(3)
    others = evidence.prior.sample((5,)).numpy()
    assert loss.terms["mmd"].item() == pytest.approx(by_loops(evidence.code[0].detach().numpy(), others))
    np.testing.assert_allclose(loss.terms["rate"].detach(), evidence.rate.detach())
    np.testing.assert_allclose(loss.terms["distortion"].detach(), evidence.distortion.detach())
    assert loss.weights == {"rate": 0.75, "mmd": 9.25}


def test_without_preference_and_with_a_weight_of_1_it_is_the_elbo():
    toy = Toy()
    evidence = toy.evidence()
    info, elbo = InfoVae(0.0, 1.0, Gaussian(1.0))(evidence), Elbo(1.0, 1)(evidence)
    for got, expected in zip(gradients(info, toy.encoder), gradients(elbo, toy.encoder), strict=True):
        np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize(("alpha", "lambda_"), [(1.5, 10.0), (0.0, 0.5), (-3.0, 2.0)])
def test_refuses_weights_below_0(alpha, lambda_):
    with pytest.raises(UserError, match=f"alpha={alpha}, lambda_={lambda_}"):
        InfoVae(alpha, lambda_, Gaussian(1.0))
