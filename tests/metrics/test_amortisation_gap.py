import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, kl_divergence

from duogen.errors import UserError
from duogen.metrics import amortisation_gap as subject
from duogen.metrics.amortisation_gap import AmortisationGap
from duogen.modules.vae import VAE
from duogen.networks.dense import MlpDecoder, MlpEncoder
from duogen.networks.likelihoods.bernoulli import Bernoulli
from duogen.networks.posteriors.flows import PlanarPosterior
from duogen.networks.posteriors.gaussian import GaussianPosterior
from duogen.networks.posteriors.point import PointPosterior
from duogen.networks.posteriors.von_mises_fisher import VonMisesFisherPosterior
from duogen.networks.priors.hypersphere import HyperspherePrior
from duogen.networks.priors.standard import StandardPrior
from duogen.objectives.variational.elbo import Elbo
from duogen.records import Examples
from metrics.linear import Linear


def measure(examples=20, draws=400, steps=150, lr=0.1, full=False, shape=(5,)):
    return AmortisationGap(list(shape), examples, draws, steps, lr, full)


def asked(one, model, examples, seed=0):
    torch.manual_seed(seed)
    with torch.no_grad():
        one.ask(model, examples)
    return {name: value.item() for name, value in one.compute().items()}


def divergences(model, examples):
    """KL(q || p(z | x)) of the model's own posterior and of the best diagonal one, (N,), in closed form."""
    mean = (examples.values - model.bias) @ model.weight @ model.covariance / model.sigma**2
    truth, own = MultivariateNormal(mean, model.covariance), model.recognised(examples)
    best = MultivariateNormal(mean, torch.diag(1 / model.covariance.inverse().diagonal()))
    own = MultivariateNormal(own.mean, own.covariance_matrix if model.exact else torch.diag_embed(own.variance))
    return kl_divergence(own, truth), kl_divergence(best, truth)


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_of_a_wrong_posterior_the_gaps_are_differences_of_divergences(sigma):
    model = Linear(exact=False, sigma=sigma, widened=2.0)
    examples = model.draw(20)
    own, best = divergences(model, examples)
    found = asked(measure(), model, examples)
    assert found["amortisation_gap"] == pytest.approx(float((own - best).mean()), rel=0.05)
    assert found["approximation_gap"] == pytest.approx(float(best.mean()), abs=0.003)
    assert found["amortisation_gap"] > 0.5


def test_a_local_posterior_with_correlations_leaves_nothing_to_approximate():
    model = Linear(exact=False)
    examples = model.draw(20)
    own, _ = divergences(model, examples)
    found = asked(measure(full=True), model, examples)
    assert found["amortisation_gap"] == pytest.approx(float(own.mean()), rel=0.03)
    assert 0 <= found["approximation_gap"] + 1e-9 < 1e-4


def test_with_the_exact_posterior_there_is_no_gap():
    model = Linear()
    found = asked(measure(full=True, steps=300), model, model.draw(20))
    assert found["amortisation_gap"] == pytest.approx(0, abs=1e-4)
    assert found["approximation_gap"] == pytest.approx(0, abs=1e-4)


def test_a_smaller_family_than_the_encoders_may_lose():
    model = Linear()
    examples = model.draw(20)
    _, best = divergences(model, examples)
    assert asked(measure(), model, examples)["amortisation_gap"] == pytest.approx(-float(best.mean()), abs=0.004)


def test_codes_come_in_parts_with_the_same_noise_for_both(monkeypatch):
    model = Linear(exact=False)
    monkeypatch.setattr(subject, "AT_ONCE", 60)
    one = measure(steps=1, lr=1e-9, draws=7)
    one.examples = 20
    found = asked(one, model, model.draw(20))
    assert found["amortisation_gap"] == pytest.approx(0, abs=1e-7)
    assert found["approximation_gap"] > 0.01


def test_the_protocol_says_how():
    one = measure(examples=4, draws=3, steps=2)
    model = Linear()
    asked(one, model, model.draw(6))
    assert one.protocol() == {
        "name": "amortisation_gap", "shape": [5], "n_generated": 0, "n_real": 4, "chosen": "the first of the split",
        "draws": 3,
        "local": "diagonal Gaussian", "steps": 2, "lr": 0.1, "codes": 10,
        "estimator": "Adam from q's mean and deviation; equal noise; importance-weighted log p(x)",
    }  # fmt: skip
    assert not one.validates
    assert measure(full=True).protocol()["local"] == "Gaussian with correlations"


@pytest.mark.parametrize("setting", ["examples", "draws", "steps"])
def test_counts_below_1_are_refused(setting):
    with pytest.raises(UserError, match=f"{setting}=0"):
        measure(**{setting: 0})


def test_a_rate_that_is_not_above_0_is_refused():
    with pytest.raises(UserError, match=r"lr=0\.0"):
        measure(lr=0.0)


def vae(posterior, prior=StandardPrior):
    torch.manual_seed(0)
    encoder, decoder = (kind([1, 2, 3], *sizes, 1, nn.Tanh(), None) for kind, sizes in KINDS)
    return VAE(posterior(encoder, 2), prior(2), decoder, Bernoulli([1, 2, 3]), Elbo(1.0, 1), 2, None)


KINDS = ((MlpEncoder, (6,)), (MlpDecoder, (2, 6)))
IMAGES = Examples(torch.randint(0, 2, (7, 1, 2, 3), generator=torch.Generator().manual_seed(0)) * 2.0 - 1)


def test_an_untrained_encoder_has_a_gap_and_no_gradient_reaches_it():
    model = vae(GaussianPosterior)
    with model.inference() as said:
        found = asked(measure(7, 100, 60, shape=(1, 2, 3)), said, IMAGES)
    assert found["amortisation_gap"] > 0
    assert found["approximation_gap"] >= 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_flow_is_compared_with_a_gaussian_of_its_moments():
    model = vae(lambda encoder, size: PlanarPosterior(encoder, size, 3))
    with model.inference() as said:
        found = asked(measure(7, 200, 60, shape=(1, 2, 3)), said, IMAGES)
    assert -0.1 < found["amortisation_gap"] < 3


@pytest.mark.parametrize(
    ("posterior", "prior", "words"),
    [
        (PointPosterior, StandardPrior, "all in one point"),
        (VonMisesFisherPosterior, HyperspherePrior, "amortisation_gap of codes of length 1"),
    ],
)
def test_points_and_spheres_are_refused(posterior, prior, words):
    model = vae(posterior, prior)
    with model.inference() as said, pytest.raises(UserError, match=words):
        asked(measure(), said, IMAGES)
