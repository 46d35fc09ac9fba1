import math

import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.metrics.annealed_importance import AnnealedImportance
from duogen.metrics.importance_nll import log_likelihood
from duogen.modules.vae import VAE
from duogen.networks.dense import MlpDecoder, MlpEncoder
from duogen.networks.likelihoods.bernoulli import Bernoulli
from duogen.networks.posteriors.gaussian import GaussianPosterior
from duogen.networks.posteriors.point import PointPosterior
from duogen.networks.posteriors.von_mises_fisher import VonMisesFisherPosterior
from duogen.networks.priors.hypersphere import HyperspherePrior
from duogen.networks.priors.standard import StandardPrior
from duogen.objectives.variational.elbo import Elbo
from duogen.records import Examples
from metrics.linear import Linear


def measure(examples=60, chains=6, temperatures=60, leaps=4, draws=None, from_posterior=False):
    return AnnealedImportance([5], examples, chains, temperatures, leaps, draws, from_posterior)


def asked(one, model, examples, seed=0):
    torch.manual_seed(seed)
    with torch.no_grad():
        one.ask(model, examples)
    return one.compute()


@pytest.mark.parametrize("from_posterior", [False, True])
def test_it_meets_the_marginal_likelihood_within_three_standard_errors(from_posterior):
    model = Linear(exact=False)
    examples, one = model.draw(60), measure(from_posterior=from_posterior)
    found = asked(one, model, examples)
    off = one.leading()[:, 0] - model.marginal(examples)
    assert abs(off.mean()) < max(3 * off.std() / 60**0.5, 0.02)
    assert found["annealed_nll"] == pytest.approx(-float(one.leading()[:, 0].mean()))
    assert 0.3 < found["acceptance"] < 0.95
    assert one.remarks() == ()


def test_fewer_temperatures_give_a_looser_bound():
    model = Linear(latent_dim=3, size=5, sigma=0.3, exact=False)
    examples = model.draw(40)
    truth = float(-model.marginal(examples).mean())
    found = [float(asked(measure(40, temperatures=count), model, examples)["annealed_nll"]) for count in (3, 12, 48)]
    assert found == sorted(found, reverse=True)
    assert found[0] > truth + 10
    assert found[-1] > truth - 0.2


def test_transitions_that_go_nowhere_are_remarked_on():
    model = Linear(latent_dim=3, size=5, sigma=0.02, exact=False)
    one = measure(5, temperatures=3)
    assert asked(one, model, model.draw(5))["acceptance"] < 0.3
    assert "of the transitions were accepted" in one.remarks()[0]
    assert "metrics.annealed_importance.temperatures" in one.remarks()[0]


def test_one_temperature_has_no_transition_to_remark_on():
    model, one = Linear(), measure(5, temperatures=1, from_posterior=True)
    assert asked(one, model, model.draw(5))["acceptance"] == 1
    assert one.remarks() == ()


def test_the_gap_is_what_importance_sampling_misses_on_the_same_examples():
    model = Linear(exact=False, widened=3.0)
    examples, one = model.draw(50), measure(30, draws=2)
    found = asked(one, model, examples)
    first = Examples(examples.values[:30])
    missed = torch.stack([(model.marginal(first) - log_likelihood(model, first, 2)).mean() for _ in range(100)])
    assert found["importance_gap"] == pytest.approx(float(missed.mean()), abs=4 * float(missed.std()))
    assert found["importance_gap"] > 0.5
    assert "importance_gap" in one.facts
    assert "importance_gap" not in measure().facts


def test_bits_take_the_width_of_a_grey_level_into_account():
    model = Linear()
    model.level = 1 / 256
    found = asked(measure(4, temperatures=2), model, model.draw(4))
    by_hand = float(found["annealed_nll"]) / 5 / math.log(2) + 8
    assert found["annealed_bits_per_dimension"] == pytest.approx(by_hand)


