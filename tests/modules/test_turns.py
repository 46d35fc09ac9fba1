from functools import partial

import pytest
import torch

from duogen.errors import UserError
from duogen.experiment import assemble
from duogen.modules.extragradient import Extragradient
from duogen.modules.gan import GAN
from duogen.modules.turns import Alternate, Simultaneous, Turn
from duogen.records import Examples
from modules.games import Game, assert_resumes, batch, gan, play, taught

LAZY = ("x_penalty", "y_penalty")
LAZY_TURNS = ("turns=lazy", "penalty=[r1]", "turns.discriminator_penalties.every=4")


@pytest.mark.parametrize(
    ("main", "lazy", "k"),
    [
        ({}, {"every": 16}, 16),
        ({}, {"every": 4, "accumulate": 2}, 8),
        ({"every": 5}, {"every": 20}, 4),
        ({"every": 2, "accumulate": 3}, {"every": 12}, 2),
        ({"every": 3}, {"every": 1}, 1 / 3),
    ],
)
def test_k_is_the_steps_of_the_player_per_lazy_step(main, lazy, k):
    turns = Alternate(main=Turn("y", **main), lazy=Turn("y", "y_penalty", **lazy), other=Turn("x"))
    assert turns.laziness("lazy", LAZY, 0) == pytest.approx(k)
    assert turns.shares(LAZY) == pytest.approx({"y": k / (k + 1), "x": 1.0})
    assert turns.updates(240)["y"] == turns.turns["main"].updates(240) * (1 + 1 / k)


def test_turns_of_other_phases_do_not_count_and_two_lazy_turns_add_up():
    turns = Alternate(
        first=Turn("y", until=10),
        second=Turn("y", start=10, every=2),
        lazy=Turn("y", "y_penalty", every=4),
        slow=Turn("y", "x_penalty", every=8),
    )
    assert [turns.laziness("lazy", LAZY, step) for step in (0, 9, 10)] == [4, 4, 2]
    assert turns.shares(LAZY)["y"] == pytest.approx(1 / (1 + 1 / 4 + 1 / 8))
    assert Alternate(lazy=Turn("y", "y_penalty", every=4)).laziness("lazy", LAZY, 0) == 1


def gradients(game, turns, steps):
    """What the optimizer of y is given over the steps, at parameters that stay where they are."""
    given = []
    taught(game, turns, partial(torch.optim.SGD, lr=0.0))
    game.optimizer_of("y").register_step_pre_hook(lambda *_: given.append(float(game.y.value.grad)))
    play(game, steps, [batch(1.0), batch(3.0)])
    return given


@pytest.mark.parametrize("kind", [Alternate, Simultaneous, Extragradient])
@pytest.mark.parametrize("every", [1, 2, 4])
def test_over_k_steps_a_lazy_penalty_gives_the_gradient_of_one_at_every_step(kind, every):
    """On a quadratic: the sum over 8 steps of -b x + lambda 6 y, whether the second part comes at once or each time."""
    lazy = gradients(Game(1.0, 2.0), kind(y=Turn("y"), lazy=Turn("y", "y_penalty", every=every)), 8)
    repeat = 2 if kind is Extragradient else 1
    assert len(lazy) == (8 + 8 // every) * repeat
    # The extra batch of the extrapolation is 1, its mean with the others' 2 therefore 1.5.
    pull = {1: -2.0, 2: -1.5}[repeat]
    assert sum(lazy) == pytest.approx(8 * repeat * (pull + 12.0))


def test_a_lazy_window_weighs_as_much_as_its_turns_are_rare():
    turns = Alternate(y=Turn("y"), lazy=Turn("y", "y_penalty", every=2, accumulate=2))
    given = gradients(Game(1.0, 2.0), turns, 8)
    assert sum(given) == pytest.approx(8 * (12.0 - 2.0))
    assert max(given) == pytest.approx(4 * 12.0)


def test_what_is_logged_of_a_lazy_turn_is_the_unweighted_term():
    game = Game(1.0, 2.0)
    gradients(game, Alternate(x=Turn("x"), y=Turn("y", "y_penalty", every=4)), 4)
    assert game.logged.means(lambda v: v).values["train/y/loss"] == 12.0


@pytest.fixture
def fixed_noise(monkeypatch):
    monkeypatch.setattr(GAN, "noise", lambda module, count: torch.ones(count, module.latent_dim).cumsum(1))


def discriminators_gradient(*options):
    """Summed over 8 steps at fixed parameters, as one vector."""
    config = gan("optimizer=sgd", "optimizer.lr=0.0", *options)
    module = assemble.module(config, ())
    assemble.teach(module, config, ())
    module.configure_optimizers()
    parameters, total = module.parameters_of("discriminator"), []
    module.optimizer_of("discriminator").register_step_pre_hook(
        lambda *_: total.append(
            torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters])
        )
    )
    examples = Examples(torch.linspace(-1, 1, 12).reshape(6, 2))
    for step in range(8):
        module.step = step
        module.turns.play(module, examples)
    return torch.stack(total).sum(0), len(total)


