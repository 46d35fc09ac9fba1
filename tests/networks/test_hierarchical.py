"""Two stochastic layers as a whole: the decoder's side of the code, and a linear-Gaussian model of known marginal."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from duogen.errors import UserError
from duogen.metrics.importance_nll import ImportanceNll
from duogen.modules.vae import VAE
from duogen.networks.dense import MlpDecoder, MlpEncoder
from duogen.networks.hierarchical import HierarchicalDecoder
from duogen.networks.likelihoods.gaussian import Gaussian
from duogen.networks.posteriors.hierarchical import HierarchicalPosterior
from duogen.networks.priors.hierarchical import HierarchicalPrior
from duogen.objectives.variational.elbo import Elbo
from duogen.objectives.variational.iwae import Iwae
from duogen.records import Examples

D, BOTTOM, TOP, SIGMA = 4, 3, 2, 0.6


def affine(layer):
    return layer.weight.detach(), layer.bias.detach()


def say(layer, weight, bias, scales):
    """Lets a layer say the mean W v + b and these standard deviations, through the bound on log-variances."""
    raw = 8 * torch.atanh(torch.as_tensor(scales).log() / 4)
    with torch.no_grad():
        layer.weight.copy_(torch.cat([weight, torch.zeros_like(weight)]))
        layer.bias.copy_(torch.cat([bias, raw]))


class Model:
    """x = C h1 + c + 0.6 e, h1 = B h2 + b + s e', h2 = e'': a VAE of affine maps, and the marginal of x."""

    def __init__(self, objective):
        torch.manual_seed(3)
        encoder = MlpEncoder([D], D, 1, nn.Identity(), None)
        posterior = HierarchicalPosterior(encoder, BOTTOM + TOP, BOTTOM, 1, 0, nn.Identity())
        prior = HierarchicalPrior(BOTTOM + TOP, BOTTOM, 1, 0, nn.Identity())
        decoder = HierarchicalDecoder(MlpDecoder([D], BOTTOM, 1, 0, nn.Identity(), None), BOTTOM)
        likelihood = Gaussian([D], 256, False, SIGMA)
        self.vae = VAE(posterior, prior, decoder, likelihood, objective, BOTTOM + TOP, None)
        b_weight, b_bias = torch.randn(BOTTOM, TOP), torch.randn(BOTTOM)
        s = torch.tensor([0.5, 0.8, 1.1])
        say(prior.downward[0], b_weight, b_bias, s)
        c_weight, c_bias = affine(decoder.decoder.layers[0])
        c_weight.copy_(torch.randn(D, BOTTOM))
        below = b_weight @ b_weight.T + s.square().diag()
        whole = c_weight @ below @ c_weight.T + SIGMA**2 * torch.eye(D)
        self.marginal = MultivariateNormal(c_weight @ b_bias + c_bias, whole)
        self.learn_exactly(encoder, posterior, below, c_weight, c_bias, b_weight, b_bias, s)

    def learn_exactly(self, encoder, posterior, below, c_weight, c_bias, b_weight, b_bias, s):
        """The posterior's best affine maps: exact means of h1 given x and of h2 given h1, diagonal deviations."""
        with torch.no_grad():
            encoder.layers[0].weight.copy_(torch.eye(D))
            encoder.layers[0].bias.zero_()
        precision = below.inverse() + c_weight.T @ c_weight / SIGMA**2
        gain = precision.inverse() @ c_weight.T / SIGMA**2
        mean = precision.inverse() @ below.inverse() @ b_bias - gain @ c_bias
        say(posterior.head, gain, mean, precision.diagonal().rsqrt() * 1.2)
        upper = torch.eye(TOP) + b_weight.T @ (b_weight / s.square()[:, None])
        back = upper.inverse() @ b_weight.T / s.square()
        say(posterior.upward[0], back, -back @ b_bias, upper.diagonal().rsqrt() * 1.2)

    def examples(self, count=64):
        torch.manual_seed(5)
        return Examples(self.marginal.sample((count,)))


def test_the_upper_layer_is_hidden_from_the_decoder():
    decoder = HierarchicalDecoder(MlpDecoder([1, 2, 3], 4, 5, 1, nn.Tanh(), None), 4)
    code = torch.randn(2, 7)
    other = code.clone()
    other[:, 4:] += 1
    assert decoder(code).shape == (2, 1, 2, 3)
    assert torch.equal(decoder(code), decoder(other))
    assert torch.equal(decoder(code), decoder.decoder(code[:, :4]))


def test_the_decoder_is_told_classes():
    decoder = HierarchicalDecoder(MlpDecoder([2], 3, 5, 1, nn.Tanh(), 4), 3)
    one, other = decoder(torch.zeros(2, 5), torch.tensor([0, 1])), decoder(torch.zeros(2, 5), torch.tensor([0, 2]))
    assert torch.equal(one[0], other[0])
    assert not torch.equal(one[1], other[1])
    with pytest.raises(UserError, match="bottom_dim=0"):
        HierarchicalDecoder(decoder.decoder, 0)


def test_the_log_weight_is_that_of_both_layers():
    model = Model(Iwae(3))
    batch = model.examples(6)
    evidence = model.vae.evidence_of(batch)
    below, above = evidence.code.split([BOTTOM, TOP], -1)
    parts = model.vae.autoencoder
    posterior, generation = parts.posterior, parts.generation
    expected = (
        generation.likelihood(generation.decoder.decoder(below.flatten(0, 1))).log_prob(batch.values.repeat(3, 1))
    ).view(3, 6)
    expected = expected + torch.distributions.Normal(0, 1).log_prob(above).sum(-1)
    expected = expected + generation.prior.bottom(above).log_prob(below)
    expected = expected - posterior(batch.values).first.log_prob(below) - posterior.top(below).log_prob(above)
    assert evidence.log_weights.shape == (3, 6)
    torch.testing.assert_close(evidence.log_weights, expected)
    bound = expected.logsumexp(0) - math.log(3)
    torch.testing.assert_close(model.vae.variational(evidence).terms["nll_bound"], -bound)


def test_the_elbo_takes_the_rate_of_its_draws():
    model = Model(Elbo(0.5, 2))
    evidence = model.vae.evidence_of(model.examples(6))
    assert evidence.rates is None
    loss = model.vae.variational(evidence)
    total = (loss.terms["distortion"] + loss.terms["rate"]).detach()
    torch.testing.assert_close(total, -evidence.log_weights.mean(0).detach())


@pytest.mark.parametrize(("draws", "most"), [(1, 2.0), (2000, 0.02)])
def test_the_estimated_likelihood_closes_in_on_the_exact_marginal_from_above(draws, most):
    model = Model(Iwae(1))
    batch, measure = model.examples(), ImportanceNll([D], draws)
    exact = -float(model.marginal.log_prob(batch.values).mean())
    torch.manual_seed(0)
    with model.vae.inference() as inference:
        measure.ask(inference, batch)
    found = float(measure.compute()["nll"])
    assert exact - 0.02 <= found <= exact + most
    assert (found > exact + 0.02) == (draws == 1)


def test_the_prior_makes_examples_of_the_marginal():
    model = Model(Iwae(1))
    means = model.vae.samples(20_000, torch.Generator().manual_seed(0)).values
    expected = model.marginal.covariance_matrix - SIGMA**2 * torch.eye(D)
    torch.testing.assert_close(torch.cov(means.T), expected, rtol=0.1, atol=0.1)
    errors = (expected.diagonal() / 20_000).sqrt()
    assert ((means.mean(0) - model.marginal.mean).abs() <= 4 * errors).all()
