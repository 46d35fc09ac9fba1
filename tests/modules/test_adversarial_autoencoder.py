"""The adversarial autoencoder's three losses by hand, and who moves what in a turn."""

from itertools import repeat

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from contracts.cases import Case
from duogen.errors import UserError
from duogen.experiment import assemble
from duogen.networks.posteriors.gaussian import GaussianPosterior
from duogen.networks.posteriors.point import PointPosterior
from duogen.networks.priors.mixture import MixturePrior
from duogen.objectives.adversarial import EnergyBased, LeastSquares, Relativistic, Wasserstein
from modules.adversaries import batch, built, log_sigmoid
from modules.resumed import EVERY, check_resume

SMALL = ("model=adversarial_autoencoder", "data=digits", "latent_dim=3", "encoder.width=6", "decoder.width=6",
         "discriminator.width=5", "discriminator.depth=1", "data.batch_size=8", "trainer=cpu",
         "logger=none")  # fmt: skip


def test_the_autoencoder_reconstructs_alone():
    module, examples = built(), batch()
    loss = module.loss(examples)
    assert list(loss.terms) == ["distortion"]
    code = module.autoencoder.posterior.head(module.autoencoder.posterior.encoder(examples.values))
    errors = (examples.values - module.autoencoder.generation.decoder(code)).square().sum(1)
    assert_close(loss.terms["distortion"], errors / (2 * 0.25) + 5 * np.log(0.5) + 2.5 * np.log(2 * np.pi))


def test_the_discriminator_tells_codes_of_the_prior_from_those_of_examples():
    module, examples = built(), batch()
    torch.manual_seed(2)
    loss = module.discriminator_loss(examples)
    torch.manual_seed(2)
    real = module.discriminator(torch.randn(11, 3))
    fake = module.discriminator(module.codes(examples))
    np.testing.assert_allclose(
        loss.terms["adversarial"].detach(), -log_sigmoid(real) - log_sigmoid(-fake), rtol=1e-5, atol=1e-6
    )
    assert_close(loss.observed["logits_real"], real.detach())
    assert_close(loss.observed["logits_fake"], fake.detach())
    assert loss.count == 11


def test_the_generator_is_the_encoder_and_wants_its_codes_taken_for_the_priors():
    module, examples = built(), batch()
    loss = module.generator_loss(examples)
    fake = module.discriminator(module.codes(examples))
    np.testing.assert_allclose(loss.terms["adversarial"].detach(), -log_sigmoid(fake), rtol=1e-5)
    assert module.players["generator"] is module.autoencoder.posterior


@pytest.mark.parametrize(("adversarial", "by_hand"), [
    (LeastSquares(), lambda fake, real: (fake - 1) ** 2 / 2),
    (Wasserstein(), lambda fake, real: -fake),
    (Relativistic(), lambda fake, real: -log_sigmoid(fake - real)),
])  # fmt: skip
def test_the_adversarial_loss_is_injected(adversarial, by_hand):
    """A paired one judges codes of the prior too, without a gradient."""
    module, examples = built(adversarial), batch()
    torch.manual_seed(2)
    loss = module.generator_loss(examples)
    torch.manual_seed(2)
    codes = module.codes(examples)
    fake, real = module.discriminator(codes).detach(), module.discriminator(torch.randn(11, 3)).detach()
    np.testing.assert_allclose(loss.terms["adversarial"].detach(), by_hand(fake, real), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("posterior", "equal"), [(PointPosterior, True), (GaussianPosterior, False)])
def test_the_encoder_is_deterministic_or_random(posterior, equal):
    module = built(posterior=posterior)
    assert torch.equal(module.codes(batch()), module.codes(batch())) == equal
    assert module.codes(batch()).shape == (11, 3)


def taught(*settings):
    config = Case("adversarial_autoencoder", SMALL).config("budget.steps=4", "metrics=[]", *settings)
    module = assemble.module(config, ())
    assemble.teach(module, config, ())
    module.configure_optimizers()
    data = assemble.data(config, ())
    data.setup()
    module._extra = repeat(data.train_examples(8))
    return module, data.train_examples(8)


