import itertools
import math

import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.objectives.variational.beta_tcvae import BetaTcvae, StratifiedBetaTcvae
from duogen.ramp import Linear
from objectives.variational.gaussian_toy import Toy, log_normal

NAMES = ("index_code_mi", "total_correlation", "dimension_wise_kl")


def weighted(i, j, batch, size):
    return 1 / (batch * size)


def stratified(i, j, batch, size):
    """The weights of Chen et al. 2018, appendix C, M = batch - 1 others, the last of them the one after i."""
    others = batch - 1
    if i == j:
        return 1 / size
    return (size - others) / (size * others) if j == (i + 1) % batch else 1 / others


def by_loops(toy, codes, size, weight):
    """The three terms (N,), their mean over the draws, by double loops over the batch."""
    codes, mean, deviation = (t.detach().numpy() for t in (codes, toy.mean, toy.log_deviation.exp()))
    draws, batch, latent = codes.shape
    terms = np.zeros((3, batch))
    for k, i in itertools.product(range(draws), range(batch)):
        density = [[math.exp(log_normal(codes[k, i, d], mean[j, d], deviation[j, d])) for d in range(latent)]
                   for j in range(batch)]  # fmt: skip
        joint = math.log(sum(weight(i, j, batch, size) * math.prod(density[j]) for j in range(batch)))
        marginals = sum(
            math.log(sum(weight(i, j, batch, size) * density[j][d] for j in range(batch))) for d in range(latent)
        )
        prior = sum(log_normal(codes[k, i, d], 0.0, 1.0) for d in range(latent))
        terms[:, i] += math.log(math.prod(density[i])) - joint, joint - marginals, marginals - prior
    return terms / draws


def terms(loss):
    return np.stack([loss.terms[name].detach().numpy() for name in NAMES])


@pytest.mark.parametrize(("kind", "weight"), [(BetaTcvae, weighted), (StratifiedBetaTcvae, stratified)])
@pytest.mark.parametrize(("count", "size"), [(5, 50), (4, 4)])
def test_both_estimators_by_double_loops(kind, weight, count, size):
    toy = Toy(count=count, latent=3)
    evidence = toy.evidence(draws=2, size=size)
    loss = kind(1.0, 6.0, Linear(0.0, 4.0, 0, 8))(evidence)
    np.testing.assert_allclose(terms(loss), by_loops(toy, evidence.code, size, weight), rtol=1e-9)
    assert loss.weights == dict(zip(NAMES, (1.0, 6.0, 0.0), strict=True))
    np.testing.assert_allclose(loss.observed["rate"], evidence.rate.detach())


@pytest.mark.parametrize("kind", [BetaTcvae, StratifiedBetaTcvae])
def test_with_equal_weights_it_is_the_elbo_of_its_draws_whatever_the_estimator(kind):
    evidence = Toy().evidence(draws=3)
    loss = kind(1.0, 1.0, 1.0)(evidence)
    total = loss.weighted(loss.sums()).item()
    assert total == pytest.approx(-evidence.log_weights.mean(0).sum().item())


def test_a_full_batch_gives_the_exact_aggregate_posterior_but_for_log_n():
    toy = Toy()
    evidence = toy.evidence(draws=2, size=5)
    exact = by_loops(toy, evidence.code, 5, lambda i, j, batch, size: 1 / size)
    got, shift = terms(BetaTcvae(1.0, 1.0, 1.0)(evidence)), math.log(5)
    np.testing.assert_allclose(got, exact + np.array([[shift], [shift], [-2 * shift]]), rtol=1e-9)


def test_stratified_weights_are_right_in_the_mean_over_batches():
    """Over all ordered batches of 3 that begin with example 0, the estimate of q(z_0) averages to q(z_0)."""
    likes = np.random.default_rng(0).random(5)
    objective = StratifiedBetaTcvae(1.0, 1.0, 1.0)
    shares = objective.log_shares(torch.zeros((), dtype=torch.float64), 3, 5).exp().numpy()
    np.testing.assert_allclose(shares.sum(1), 1.0)
    estimates = [shares[0] @ likes[[0, *others]] for others in itertools.permutations(range(1, 5), 2)]
    assert np.std(estimates) > 0.01
    assert np.mean(estimates) == pytest.approx(likes.mean())


@pytest.mark.parametrize("kind", [BetaTcvae, StratifiedBetaTcvae])
def test_it_stays_finite_where_densities_leave_float32(kind):
    toy = Toy()
    with torch.no_grad():
        toy.mean.mul_(100)
        toy.log_deviation.fill_(-4)
    assert np.isfinite(terms(kind(1.0, 1.0, 1.0)(toy.evidence()))).all()


def test_before_the_data_is_known_the_batch_stands_for_it():
    torch.manual_seed(0)
    unknown = StratifiedBetaTcvae(1.0, 6.0, 1.0)(Toy().evidence(size=0))
    torch.manual_seed(0)
    np.testing.assert_allclose(terms(unknown), terms(StratifiedBetaTcvae(1.0, 6.0, 1.0)(Toy().evidence(size=5))))


def test_refuses_by_name():
    toy = Toy()
    with pytest.raises(UserError, match="BetaTcvae: beta=-1"):
        BetaTcvae(1.0, -1.0, 1.0)
    with pytest.raises(UserError, match="posterior=gaussian and prior=standard"):
        BetaTcvae(1.0, 6.0, 1.0)(toy.evidence(posterior=toy.exact_posterior()))
    with pytest.raises(UserError, match="StratifiedBetaTcvae: one example"):
        StratifiedBetaTcvae(1.0, 6.0, 1.0)(Toy(count=1).evidence())
