from functools import partial

import pytest
import torch

from contracts.cases import run
from duogen.errors import UserError
from duogen.experiment import assemble
from duogen.experiment.checkpoint import load
from duogen.modules.gan import GAN
from duogen.modules.turns import Turn
from duogen.modules.unrolled import LookAhead, Unrolled
from duogen.records import Examples
from modules.games import Game, assert_resumes, batch, gan, play, taught

ETA = 0.1
SGD = partial(torch.optim.SGD, lr=0.5)


def turns(unroll, leader="x", follower="y", **settings):
    return Unrolled(LookAhead(unroll, ETA, leader, follower), y=Turn("y", start=9), x=Turn("x", **settings))


def foreseen(x, y, decay, unroll):
    """y_K and dy_K/dx of y_{k+1} = y_k - eta (decay y_k - x), by hand."""
    shrink = 1 - ETA * decay
    gain = ETA * sum(shrink**k for k in range(unroll))
    return shrink**unroll * y + gain * x, gain


@pytest.mark.parametrize("decay", [0.0, 0.7])
@pytest.mark.parametrize("unroll", [0, 1, 2, 5])
def test_the_gradient_goes_through_the_foreseen_steps(unroll, decay):
    """L_x = x y_K(x), so that dL_x/dx = y_K + x dy_K/dx; the follower is not due and stays."""
    game = taught(Game(1.5, 2.0, decay), turns(unroll), SGD)
    end, gain = foreseen(1.5, 2.0, decay, unroll)
    path = play(game, 1)
    assert path == [pytest.approx((1.5 - 0.5 * (end + 1.5 * gain), 2.0), rel=1e-12)]
    assert game.seen == [("x", *path[0])]
    assert game.progress.updates == {"x": 1, "y": 0}
    assert all(parameter.grad is None for parameter in game.parameters())


def test_what_is_logged_is_the_leaders_loss_after_the_foreseen_steps():
    game = taught(Game(1.5, 2.0, 0.7), turns(3), SGD)
    play(game, 1)
    end, _ = foreseen(1.5, 2.0, 0.7, 3)
    assert game.logged.means(lambda v: v).values == pytest.approx({"train/x/loss": 1.5 * end})


def test_micro_batches_of_one_size_give_the_gradient_of_their_mean():
    game = taught(Game(1.5, 2.0), turns(1, accumulate=2), SGD)
    path = play(game, 2, [batch(1.0), batch(3.0)])
    gradients = [b * (2.0 + ETA * b * 1.5) + 1.5 * b * ETA * b for b in (1.0, 3.0)]
    assert path[-1][0] == pytest.approx(1.5 - 0.5 * sum(gradients) / 2, rel=1e-12)


def test_it_converges_where_alternate_steps_circle():
    game = Game(1.0, 2.0)
    ahead = LookAhead(5, 0.2, "x", "y")
    taught(game, Unrolled(ahead, y=Turn("y"), x=Turn("x")), partial(torch.optim.SGD, lr=0.2))
    assert max(map(abs, play(game, 60)[-1])) < 0.01


