import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.objectives.variational.elbo import Elbo
from duogen.ramp import Linear
from objectives.variational.gaussian_toy import Toy


def test_terms_are_the_distortion_over_the_draws_and_the_closed_rate():
    toy = Toy()
    evidence = toy.evidence(draws=4)
    loss = Elbo(beta=1.0, draws=4)(evidence)
    mean, deviation = toy.mean.detach().numpy(), toy.log_deviation.detach().exp().numpy()
    rate = 0.5 * (mean**2 + deviation**2 - 1 - 2 * np.log(deviation)).sum(1)
    np.testing.assert_allclose(loss.terms["rate"].detach(), rate, rtol=1e-12)
    errors = toy.examples.numpy() - evidence.decoded.mean.detach().numpy()
    density = -0.5 * (errors**2).sum(2) / 0.64 - 3 * np.log(0.8) - 1.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(loss.terms["distortion"].detach(), -density.mean(0), rtol=1e-12)
    assert loss.count == 5


def test_the_bound_is_below_the_marginal_likelihood_and_meets_it_at_the_exact_posterior():
    toy = Toy()
    torch.manual_seed(0)
    loss = Elbo(beta=1.0, draws=2000)(toy.evidence(draws=2000))
    assert (sum(loss.terms.values()) > -toy.log_marginal()).all()
    loss = Elbo(beta=1.0, draws=20000)(toy.evidence(draws=20000, posterior=toy.exact_posterior()))
    np.testing.assert_allclose(sum(loss.terms.values()).detach(), -toy.log_marginal().detach(), atol=0.05)


@pytest.mark.parametrize(("beta", "step", "weight"), [(4.0, 3, 4.0), (Linear(0.0, 2.0, 0, 8), 2, 0.5)])
def test_beta_weighs_the_rate_and_may_be_a_ramp(beta, step, weight):
    loss = Elbo(beta=beta, draws=1)(Toy().evidence(step=step))
    assert loss.weights == {"rate": weight}
    total = loss.terms["distortion"].sum() + weight * loss.terms["rate"].sum()
    assert loss.weighted(loss.sums()).item() == pytest.approx(total.item())


@pytest.mark.parametrize(("beta", "draws", "named"), [(-0.5, 1, "beta=-0.5"), (1.0, 0, "draws=0")])
def test_refuses_by_name(beta, draws, named):
    with pytest.raises(UserError, match=f"Elbo: {named}"):
        Elbo(beta=beta, draws=draws)
