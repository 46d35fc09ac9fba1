"""What a run would be: parameters and operations as counted by hand, nothing started, and misfits refused."""

import re
from itertools import pairwise

import pytest
import torch

from contracts.cases import ALLOW, MLP, SMALL, Case, found
from duogen.cli import main
from duogen.data.mixtures import GaussianMixture
from duogen.errors import UserError
from duogen.experiment import assemble
from duogen.experiment.check import imagined, rehearse, turn_flops
from duogen.experiment.key import run_key
from duogen.networks.dense import MlpGenerator

GAN = Case("gan-ring", (*SMALL, *MLP, "latent_dim=3", "generator.depth=1"))
GENERATOR, DISCRIMINATOR = [3, 8, 2], [2, 8, 8, 1]


def pairs(sizes):
    return [inputs * outputs for inputs, outputs in pairwise(sizes)]


def parameters(sizes):
    return sum(pairs(sizes)) + sum(sizes[1:])


def forward(sizes):
    """Two operations, a product and a sum, per weight and example."""
    return 2 * sum(pairs(sizes))


def to_weights(sizes):
    return 2 * sum(pairs(sizes))


def to_inputs(sizes):
    """The gradient goes through every layer but the first, whose input needs none."""
    return 2 * sum(pairs(sizes)[1:])


PLAYS = {
    "generator": forward(GENERATOR) + to_weights(GENERATOR) + to_inputs(GENERATOR)
    + forward(DISCRIMINATOR) + 2 * sum(pairs(DISCRIMINATOR)),
    "discriminator": forward(GENERATOR)
    + 2 * (forward(DISCRIMINATOR) + to_weights(DISCRIMINATOR) + to_inputs(DISCRIMINATOR)),
}  # fmt: skip