@pytest.fixture
def fixed_noise(monkeypatch):
    """One noise for all, and double precision to the end: a GAN takes its logits and penalties in single."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    noise = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    monkeypatch.setattr(GAN, "noise", lambda module, count: noise[:count])


OPTIONS = ("pack=2", "penalty=[r1]", "generator.batch_norm=true")


@pytest.mark.parametrize("options", [(), OPTIONS, ("adversarial=hinge", "compile=aot_eager")], ids=str)
def test_of_a_gan_it_is_the_slope_of_the_surrogate(options, fixed_noise):
    """Against central differences of L_G(theta, phi_K(theta)), where no_grad and buffers stand in the way."""
    torch.manual_seed(5)
    config = gan("turns=unrolled", "turns.ahead.unroll=3", "turns.ahead.unroll_lr=0.5", *options)
    module = assemble.module(config, ()).double()
    assemble.teach(module, config, ())
    examples = Examples(torch.randn(6, 2, dtype=torch.float64))
    leader = module.parameters_of("generator")
    start = {name: value.clone() for name, value in module.state_dict().items()}
    direction = [torch.randn_like(p) for p in leader]

    def surrogate(shift):
        module.load_state_dict(start)
        with torch.no_grad():
            torch._foreach_add_(leader, direction, alpha=shift)
        loss = module.turns.loss(module, "generator", examples)
        return loss.weighted(loss.sums()) / loss.count

    slopes = torch.autograd.grad(surrogate(0.0), leader)
    along = sum(float((slope * way).sum()) for slope, way in zip(slopes, direction, strict=True))
    apart = float((surrogate(1e-5) - surrogate(-1e-5)).detach()) / 2e-5
    assert along == pytest.approx(apart, rel=1e-5)
    module.load_state_dict(start)
    plain = super(Unrolled, module.turns).loss(module, "generator", examples)
    blind = torch.autograd.grad(plain.weighted(plain.sums()) / plain.count, leader)
    assert abs(sum(float((s * w).sum()) for s, w in zip(blind, direction, strict=True)) - along) > 1e-4 * abs(along)


def test_only_the_leaders_own_forward_moves_buffers(fixed_noise):
    """With a rate near 0 they end as after a turn that does not look ahead; parameters stay to the bit."""
    torch.manual_seed(5)
    options = ("discriminator.spectral_norm=true", "generator.batch_norm=true", "turns.ahead.unroll_lr=1e-12")
    config = gan("turns=unrolled", *options)
    module = assemble.module(config, ()).double()
    assemble.teach(module, config, ())
    examples = Examples(torch.randn(6, 2, dtype=torch.float64))
    start = {name: value.detach().clone() for name, value in module.state_dict().items()}
    module.turns.loss(module, "generator", examples)
    ended = {name: value.detach().clone() for name, value in module.state_dict().items()}
    module.load_state_dict(start)
    super(Unrolled, module.turns).loss(module, "generator", examples)
    moved = [name for name, value in module.named_buffers() if not torch.equal(value, start[name])]
    assert {name.rsplit(".", 1)[1] for name in moved} == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
        "_u",
        "_v",
    }
    for name, value in module.state_dict().items():
        torch.testing.assert_close(ended[name], value.detach(), rtol=1e-9, atol=1e-9)
    assert all(torch.equal(ended[name], start[name]) for name, _ in module.named_parameters())
    assert not module.generator._forward_pre_hooks
    assert torch.is_grad_enabled()


def test_a_follower_that_does_not_depend_on_the_leader_is_refused():
    class Deaf(Game):
        def answer(self, batch):
            return self.loss(self.y(batch.count) ** 2)

    with pytest.raises(UserError, match="y minimises does not depend on x"):
        play(taught(Deaf(), turns(2), SGD), 1)


@pytest.mark.parametrize("numbers", [(-1, 0.1, "x", "y"), (2, 0.0, "x", "y"), (2, 0.1, "x", "x")])
def test_numbers_out_of_range_are_refused(numbers):
    with pytest.raises(UserError, match="out of range"):
        LookAhead(*numbers)


def test_a_turn_that_is_not_there_is_refused():
    with pytest.raises(UserError, match=r"turns\.ahead\.follower=z\n  allowed: x, y"):
        turns(2, follower="z")


def test_a_gan_resumes_bit_for_bit(tmp_path):
    assert_resumes(tmp_path, 6, "turns=unrolled", "discriminator.dropout=0.3", "discriminator.spectral_norm=true")


def test_half_precision_stays_near_full(tmp_path):
    settings = ("budget.steps=3", "turns=unrolled", "turns.ahead.unroll_lr=0.5", "optimizer=sgd")
    full = load(run(gan(*settings), tmp_path / "full").last)["module"]
    half = load(run(gan(*settings, "trainer.precision=bf16-mixed"), tmp_path / "half").last)["module"]
    for name, value in half.items():
        torch.testing.assert_close(value, full[name], rtol=0.05, atol=1e-3)
