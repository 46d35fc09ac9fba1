import numpy as np
import pytest
import torch
from torch.distributions import AffineTransform, Independent, Normal, TransformedDistribution

from duogen.errors import UserError
from duogen.objectives.variational.dip_vae import DipVaeI, DipVaeII
from duogen.ramp import Linear
from objectives.variational.gaussian_toy import Toy


def penalties(covariance):
    off = sum(covariance[d, e] ** 2 for d in range(3) for e in range(3) if d != e)
    return off, sum((covariance[d, d] - 1) ** 2 for d in range(3))


def check(loss, covariance):
    off, diagonal = penalties(covariance)
    assert loss.terms["off_diagonal"].item() == pytest.approx(off)
    assert loss.terms["diagonal"].item() == pytest.approx(diagonal)


def test_the_first_takes_the_covariance_of_the_means():
    toy = Toy(latent=3)
    evidence = toy.evidence()
    loss = DipVaeI(off_diagonal=10.0, diagonal=Linear(0.0, 8.0, 0, 4))(evidence)
    check(loss, np.cov(toy.mean.detach().numpy().T, bias=True))
    np.testing.assert_allclose(loss.terms["rate"].detach(), evidence.rate.detach())
    np.testing.assert_allclose(loss.terms["distortion"].detach(), evidence.distortion.detach())
    assert loss.weights == {"off_diagonal": 10.0, "diagonal": 0.0}


def test_the_second_adds_the_mean_covariance_of_the_posteriors():
    toy = Toy(latent=3)
    between = np.cov(toy.mean.detach().numpy().T, bias=True)
    variances = np.diag(np.exp(2 * toy.log_deviation.detach().numpy()).mean(0))
    check(DipVaeII(10.0, 10.0)(toy.evidence()), between + variances)


def test_the_second_is_the_covariance_of_codes():
    torch.manual_seed(0)
    toy = Toy(latent=3)
    codes = toy.evidence(draws=100_000).code.detach().flatten(0, 1).numpy()
    covariance = DipVaeII(1.0, 1.0).covariance(toy.posterior).detach()
    np.testing.assert_allclose(covariance, np.cov(codes.T), atol=0.05)


def test_correlated_posteriors_give_their_whole_covariance():
    toy = Toy()
    posterior = toy.exact_posterior()
    expected = posterior.covariance_matrix.detach().numpy().mean(0)
    between = np.cov(posterior.mean.detach().numpy().T, bias=True)
    np.testing.assert_allclose(DipVaeII(1.0, 1.0).covariance(posterior).detach(), expected + between, rtol=1e-9)
    np.testing.assert_allclose(DipVaeI(1.0, 1.0).covariance(posterior).detach(), between, rtol=1e-9)


@pytest.mark.parametrize("kind", [DipVaeI, DipVaeII])
def test_refuses_by_name(kind):
    with pytest.raises(UserError, match=f"{kind.__name__}: diagonal=-1"):
        kind(1.0, -1.0)
    flow = TransformedDistribution(Independent(Normal(torch.zeros(5, 2), torch.ones(5, 2)), 1), AffineTransform(1, 2))
    with pytest.raises(UserError, match="does not say its mean"):
        kind(1.0, 1.0).covariance(flow)


def test_the_second_refuses_a_posterior_without_covariance():
    class Round(Normal):
        pass

    with pytest.raises(UserError, match="Round, which does not say its covariance"):
        DipVaeII(1.0, 1.0).covariance(Round(torch.zeros(5, 2), torch.ones(5, 2)))