PARTS = {
    "autoencoder": {"autoencoder.posterior", "autoencoder.generation"},
    "discriminator": {"discriminator.layers", "discriminator.output"},
    "generator": {"autoencoder.posterior"},
}


@pytest.mark.parametrize("player", list(PARTS))
def test_a_turn_moves_its_player_alone(player):
    module, examples = taught()
    before = {name: parameter.clone() for name, parameter in module.named_parameters()}
    module.turns.act(module, player, examples)
    ids = {id(parameter) for parameter in module.parameters_of(player)}
    assert all((parameter.grad is not None) == (id(parameter) in ids) for parameter in module.parameters())
    module.update(module.turns.turns[player], module.turns.windows[player])
    moved = {name for name, parameter in module.named_parameters() if not torch.equal(parameter, before[name])}
    assert {".".join(name.split(".")[:2]) for name in moved} == PARTS[player]


def test_the_two_turns_of_the_encoder_have_optimizers_of_their_own():
    module, examples = taught("optimizers.generator.lr=0.01")
    module.turns.play(module, examples)
    shared = module.parameters_of("generator")[0]
    one, two = (module.optimizer_of(player) for player in ("autoencoder", "generator"))
    assert any(shared is parameter for parameter in module.parameters_of("autoencoder"))
    assert (one.param_groups[0]["lr"], two.param_groups[0]["lr"]) == (2e-4, 0.01)
    assert not torch.equal(one.state[shared]["exp_avg"], two.state[shared]["exp_avg"])
    assert module.progress.updates == {"autoencoder": 1, "discriminator": 1, "generator": 1}


def test_the_players_leave_no_parameter_out():
    module = built()
    players = {id(p) for player in module.players.values() for p in player.parameters()}
    assert players == {id(p) for p in module.parameters()}


def test_codes_come_to_have_the_moments_of_the_prior():
    """Codes that start far away, at mean 4 with a deviation of 2, are drawn to mean 0 and deviation 1."""
    module = built(posterior=GaussianPosterior)
    module.autoencoder.posterior = encoder = Shifted()
    fast = [torch.optim.Adam(part.parameters(), lr=0.02, betas=(0.5, 0.9)) for part in (module.discriminator, encoder)]
    torch.manual_seed(0)
    for _ in range(300):
        for optimizer, objective in zip(fast, (module.discriminator_loss, module.generator_loss), strict=True):
            optimizer.zero_grad()
            objective(batch(64)).terms["adversarial"].mean().backward()
            optimizer.step()
    assert encoder.mean.abs().max() < 1
    assert 0.5 < encoder.log_deviation.exp().min() <= encoder.log_deviation.exp().max() < 1.5


class Shifted(nn.Module):
    """q(z | x) = q(z), normal, of a mean and a deviation that it learns."""

    def __init__(self):
        super().__init__()
        self.mean, self.log_deviation = nn.Parameter(torch.full((3,), 4.0)), nn.Parameter(torch.full((3,), 0.7))

    def forward(self, examples, labels=None):
        mean = self.mean.expand(len(examples), 3)
        return torch.distributions.Independent(torch.distributions.Normal(mean, self.log_deviation.exp()), 1)


def test_samples_are_decoded_codes_of_the_prior():
    module = built()
    assert module.samples(4, torch.Generator().manual_seed(0)).values.shape == (4, 5)
    assert module.drawn(2000, torch.Generator().manual_seed(0)).std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("settings", "words"), [
    ({"prior": MixturePrior(3, 2, 1.0)}, "prior MixturePrior, which learns"),
    ({"adversarial": EnergyBased(1.0)}, "adversarial EnergyBased, whose discriminator gives energies"),
])  # fmt: skip
def test_refuses_by_name(settings, words):
    with pytest.raises(UserError, match=f"AdversarialAutoencoder: {words}"):
        built(**settings)


def test_a_resumed_run_equals_the_whole_one(tmp_path):
    settings = ("turns.generator.every=2", "turns.discriminator.accumulate=2", "posterior=gaussian")
    check_resume(Case("adversarial_autoencoder", SMALL).config(*EVERY, *settings), tmp_path, [1, 7])
