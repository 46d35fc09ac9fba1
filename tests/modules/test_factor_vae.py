"""FactorVAE: what both players minimise, by hand, and its estimate of a total correlation that is known."""

from itertools import repeat

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from contracts.cases import Case
from duogen.errors import UserError
from duogen.experiment import assemble
from duogen.modules.factor_vae import FactorVAE, permuted
from duogen.modules.vae import VAE
from duogen.networks.dense import MlpDecoder, MlpDiscriminator, MlpEncoder
from duogen.networks.discriminator import Discriminator
from duogen.networks.encoder import Encoder
from duogen.networks.likelihoods.gaussian import Gaussian
from duogen.networks.posteriors.gaussian import GaussianPosterior
from duogen.networks.posteriors.point import PointPosterior
from duogen.networks.priors.standard import StandardPrior
from duogen.objectives.variational.distortion import Distortion
from duogen.objectives.variational.elbo import Elbo
from duogen.ramp import Linear
from duogen.records import Examples
from modules.resumed import EVERY, check_resume

SMALL = ("model=factor_vae", "data=digits", "latent_dim=3", "encoder.width=6", "decoder.width=6", "logger=none",
         "discriminator.width=5", "discriminator.depth=1", "data.batch_size=8", "trainer=cpu")  # fmt: skip


def built(gamma=2.0, draws=1):
    torch.manual_seed(0)
    posterior = GaussianPosterior(MlpEncoder([5], 6, 1, nn.Tanh(), None), 3)
    decoder = MlpDecoder([5], 3, 7, 1, nn.Tanh(), None)
    judge = MlpDiscriminator([3], 4, 2, 0.0, False, False, False)
    likelihood = Gaussian([5], 256, False, 0.5)
    return FactorVAE(posterior, StandardPrior(3), decoder, likelihood, Elbo(1.0, draws), judge, gamma, 3, None)


def batch(seed=1, count=11):
    return Examples(torch.randn(count, 5, generator=torch.Generator().manual_seed(seed)))


def two_logits(together, apart):
    """The paper's loss: a softmax over (a code of an example, a permuted one), its logits (D, 0)."""
    together, apart = together.detach().double().numpy(), apart.detach().double().numpy()
    return (-(together - np.logaddexp(together, 0)) - (0 - np.logaddexp(apart, 0))) / 2


@pytest.mark.parametrize("draws", [1, 2])
def test_the_autoencoder_minimises_the_bound_and_the_log_ratios_of_the_codes_it_decodes(draws):
    module, examples = built(draws=draws), batch()
    torch.manual_seed(3)
    evidence = module.evidence_of(examples)
    torch.manual_seed(3)
    loss = module.loss(examples)
    assert_close(loss.terms["distortion"], evidence.distortion)
    assert_close(loss.terms["rate"], evidence.rate)
    assert_close(loss.terms["total_correlation"], module.discriminator(evidence.code[0]))
    assert loss.terms["total_correlation"].shape == (11,)
    assert loss.weights == {"rate": 1.0, "total_correlation": 2.0}
    assert loss.count == 11


def test_gamma_may_be_a_function_of_the_step():
    module = built(gamma=Linear(0.0, 8.0, 0, 4))
    module.step = 3
    assert module.loss(batch()).weights["total_correlation"] == 6.0


def test_the_discriminator_minimises_the_papers_cross_entropy_with_codes_of_a_second_batch():
    module, examples, others = built(), batch(1), batch(2)
    module._extra = repeat(others)
    torch.manual_seed(3)
    loss = module.discriminator_loss(examples)
    torch.manual_seed(3)
    codes, second = module.codes(examples), module.codes(others)
    together, apart = module.discriminator(codes), module.discriminator(permuted(second))
    np.testing.assert_allclose(loss.terms["cross_entropy"].detach(), two_logits(together, apart), rtol=1e-5)
    assert_close(loss.observed["logits_codes"], together.detach())
    assert_close(loss.observed["logits_permuted"], apart.detach())
    assert not any(value.requires_grad for value in loss.observed.values())


def test_permuting_keeps_every_dimension_and_breaks_what_they_share():
    shared = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    codes = torch.cat([shared, 2 * shared, -shared], 1)
    torch.manual_seed(0)
    found = permuted(codes)
    assert torch.equal(found.sort(0).values, codes.sort(0).values)
    correlations = np.corrcoef(found.T.numpy())
    assert np.abs(correlations - np.eye(3)).max() < 4 / np.sqrt(4000)
    assert not torch.equal(permuted(codes), found)


class Same(Encoder):
    """Features that are the example."""

    feature_dim = 2

    def forward(self, examples, labels=None):
        return examples