@pytest.mark.parametrize(("from_posterior", "start"), [(False, "p(z)"), (True, "N(mean, diag variance) of q(z | x)")])
def test_the_protocol_says_how(from_posterior, start):
    model, one = Linear(), measure(4, temperatures=2, draws=3, from_posterior=from_posterior)
    asked(one, model, model.draw(6))
    assert one.protocol() == {
        "name": "annealed_importance", "shape": [5], "n_generated": 0, "n_real": 4, "chosen": "the first of the split",
        "chains": 6,
        "temperatures": 2, "leaps": 4, "draws": 3, "start": start, "level": 1.0,
        "estimator": "annealed importance sampling, Hamiltonian transitions, step sizes of a pilot run",
    }  # fmt: skip
    assert not one.validates


@pytest.mark.parametrize("setting", ["examples", "chains", "temperatures", "leaps", "draws"])
def test_counts_below_1_are_refused(setting):
    with pytest.raises(UserError, match=f"{setting}=0"):
        measure(**{setting: 0})


def vae(posterior=GaussianPosterior, prior=StandardPrior):
    torch.manual_seed(0)
    encoder = MlpEncoder([1, 3, 4], 16, 1, nn.Tanh(), None)
    decoder = MlpDecoder([1, 3, 4], 2, 16, 1, nn.Tanh(), None)
    return VAE(posterior(encoder, 2), prior(2), decoder, Bernoulli([1, 3, 4]), Elbo(1.0, 1), 2, None)


def stripes(count):
    """Images of one of three rows and one of four columns, most of which are white where both are."""
    generator = torch.Generator().manual_seed(1)
    rows, columns = (torch.randint(size, (count,), generator=generator) for size in (3, 4))
    white = (torch.arange(3)[:, None] == rows[:, None, None]) | (torch.arange(4) == columns[:, None, None])
    noise = torch.rand(count, 3, 4, generator=generator) < 0.05
    return Examples((white ^ noise)[:, None] * 2.0 - 1)


def test_a_trained_model_has_the_likelihood_that_importance_sampling_finds():
    model, examples = vae(), stripes(200)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        sum(term.mean() for term in model.loss(examples).terms.values()).backward()
        optimizer.step()
    one = AnnealedImportance([1, 3, 4], 20, 8, 60, 4, 2000, False)
    with model.inference() as said:
        found = asked(one, said, examples)
    assert abs(found["importance_gap"]) < 0.15
    assert one.leading()[:, 2].abs().max() < 1
    assert found["annealed_nll"] < 7


def test_no_gradient_reaches_the_networks_and_their_mode_returns():
    model = vae()
    with model.inference() as said:
        asked(AnnealedImportance([1, 3, 4], 5, 2, 4, 2, None, False), said, stripes(5))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.autoencoder.training


def test_codes_on_a_sphere_are_refused():
    model = vae(VonMisesFisherPosterior, HyperspherePrior)
    with model.inference() as said, pytest.raises(UserError, match="annealed_importance of codes of length 1"):
        asked(measure(), said, stripes(5))


@pytest.mark.parametrize(("draws", "from_posterior"), [(2, False), (None, True)])
def test_a_point_is_refused_where_its_density_is_asked_for(draws, from_posterior):
    model = vae(PointPosterior)
    with model.inference() as said, pytest.raises(UserError, match="all in one point"):
        asked(AnnealedImportance([1, 3, 4], 5, 2, 3, 2, draws, from_posterior), said, stripes(5))


def test_a_deterministic_encoder_does_not_matter_to_chains_from_the_prior():
    one, found = AnnealedImportance([1, 3, 4], 5, 4, 20, 3, None, False), []
    for posterior in (PointPosterior, GaussianPosterior):
        model = vae(posterior)
        model.autoencoder.generation.load_state_dict(vae().autoencoder.generation.state_dict())
        one.reset()
        with model.inference() as said:
            found.append(float(asked(one, said, stripes(5))["annealed_nll"]))
    assert found[0] == pytest.approx(found[1])
