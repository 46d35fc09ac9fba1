import pytest
import torch

from contracts.cases import Case
from duogen.compose import compose
from duogen.errors import UserError
from duogen.experiment import assemble
from duogen.modules.split_vae import SplitVAE
from duogen.modules.vae import VAE
from duogen.objectives.variational.variational import Variational
from duogen.records import Examples, Loss

SMALL = ("data=digits", "latent_dim=3", "encoder.width=5", "decoder.width=5", "trainer=cpu", "logger=none")


class Sided(Variational):
    """Other losses for the two sides."""

    split = True

    def forward(self, evidence):
        raise AssertionError

    def encoder(self, evidence):
        return Loss({"rate": evidence.rate}, evidence.count)

    def decoder(self, evidence):
        return Loss({"distortion": evidence.distortion}, evidence.count)


def built(model):
    config = compose([f"model={model}", *SMALL]).config
    return assemble.module(config | {"metrics": {}}, ())


def test_each_side_minimises_its_own_loss():
    module = built("split_vae")
    assert isinstance(module, SplitVAE)
    module.variational = Sided()
    examples = Examples(torch.ones(4, 1, 8, 8))
    assert set(module.objectives["encoder"](examples).terms) == {"rate"}
    assert set(module.objectives["decoder"](examples).terms) == {"distortion"}


def test_the_players_share_no_parameter_and_leave_none_out():
    module = built("split_vae")
    sides = [{id(p) for p in player.parameters()} for player in module.players.values()]
    assert list(module.players) == ["encoder", "decoder"]
    assert sides[0] & sides[1] == set()
    assert sides[0] | sides[1] == {id(p) for p in module.parameters()}


def test_an_objective_with_two_gradients_is_refused_where_there_is_one_turn():
    module = built("vae")
    parts = module.autoencoder
    generation = parts.generation
    with pytest.raises(UserError, match="take model=split_vae"):
        VAE(parts.posterior, generation.prior, generation.decoder, generation.likelihood, Sided(), 3, None)


def test_the_averages_of_both_sides_are_evaluated_together():
    settings = ("optimizers.encoder.ema.decay=0.5", "optimizers.decoder.ema.decay=0.5")
    config = Case("split_vae", ("model=split_vae", *SMALL)).config(*settings, "budget.steps=3")
    module = assemble.module(config | {"metrics": {}}, ())
    assemble.teach(module, config, ())
    for player in ("encoder", "decoder"):
        module.averages[player].update(module.players[player], 1)
    parts = module.parts
    assert parts.posterior is module.averages["encoder"].network
    assert parts.generation is module.averages["decoder"].network
