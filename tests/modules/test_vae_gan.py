"""A VAE-GAN's three losses by hand, on toy parts of which everything is known."""

import pytest
import torch
from scipy.stats import norm
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import softplus
from torch.testing import assert_close

from contracts.cases import Case, run
from contracts.watch import Watch
from duogen.errors import UserError
from duogen.modules.vae_gan import VaeGan
from duogen.networks.dense import MlpDecoder, MlpDiscriminator, MlpEncoder
from duogen.networks.images import DcganDiscriminator
from duogen.networks.likelihoods.bernoulli import Bernoulli
from duogen.networks.likelihoods.gaussian import SharedGaussian
from duogen.networks.posteriors.gaussian import GaussianPosterior
from duogen.networks.priors.standard import StandardPrior
from duogen.objectives.adversarial import EnergyBased, Minimax, NonSaturating, Relativistic
from duogen.objectives.variational.elbo import Elbo
from duogen.objectives.variational.iwae import Iwae
from duogen.ramp import Linear
from duogen.records import Examples

SHAPE, N, Z = [1, 3, 2], 7, 4


def built(adversarial=None, variational=None, gamma=0.25, likelihood=None, discriminator=None):
    torch.manual_seed(0)
    encoder = MlpEncoder(SHAPE, 5, 1, nn.Tanh(), None)
    decoder = MlpDecoder(SHAPE, Z, 6, 1, nn.Tanh(), None)
    return VaeGan(
        GaussianPosterior(encoder, Z),
        StandardPrior(Z),
        decoder,
        likelihood or Bernoulli(SHAPE),
        variational or Elbo(0.5, 1),
        discriminator or MlpDiscriminator(SHAPE, 8, 2, 0.0, False, False, False),
        adversarial or Minimax(),
        gamma,
        Z,
        None,
    )


def batch():
    generator = torch.Generator().manual_seed(1)
    return Examples(torch.randint(0, 2, (N, *SHAPE), generator=generator) * 2.0 - 1)


def drawn(vae, examples):
    """Posterior, reconstructions and samples as a turn draws them: codes of the examples, then of the prior."""
    torch.manual_seed(3)
    posterior = vae.autoencoder.posterior((examples.values + 1) / 2)
    code = posterior.mean + posterior.stddev * torch.randn(1, N, Z)[0]
    decode = vae.autoencoder.generation.decoder
    return posterior, (decode(code) / 2).tanh(), (decode(torch.randn(1, N, Z)[0]) / 2).tanh()


def judged(vae, examples):
    features = vae.discriminator.layers(examples)
    return features, vae.discriminator.output(features)[:, 0]


def said(vae, name, examples):
    torch.manual_seed(3)
    return vae.objectives[name](examples)


def check_distortion(vae, loss, examples):
    posterior, made, _ = drawn(vae, examples)
    real, fake = judged(vae, examples.values)[0], judged(vae, made)[0]
    expected = -torch.from_numpy(norm.logpdf(real.detach().numpy(), fake.detach().numpy(), 1).sum(1))
    assert_close(loss.terms["distortion"], expected.float())
    variance = posterior.variance
    rate = 0.5 * (posterior.mean.square() + variance - 1 - variance.log()).sum(1)
    assert_close(loss.terms["rate"], rate)


def test_the_encoder_minimises_the_rate_and_the_distance_of_features():
    vae, examples = built(), batch()
    loss = said(vae, "encoder", examples)
    check_distortion(vae, loss, examples)
    assert set(loss.terms) == {"distortion", "rate"}
    assert loss.weights == {"rate": 0.5}
    assert loss.count == N


def test_the_decoder_weighs_the_objective_by_gamma_and_plays_with_both_kinds():
    vae, examples = built(), batch()
    loss = said(vae, "decoder", examples)
    check_distortion(vae, loss, examples)
    _, made, sampled = drawn(vae, examples)
    assert_close(loss.terms["adversarial_reconstructed"], -softplus(judged(vae, made)[1]))
    assert_close(loss.terms["adversarial_sampled"], -softplus(judged(vae, sampled)[1]))
    expected = {"distortion": 0.25, "rate": 0.125, "adversarial_reconstructed": 1.0, "adversarial_sampled": 1.0}
    assert loss.weights == expected


def test_the_discriminator_sees_real_examples_as_often_as_both_kinds_of_others():
    vae, examples = built(), batch()
    loss = said(vae, "discriminator", examples)
    _, made, sampled = drawn(vae, examples)
    real, fake, other = (judged(vae, values)[1] for values in (examples.values, made, sampled))
    ones, zeros = torch.ones(N), torch.zeros(N)
    expected = cross_entropy(real, ones, reduction="none")
    for logits in (fake, other):
        expected = expected + 0.5 * cross_entropy(logits, zeros, reduction="none")
    total = sum(loss.weights[name] * term for name, term in loss.terms.items())
    assert_close(total, expected)
    assert_close(loss.observed["logits_reconstructed"], fake.detach())
    assert_close(loss.observed["logits_sampled"], other.detach())
    assert not any(value.requires_grad for value in loss.observed.values())


