"""A VAE's evidence, its samples and what its evaluated networks say, on toy parts of which everything is known."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from contracts.cases import Case
from duogen.compose import compose
from duogen.errors import UserError
from duogen.experiment import assemble
from duogen.modules.vae import VAE
from duogen.networks.dense import MlpDecoder, MlpEncoder
from duogen.networks.likelihoods.bernoulli import Bernoulli
from duogen.networks.posteriors.gaussian import GaussianPosterior
from duogen.networks.priors.standard import StandardPrior
from duogen.objectives.variational.elbo import Elbo
from duogen.records import Examples


def built(classes=None, draws=1, beta=1.0):
    torch.manual_seed(0)
    encoder = MlpEncoder([1, 3, 2], 5, 1, nn.Tanh(), classes)
    decoder = MlpDecoder([1, 3, 2], 4, 5, 1, nn.Tanh(), classes)
    return VAE(
        GaussianPosterior(encoder, 4), StandardPrior(4), decoder, Bernoulli([1, 3, 2]), Elbo(beta, draws), 4, classes
    )


def batch(count=7, classes=None):
    generator = torch.Generator().manual_seed(1)
    values = torch.randint(0, 2, (count, 1, 3, 2), generator=generator) * 2.0 - 1
    return Examples(values, None if classes is None else torch.arange(count) % classes)


def test_the_loss_is_the_negative_bound_by_hand():
    vae, examples = built(beta=0.5), batch()
    torch.manual_seed(3)
    loss = vae.loss(examples)
    torch.manual_seed(3)
    posterior = vae.autoencoder.posterior
    mean, raw = posterior.head(posterior.encoder((examples.values + 1) / 2)).chunk(2, 1)
    log_variance = 8 * (raw / 8).tanh()
    code = mean + (log_variance / 2).exp() * torch.randn(1, 7, 4)[0]
    logits = vae.autoencoder.generation.decoder(code)
    pixels = (examples.values + 1) / 2
    distortion = nn.functional.binary_cross_entropy_with_logits(logits, pixels, reduction="none").flatten(1).sum(1)
    rate = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
    assert_close(loss.terms["distortion"], distortion)
    assert_close(loss.terms["rate"], rate)
    assert loss.weights == {"rate": 0.5}
    assert loss.count == 7


@pytest.mark.parametrize("draws", [1, 3])
def test_several_codes_are_explained_as_each_alone(draws):
    vae, examples = built(draws=draws), batch()
    evidence = vae.evidence_of(examples)
    assert evidence.code.shape == (draws, 7, 4)
    assert evidence.log_likelihood.shape == evidence.log_weights.shape == (draws, 7)
    for one in range(draws):
        alone = evidence.explain(evidence.code[one : one + 1])[0]
        assert_close(alone, evidence.log_likelihood[one])


def test_samples_are_a_function_of_the_generator_and_leave_no_trace():
    vae = built()
    before = torch.get_rng_state()
    first = vae.samples(5, torch.Generator().manual_seed(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.values, vae.samples(5, torch.Generator().manual_seed(2)).values)
    assert not torch.equal(first.values, vae.samples(5, torch.Generator().manual_seed(3)).values)
    assert first.values.shape == (5, 1, 3, 2)
    assert first.values.abs().max() <= 1
    assert first.labels is None
    assert vae.training


def test_a_conditional_one_tells_both_networks_the_class():
    vae, examples = built(classes=3), batch(classes=3)
    torch.manual_seed(0)
    one = vae.loss(examples).terms["distortion"]
    torch.manual_seed(0)
    other = vae.loss(Examples(examples.values, (examples.labels + 1) % 3)).terms["distortion"]
    assert not torch.allclose(one, other)
    drawn = vae.samples(4, torch.Generator().manual_seed(0))
    assert drawn.labels.tolist() == [0, 1, 2, 0]
    codes = torch.zeros(2, 4)
    images = vae.generate(codes, torch.tensor([0, 1]))
    assert not torch.equal(images[0], images[1])
    with pytest.raises(UserError, match="without labels"):
        vae.loss(batch())


def test_what_it_says_when_asked_is_what_its_networks_say():
    vae, examples = built(), batch()
    with vae.inference() as model:
        posterior = model.recognised(examples)
        assert model.recognised(examples) is posterior
        assert torch.equal(posterior.mean, vae.autoencoder.recognised(examples.values).mean)
        said = model.evidence(examples, 2)
        assert said.log_weights.shape == (2, 7)
        assert not said.log_weights.requires_grad
        assert torch.equal(model.explained(said.code, examples), said.log_likelihood)
        assert model.level is None
        assert model.believed().event_shape == (4,)


def test_its_average_is_what_is_evaluated(tmp_path):
    case = Case("vae", ("model=vae", "data=digits", "latent_dim=3", "trainer=cpu", "logger=none"))
    config = case.config("optimizers.autoencoder.ema.decay=0.9", "budget.steps=3", "metrics=[evidence_bound]")
    module = assemble.module(config, ())
    assemble.teach(module, config, ())
    with torch.no_grad():
        average = module.averages["autoencoder"]
        average.update(module.players["autoencoder"], 1)
        for parameter in module.players["autoencoder"].parameters():
            parameter.add_(1.0)
    assert module.parts is average.network
    assert module.samples(2, torch.Generator().manual_seed(0)).values.shape == (2, 1, 8, 8)


def test_metrics_of_codes_are_refused_for_a_gan():
    config = compose(["metrics=[evidence_bound]", "trainer=cpu"]).config
    with pytest.raises(UserError, match=r"metrics=\[evidence_bound\] with GAN"):
        assemble.module(config, ())
