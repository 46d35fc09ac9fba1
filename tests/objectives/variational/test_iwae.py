import math

import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.objectives.variational.iwae import Ciwae, Iwae, Miwae, Piwae
from duogen.ramp import Linear
from objectives.variational.gaussian_toy import Toy, gradients


def bound(log_weights):
    """log (1/K) sum_k w_k in plain float64."""
    return math.log(sum(math.exp(value) for value in log_weights) / len(log_weights))


def value(loss):
    return loss.terms["nll_bound"].detach().numpy()


@pytest.mark.parametrize("draws", [1, 6])
def test_iwae_by_naive_sums(draws):
    evidence = Toy().evidence(draws=draws)
    logs = evidence.log_weights.detach().numpy()
    np.testing.assert_allclose(value(Iwae(draws)(evidence)), [-bound(logs[:, n]) for n in range(5)], rtol=1e-12)


def test_one_draw_is_the_elbo_of_that_draw():
    evidence = Toy().evidence()
    elbo = evidence.log_likelihood + evidence.log_prior - evidence.log_posterior
    np.testing.assert_allclose(value(Iwae(1)(evidence)), -elbo[0].detach(), rtol=1e-12)


def test_it_is_stable_where_weights_leave_float32():
    evidence = Toy().evidence(draws=3)
    vars(evidence)["log_weights"] = torch.tensor([[-2000.0], [-2001.0], [-3000.0]])
    np.testing.assert_allclose(value(Iwae(3)(evidence)), [2000 - math.log((1 + math.exp(-1)) / 3)], rtol=1e-6)


def test_the_bound_tightens_in_the_mean_and_stays_below_the_marginal_likelihood():
    torch.manual_seed(0)
    toy = Toy()
    logs = toy.evidence(draws=16 * 4000).log_weights.detach().numpy()
    means = []
    for draws in (1, 4, 16):
        groups = logs.reshape(-1, draws, 5)
        means.append(np.log(np.exp(groups - groups.max()).mean(1)).mean(0) + groups.max())
    assert (np.diff(means, axis=0) > 0).all()
    assert (means[-1] < toy.log_marginal().detach().numpy()).all()


@pytest.mark.parametrize(
    "objective", [Iwae(1), Iwae(5), Miwae(2, 3), Ciwae(4, 0.3)], ids=lambda found: str(found.draws)
)
def test_at_the_exact_posterior_every_bound_is_the_marginal_likelihood(objective):
    toy = Toy()
    evidence = toy.evidence(draws=objective.draws, posterior=toy.exact_posterior())
    np.testing.assert_allclose(value(objective(evidence)), -toy.log_marginal().detach(), rtol=1e-9)


def test_miwae_is_the_mean_of_its_bounds():
    evidence = Toy().evidence(draws=6)
    logs = evidence.log_weights.detach().numpy()
    expected = [-(bound(logs[:3, n]) + bound(logs[3:, n])) / 2 for n in range(5)]
    objective = Miwae(outer=2, inner=3)
    assert objective.draws == 6
    np.testing.assert_allclose(value(objective(evidence)), expected, rtol=1e-12)
    np.testing.assert_allclose(value(Miwae(1, 6)(evidence)), value(Iwae(6)(evidence)), rtol=1e-12)
    np.testing.assert_allclose(value(Miwae(6, 1)(evidence)), -logs.mean(0), rtol=1e-12)


@pytest.mark.parametrize(("beta", "step", "share"), [(0.0, 0, 0.0), (1.0, 0, 1.0), (Linear(0.0, 1.0, 0, 8), 2, 0.25)])
def test_ciwae_is_between_the_elbo_and_iwae(beta, step, share):
    evidence = Toy().evidence(draws=4, step=step)
    logs = evidence.log_weights.detach().numpy()
    expected = [-share * logs[:, n].mean() - (1 - share) * bound(logs[:, n]) for n in range(5)]
    np.testing.assert_allclose(value(Ciwae(4, beta)(evidence)), expected, rtol=1e-12)


@pytest.mark.parametrize("outer", [1, 2])
def test_piwae_gives_the_encoder_miwae_and_the_decoder_iwae(outer):
    toy, objective = Toy(), Piwae(outer=outer, inner=6 // outer)
    evidence = toy.evidence(draws=6)
    miwae, iwae = Miwae(outer, 6 // outer)(evidence), Iwae(6)(evidence)
    np.testing.assert_allclose(value(objective.encoder(evidence)), value(miwae))
    np.testing.assert_allclose(value(objective.decoder(evidence)), value(iwae))
    assert (outer == 1) == np.allclose(value(miwae), value(iwae))
    assert all(found is not None for found in gradients(objective.encoder(evidence), toy.encoder))


def test_piwae_has_no_loss_of_both_sides():
    objective = Piwae(2, 3)
    assert objective.split
    with pytest.raises(UserError, match="model=split_vae"):
        objective(Toy().evidence(draws=6))


def test_distortion_and_rate_are_observed_without_a_graph():
    evidence = Toy().evidence(draws=3)
    observed = Iwae(3)(evidence).observed
    assert not any(seen.requires_grad for seen in observed.values())
    np.testing.assert_allclose(observed["distortion"], evidence.distortion.detach())
    np.testing.assert_allclose(observed["rate"], evidence.rate.detach())


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Iwae(0), "Iwae: draws=0"),
        (lambda: Miwae(0, 3), "Miwae: outer=0"),
        (lambda: Piwae(3, 0), "Piwae: inner=0"),
        (lambda: Ciwae(0, 0.1), "Ciwae: draws=0"),
        (lambda: Ciwae(2, 1.5), "Ciwae: beta=1.5"),
    ],
)
def test_refuses_by_name(make, named):
    with pytest.raises(UserError, match=named):
        make()