def test_parameters_and_operations_are_those_counted_by_hand(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check", *GAN.overrides, "budget.steps=77"]) == 0
    shown = capsys.readouterr().out
    assert "gan-ring, 77 steps" in shown
    numbers = {line.split()[1]: re.findall(r"[\d,]+", line) for line in shown.splitlines() if "│" in line}
    assert numbers == {
        "discriminator": [f"{parameters(DISCRIMINATOR):,}", f"{PLAYS['discriminator']:,}"],
        "generator": [f"{parameters(GENERATOR):,}", f"{PLAYS['generator']:,}"],
    }
    assert f"key {run_key(GAN.config('budget.steps=77'))}; nothing was started." in shown
    assert list(tmp_path.iterdir()) == []


def test_operations_do_not_depend_on_the_number_counted_with():
    module = imagined(GAN.config(), ())
    for count in (1, 3, 16):
        assert {name: turn_flops(module, name, [2], count) for name in PLAYS} == PLAYS
    assert all(parameter.grad is None for parameter in module.parameters())


def test_a_penalty_costs_a_second_derivative():
    plain, penalised = (imagined(GAN.config(*more), ()) for more in ((), ("penalty=[r1]",)))
    assert turn_flops(penalised, "discriminator", [2]) > turn_flops(plain, "discriminator", [2])
    assert turn_flops(penalised, "generator", [2]) == turn_flops(plain, "generator", [2])


def test_no_data_is_read_and_nothing_takes_memory(monkeypatch):
    monkeypatch.setattr(GaussianMixture, "load", lambda self: pytest.fail("data was read"))
    config = GAN.config("generator.width=20000", "generator.depth=9", "optimizers.generator.ema.decay=0.9")
    module = imagined(config, ())
    assert {tensor.device.type for tensor in [*module.parameters(), *module.buffers()]} == {"meta"}
    assert sum(parameter.numel() for parameter in module.parameters_of("generator")) > 3 * 10**9


@pytest.mark.parametrize("case", found(), ids=lambda case: case.name)
def test_every_module_can_be_rehearsed(case):
    before = torch.get_rng_state()
    rehearse(case.config(), ALLOW)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_objective_that_draws_an_extra_batch_can_be_rehearsed():
    case = next(case for case in found() if case.name == "TinyLagging")
    module = imagined(case.config(), ALLOW)
    module.turns.acted = 1
    assert turn_flops(module, "encoder", [2]) > 0
    assert module.progress.extras == 1


@pytest.mark.parametrize("mistake", ["generator.latent_dim=7", "generator.shape=[5]", "discriminator.shape=[5]"])
def test_networks_that_do_not_fit_are_refused(mistake):
    with pytest.raises(UserError, match=r"cannot be played on examples of shape \[2\]"):
        rehearse(GAN.config(mistake), ())


@pytest.mark.parametrize(
    ("pack", "size", "ranks", "refused"),
    [(2, 6, 1, None), (2, 7, 1, 7), (3, 6, 2, None), (2, 6, 2, 3), (2, 5, 2, 3), (5, 11, 2, 6)],
)
def test_the_batch_of_every_rank_is_rehearsed(pack, size, ranks, refused):
    config = GAN.config(f"pack={pack}", f"data.batch_size={size}")
    config = config | {"trainer": config["trainer"] | {"devices": ranks}}
    if refused is None:
        rehearse(config, ())
        return
    with pytest.raises(UserError, match=f"pack={pack} with a batch of {refused} examples"):
        rehearse(config, ())


def test_a_batch_too_small_for_its_networks_is_refused():
    rehearse(GAN.config("generator.batch_norm=true", "data.batch_size=2"), ())
    with pytest.raises(UserError, match="cannot be played on batches of 1 example") as caught:
        rehearse(GAN.config("generator.batch_norm=true", "data.batch_size=1"), ())
    assert "data.batch_size" in caught.value.remedy


@pytest.mark.parametrize(
    ("mistake", "named"),
    [
        ("optimizer.lr=-1.0", "learning rate"),
        ("optimizers.discriminator.lr=-1.0", "learning rate"),
        ("optimizer.betas=[2.0,0.5]", "beta"),
        ("scheduler=plateau", "monitor is null"),
        ("monitor=nothing", "monitor=nothing"),
        ("turns.generator.player=critic", "turns.generator.player=critic"),
        ("turns.generator.objective=critic", "turns.generator.objective=critic"),
        ("optimizers.generator.scheduler={_target_: torch.optim.lr_scheduler.StepLR}", "StepLR"),
    ],
)
def test_what_an_optimizer_or_a_turn_refuses_is_refused_before_a_run(mistake, named):
    with pytest.raises(UserError) as caught:
        rehearse(GAN.config(mistake), ())
    assert named in str(caught.value)


def test_a_schedule_that_follows_a_value_needs_one_whatever_its_file_says():
    rehearse(GAN.config("scheduler=plateau", "monitor=modes_found", "scheduler.mode=max"), ())
    with pytest.raises(UserError, match="the schedule of generator follows a value"):
        rehearse(GAN.config("scheduler=plateau", "~scheduler.mode"), ())


def test_a_compiled_run_is_rehearsed_as_it_is(monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: pytest.fail("compiled"))
    rehearse(GAN.config("compile=true"), ())


def test_operations_of_a_network_that_looks_at_values_are_unknown(monkeypatch, tmp_path, capsys):
    def peeking(self, latent):
        return self.layers(latent) * float(latent.sum())

    monkeypatch.setattr(MlpGenerator, "forward", peeking)
    module = imagined(GAN.config(), ())
    assert [turn_flops(module, name, [2]) for name in PLAYS] == [None, None]
    rehearse(GAN.config(), ())
    assert main(["check", *GAN.overrides]) == 0
    assert capsys.readouterr().out.count("unknown") == 2


def test_the_rehearsal_leaves_the_run_as_it_would_be():
    config = GAN.config()
    expected = assemble.module(config, ()).state_dict()
    rehearse(config, ())
    found_ = assemble.module(config, ()).state_dict()
    assert all(torch.equal(found_[name], expected[name]) for name in expected)
