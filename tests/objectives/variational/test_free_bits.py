import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.objectives.variational.elbo import Elbo
from duogen.objectives.variational.free_bits import FreeBits
from duogen.ramp import Linear
from objectives.variational.gaussian_toy import Toy, gradients


@pytest.mark.parametrize("group", [1, 2, 4, None])
def test_the_batch_mean_of_each_group_is_clamped(group):
    toy = Toy(latent=4)
    evidence = toy.evidence()
    rates = evidence.rates.detach().numpy()
    size = group or 4
    means = [rates[:, start : start + size].sum(1).mean() for start in range(0, 4, size)]
    free = np.mean(means) if len(means) > 1 else means[0] + 1
    loss = FreeBits(nats=free, group=group)(evidence)
    assert loss.terms["clamped_rate"].item() == pytest.approx(sum(max(free, mean) for mean in means))
    np.testing.assert_allclose(loss.observed["rate"], rates.sum(1), rtol=1e-12)
    assert not loss.observed["rate"].requires_grad


def test_a_group_below_its_free_nats_has_no_gradient_from_its_rate_and_others_have_all():
    toy = Toy(latent=3)
    evidence = toy.evidence()
    vars(evidence)["distortion"] = torch.zeros(5, dtype=torch.float64)
    means = evidence.rates.mean(0).detach()
    (got,) = gradients(FreeBits(nats=means.median().item() + 1e-9, group=1)(evidence), [toy.mean])
    expected = torch.where(means > means.median(), toy.mean.detach(), 0.0)
    assert (expected != 0).any()
    np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize("group", [1, None])
def test_without_free_nats_it_is_the_elbo(group):
    toy = Toy()
    evidence = toy.evidence()
    free, elbo = FreeBits(0.0, group)(evidence), Elbo(1.0, 1)(evidence)
    assert free.weighted(free.sums()).item() == pytest.approx(elbo.weighted(elbo.sums()).item())
    for got, expected in zip(gradients(free, toy.encoder), gradients(elbo, toy.encoder), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_the_free_nats_may_be_a_ramp():
    loss = FreeBits(Linear(100.0, 0.0, 0, 10), None)(Toy().evidence(step=5))
    assert loss.terms["clamped_rate"].item() == pytest.approx(50.0)


def test_posteriors_that_do_not_factorise_are_one_group_or_refused():
    toy = Toy()
    evidence = toy.evidence(posterior=toy.exact_posterior(), draws=2)
    assert FreeBits(0.0, None)(evidence).terms["clamped_rate"].isfinite()
    with pytest.raises(UserError, match="group=null"):
        FreeBits(0.0, 1)(evidence)


def test_refuses_by_name():
    with pytest.raises(UserError, match="FreeBits: group=3 of 4 dimensions"):
        FreeBits(0.5, 3)(Toy(latent=4).evidence())
    with pytest.raises(UserError, match="FreeBits: nats=-"):
        FreeBits(-0.5, 1)
    with pytest.raises(UserError, match="FreeBits: group=0"):
        FreeBits(0.5, 0)