class LogRatio(Discriminator):
    """log N(z; 0, R) - log N(z; 0, I) with correlation rho: the best discriminator there is for such codes."""

    def __init__(self, rho):
        super().__init__()
        self.rho = rho

    def features(self, examples):
        return examples

    def forward(self, examples):
        a, b, rest = examples[:, 0], examples[:, 1], 1 - self.rho**2
        exponent = (a**2 - 2 * self.rho * a * b + b**2) / rest - a**2 - b**2
        return -exponent / 2 - 0.5 * np.log(rest)


@pytest.mark.parametrize("rho", [0.0, 0.6, -0.9])
def test_with_the_true_log_ratio_the_estimate_is_the_total_correlation(rho):
    """-log(1 - rho^2) / 2, and minus the reverse divergence for permuted codes, both within 4 standard errors."""
    posterior = PointPosterior(Same(), 2)
    nn.init.eye_(posterior.head.weight)
    nn.init.zeros_(posterior.head.bias)
    decoder, likelihood = MlpDecoder([2], 2, 3, 1, nn.Tanh(), None), Gaussian([2], 256, False, 1.0)
    judge = LogRatio(rho)
    module = FactorVAE(posterior, StandardPrior(2), decoder, likelihood, Distortion(1), judge, 1.0, 2, None)
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(20000, 2, generator=generator)
    examples = Examples(torch.stack([normal[:, 0], rho * normal[:, 0] + (1 - rho**2) ** 0.5 * normal[:, 1]], 1))
    module._extra = repeat(examples)
    with torch.no_grad():
        ratios = module.loss(examples).terms["total_correlation"].double().numpy()
        apart = module.discriminator_loss(examples).observed["logits_permuted"].double().numpy()
    known = -0.5 * np.log(1 - rho**2)
    reverse = (2 / (1 - rho**2) - 2 + np.log(1 - rho**2)) / 2
    assert ratios.mean() == pytest.approx(known, abs=4 * ratios.std() / np.sqrt(20000) + 1e-6)
    assert apart.mean() == pytest.approx(-reverse, abs=4 * apart.std() / np.sqrt(20000) + 1e-6)


def taught(*settings):
    config = Case("factor_vae", SMALL).config("budget.steps=4", "metrics=[]", *settings)
    module = assemble.module(config, ())
    assemble.teach(module, config, ())
    module.configure_optimizers()
    data = assemble.data(config, ())
    data.setup()
    module._extra = repeat(data.train_examples(8))
    return module, data.train_examples(8)


@pytest.mark.parametrize(("player", "other"), [("autoencoder", "discriminator"), ("discriminator", "autoencoder")])
def test_a_turn_reaches_every_parameter_of_its_player_and_none_of_the_other(player, other):
    module, examples = taught()
    module.turns.act(module, player, examples)
    assert all(parameter.grad is not None for parameter in module.parameters_of(player))
    assert all(parameter.grad is None for parameter in module.parameters_of(other))


def test_the_total_correlation_teaches_the_encoder_alone():
    module = built()
    module.loss(batch()).terms["total_correlation"].sum().backward()
    posterior, generation = module.autoencoder.posterior, module.autoencoder.generation
    assert all(parameter.grad.abs().max() > 0 for parameter in posterior.parameters())
    assert all(parameter.grad is None for parameter in generation.parameters())


def test_both_players_step_from_the_same_parameters():
    module, examples = taught()
    before = {name: parameter.clone() for name, parameter in module.named_parameters()}
    seen = []
    forward = VAE.evidence_of
    module.evidence_of = lambda batch: (seen.append(snapshot(module)), forward(module, batch))[1]
    codes = module.codes
    module.codes = lambda batch: (seen.append(snapshot(module)), codes(batch))[1]
    module.turns.play(module, examples)
    assert len(seen) == 3
    assert all(torch.equal(values[name], before[name]) for values in seen for name in before)
    moved = {name.split(".")[0] for name, value in module.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {"autoencoder", "discriminator"}


def snapshot(module):
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("gamma", [-1.0, float("inf"), float("nan")])
def test_refuses_a_gamma_out_of_range(gamma):
    with pytest.raises(UserError, match="FactorVAE: gamma="):
        built(gamma=gamma)


def test_refuses_a_batch_that_cannot_be_permuted():
    with pytest.raises(UserError, match="one example"):
        permuted(torch.zeros(1, 3))


def test_samples_are_the_decoders_as_in_any_vae():
    module = built()
    found = module.samples(4, torch.Generator().manual_seed(0)).values
    assert found.shape == (4, 5)
    codes = torch.randn(2, 3)
    assert_close(module.generate(codes), module.autoencoder.generation.decoder(codes).detach())


def test_a_resumed_run_equals_the_whole_one_with_its_second_batches(tmp_path):
    settings = ("turns.discriminator.accumulate=2", "optimizers.autoencoder.ema.decay=0.9")
    check_resume(Case("factor_vae", SMALL).config(*EVERY, *settings), tmp_path, [1, 7])