@pytest.mark.parametrize("penalty", ["[r1]", "[r1,r2]"])
def test_a_gans_lazy_penalties_add_up_to_the_prompt_ones(penalty, fixed_noise):
    prompt, count = discriminators_gradient(f"penalty={penalty}")
    lazy, more = discriminators_gradient(*LAZY_TURNS, f"penalty={penalty}")
    without, _ = discriminators_gradient()
    assert (count, more) == (8, 10)
    torch.testing.assert_close(lazy, prompt, rtol=1e-4, atol=1e-5)
    assert (prompt - without).norm() > 1e-2 * without.norm()


def optimizers(*options):
    config = gan(*options)
    module = assemble.module(config, ())
    assemble.teach(module, config, ())
    module.configure_optimizers()
    return [module.optimizer_of(player).param_groups[0] for player in ("discriminator", "generator")]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "optimistic_adam"])
def test_adam_is_slowed_for_the_lazy_player_alone(optimizer):
    """Karras et al. 2020, appendix B: c = 16 / 17 multiplies the rate and is the power of both decays."""
    settings = (f"optimizer={optimizer}", "optimizer.lr=0.002", "optimizer.betas=[0.25,0.99]")
    lazy, other = optimizers("turns=lazy", "penalty=[r1]", *settings)
    assert (lazy["lr"], *lazy["betas"]) == pytest.approx((0.002 * 16 / 17, 0.25 ** (16 / 17), 0.99 ** (16 / 17)))
    assert (other["lr"], *other["betas"]) == (0.002, 0.25, 0.99)


def test_rmsprop_is_slowed_and_plain_steps_are_not():
    rmsprop, _ = optimizers(*LAZY_TURNS, "optimizer=rmsprop", "optimizer.lr=0.5")
    assert (rmsprop["lr"], rmsprop["alpha"]) == pytest.approx((0.4, 0.99**0.8))
    assert optimizers(*LAZY_TURNS, "optimizer=sgd", "optimizer.lr=0.5")[0]["lr"] == 0.5


def test_a_schedule_starts_from_the_slowed_rate_and_may_not_set_the_decay():
    lazy, other = optimizers(*LAZY_TURNS, "optimizer.lr=0.5", "scheduler=ramped", "scheduler.beta2=null")
    assert (lazy["lr"], other["lr"]) == pytest.approx((0.4, 0.5))
    with pytest.raises(UserError, match=r"optimizers\.discriminator\.scheduler\.beta2 with a lazy turn"):
        optimizers(*LAZY_TURNS, "scheduler=ramped")


def test_lazy_turns_resume_bit_for_bit(tmp_path):
    """Stopped where the lazy window, which takes eight batches, is half full."""
    more = ("turns.discriminator_penalties.every=2", "turns.discriminator_penalties.accumulate=2")
    assert_resumes(tmp_path, 9, *LAZY_TURNS[:2], *more, "optimizers.discriminator.ema.decay=0.9")


def test_a_loss_scale_serves_one_step_of_a_player_and_batch():
    game = taught(
        Game(), Alternate(y=Turn("y"), lazy=Turn("y", "y_penalty", every=1)), partial(torch.optim.SGD, lr=0.1)
    )
    game.scaler = torch.amp.GradScaler("cpu")
    with pytest.raises(UserError, match="y steps twice on one batch"):
        play(game, 1)


@pytest.mark.parametrize(
    ("options", "player"),
    [
        (LAZY_TURNS, "discriminator"),
        (("turns=unrolled",), "discriminator"),
        (("turns=extragradient",), "discriminator"),
        (("turns=extragradient", "turns.discriminator.every=2"), "discriminator"),
    ],
)
def test_where_a_player_is_differentiated_twice_on_a_batch_a_loss_scale_is_refused_at_the_start(options, player):
    with pytest.raises(UserError, match=f"16-mixed with turns that differentiate {player} more than once"):
        optimizers(*options, "trainer.precision=16-mixed")
    optimizers(*options, "trainer.precision=bf16-mixed")


def test_turns_of_one_player_in_other_phases_share_a_loss_scale():
    assert Alternate(a=Turn("y", until=5), b=Turn("y", start=5), x=Turn("x")).repeated is None
    assert Alternate(a=Turn("y", until=5), b=Turn("y", start=4), x=Turn("x")).repeated == "y"
    assert Alternate(a=Turn("x"), b=Turn("y", start=7), c=Turn("y", start=3, until=9)).repeated == "y"