def test_nothing_of_the_discriminators_turn_reaches_the_autoencoder():
    vae = built()
    said(vae, "discriminator", batch()).terms["adversarial_sampled"].sum().backward()
    assert all(parameter.grad is None for parameter in vae.autoencoder.parameters())


def test_the_encoders_loss_is_not_adversarial():
    """Larsen et al. 2016, section 2.3: the error signal of the game is not passed on to the encoder."""
    vae, examples = built(), batch()
    gradients = []
    for adversarial in (Minimax(), NonSaturating()):
        vae.adversarial = adversarial
        loss = said(vae, "encoder", examples)
        parameters = list(vae.players["encoder"].parameters())
        gradients.append(torch.autograd.grad(loss.weighted(loss.sums()), parameters))
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
    assert all(gradient.any() for gradient in gradients[0])


def test_gamma_may_follow_the_step():
    vae = built(gamma=Linear(1.0, 0.0, 0, 4))
    vae.step = 1
    assert vae.decoder_loss(batch()).weights["distortion"] == 0.75


def test_paired_losses_are_told_the_real_logits():
    vae, examples = built(Relativistic()), batch()
    loss = said(vae, "decoder", examples)
    _, made, sampled = drawn(vae, examples)
    real = judged(vae, examples.values)[1]
    assert_close(loss.terms["adversarial_reconstructed"], softplus(real - judged(vae, made)[1]))
    assert_close(loss.terms["adversarial_sampled"], softplus(real - judged(vae, sampled)[1]))


def test_several_codes_are_compared_as_each_alone_and_the_first_plays():
    vae, examples = built(variational=Iwae(3)), batch()
    torch.manual_seed(3)
    evidence = vae.evidence_of(examples)
    assert evidence.code.shape == (3, N, Z)
    assert_close(evidence.explain(evidence.code), evidence.log_likelihood)
    assert evidence.decoded.mean.shape == (3, N, 8)
    loss = said(vae, "decoder", examples)
    first = vae.autoencoder.likelihood.shown(vae.autoencoder.explained(evidence.code[:1]))[0]
    assert_close(loss.terms["adversarial_reconstructed"], -softplus(judged(vae, first)[1]))
    assert loss.weights["nll_bound"] == 0.25


def test_a_turns_examples_pass_the_discriminator_as_one_batch():
    critic = DcganDiscriminator([1, 8, 8], 2, True, 0.0, False, False, False)
    torch.manual_seed(0)
    encoder, decoder = MlpEncoder([1, 8, 8], 5, 1, nn.Tanh(), None), MlpDecoder([1, 8, 8], Z, 6, 1, nn.Tanh(), None)
    vae = VaeGan(
        GaussianPosterior(encoder, Z), StandardPrior(Z), decoder, Bernoulli([1, 8, 8]), Elbo(1.0, 1), critic,
        NonSaturating(), 1.0, Z, None,
    )  # fmt: skip
    sizes = []
    critic.layers[0].register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    examples = Examples(torch.rand(N, 1, 8, 8) * 2 - 1)
    for name in ("encoder", "decoder", "discriminator"):
        vae.objectives[name](examples)
    assert sizes == [2 * N, 3 * N, 3 * N]


def test_the_players_share_no_parameter_and_leave_none_out():
    vae = built()
    sides = [{id(p) for p in player.parameters()} for player in vae.players.values()]
    assert list(vae.players) == list(vae.objectives) == ["encoder", "decoder", "discriminator"]
    assert sum(len(side) for side in sides) == len(set.union(*sides)) == len(list(vae.parameters()))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"gamma": -1.0}, "gamma=-1.0"),
        ({"gamma": float("inf")}, "gamma=inf"),
        ({"adversarial": EnergyBased(1.0)}, "EnergyBased"),
        ({"likelihood": SharedGaussian(SHAPE, 256, True, 0.01)}, "SharedGaussian"),
    ],
)
def test_what_makes_no_sense_is_refused(changed, words):
    with pytest.raises(UserError, match=words):
        built(**changed)


@pytest.mark.parametrize("turns", ["vae_gan", "alternate"])
def test_every_turn_moves_its_own_player_alone_and_all_of_it(turns, tmp_path, monkeypatch):
    watch = Watch(monkeypatch)
    small = ("model=vae_gan", "data=digits", "data.batch_size=8", "trainer=cpu", "logger=none", "latent_dim=3")
    narrow = ("encoder.width=5", "decoder.generator.width=2", "discriminator.width=2")
    config = Case("vae_gan", (*small, *narrow)).config("budget.steps=3", "metrics=[evidence_bound]")
    target = {"vae_gan": "Simultaneous", "alternate": "Alternate"}[turns]
    config["turns"]["_target_"] = f"duogen.modules.turns.{target}"
    record = run(config, tmp_path / "run").record()
    assert record.updates == {"encoder": 3, "decoder": 3, "discriminator": 3}
    assert set(watch.moved) == {"encoder", "decoder", "discriminator"}
    assert watch.unreached() == []
