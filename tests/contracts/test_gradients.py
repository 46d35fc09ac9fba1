"""Law 4: accumulation, clipping and mixed precision belong to the turn, and are exact."""

import pytest
import torch

from contracts.cases import found, run
from duogen.data.examples import ExamplesData
from duogen.errors import UserError
from duogen.experiment import assemble
from duogen.experiment.checkpoint import load
from duogen.experiment.pairs import refuse
from duogen.modules.alternating import AlternatingModule
from duogen.modules.gan import GAN
from duogen.records import Examples

GAN_CASE = next(case for case in found() if case.name == "gan")


def weights(config, folder):
    return load(run(config, folder).last)["module"]


@pytest.fixture
def fixed_noise(monkeypatch):
    """Noise that belongs to the example, so that cutting a batch into micro-batches changes nothing."""
    monkeypatch.setattr(GAN, "noise", lambda module, count: torch.ones(count, module.latent_dim).cumsum(1))


@pytest.mark.parametrize("adversarial", ["non_saturating", "least_squares"])
def test_four_micro_batches_equal_one_batch(adversarial, fixed_noise, tmp_path, monkeypatch):
    """The same 32 examples as one batch and as four of eight; simultaneous, so that parameters stay within a window."""

    def stream(data, start, purpose="train"):
        rows = data.splits["train"].values[:320].split(data.batch_size)
        return (Examples(part) for part in rows[start:] + rows)

    monkeypatch.setattr(ExamplesData, "stream", stream)
    settings = (f"adversarial={adversarial}", "penalty=[r1]", "optimizer=sgd", "turns=simultaneous")
    small = GAN_CASE.config(
        *settings,
        "data.batch_size=8",
        "budget.steps=12",
        "turns.discriminator.accumulate=4",
        "turns.generator.accumulate=4",
    )
    large = GAN_CASE.config(*settings, "data.batch_size=32", "budget.steps=3")
    a, b = weights(small, tmp_path / "small"), weights(large, tmp_path / "large")
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-5, atol=1e-7)


def norms(monkeypatch):
    """Records the norm of each player's gradient as its optimizer gets it."""
    seen = []
    original = torch.optim.SGD.step

    def step(optimizer, *arguments, **options):
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        seen.append(float(torch.nn.utils.get_total_norm(gradients)))
        return original(optimizer, *arguments, **options)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    return seen


def test_clip_bounds_the_unscaled_gradient_of_its_player_alone(tmp_path, monkeypatch):
    seen = norms(monkeypatch)
    settings = ("optimizer=sgd", "budget.steps=4", "turns.discriminator.clip=0.001")
    run(GAN_CASE.config(*settings), tmp_path / "full")
    full = list(seen)
    seen.clear()
    run(GAN_CASE.config(*settings, "trainer.precision=16-mixed"), tmp_path / "half")
    assert full[0::2] == pytest.approx([0.001] * 4, rel=1e-3)
    assert min(full[1::2]) > 0.002
    assert seen[0::2] == pytest.approx(full[0::2], rel=1e-3)
    assert seen[1::2] == pytest.approx(full[1::2], rel=0.05)


@pytest.mark.parametrize(("turns", "fused"), [("alternate", "true"), ("alternate", "null"), ("simultaneous", "true")])
def test_an_infinite_gradient_skips_that_player_alone_and_lowers_the_scale_once(turns, fused, tmp_path, monkeypatch):
    """One shared scaler: both players meet the same scale within a batch, and it moves once, after both."""
    update = AlternatingModule.update
    scales = []

    def spoil(module, turn, window):
        scales.append(module.scaler.get_scale())
        if turn.player == "generator" and module.step == 2:
            module.parameters_of("generator")[0].grad.fill_(float("inf"))
        before = [p.clone() for p in module.parameters_of(turn.player)]
        taken = update(module, turn, window)
        moved = any(not torch.equal(a, b) for a, b in zip(before, module.parameters_of(turn.player), strict=True))
        assert moved == taken == (not (turn.player == "generator" and module.step == 2))
        return taken

    monkeypatch.setattr(AlternatingModule, "update", spoil)
    settings = (f"turns={turns}", "turns.generator.clip=1", f"optimizer.fused={fused}")
    config = GAN_CASE.config("budget.steps=5", "trainer.precision=16-mixed", *settings)
    folder = run(config, tmp_path / "run")
    assert folder.record().updates == {"generator": 4, "discriminator": 5}
    assert scales == [65536.0] * 6 + [32768.0] * 4


def test_half_precision_with_open_windows_of_two_players_is_refused():
    with pytest.raises(UserError, match="bf16-mixed"):
        refuse(GAN_CASE.config("trainer.precision=16-mixed", "turns.generator.accumulate=2"))


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_stays_near_full(precision, tmp_path):
    settings = ("budget.steps=5", "adversarial=hinge", "penalty=[r1,gradient_penalty]")
    full = weights(GAN_CASE.config(*settings), tmp_path / "full")
    mixed = weights(GAN_CASE.config(*settings, f"trainer.precision={precision}"), tmp_path / "mixed")
    assert all(value.dtype == full[name].dtype for name, value in mixed.items())
    for name, value in mixed.items():
        torch.testing.assert_close(value, full[name], rtol=0.05, atol=5e-3)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_a_penaltys_second_derivative_is_taken_in_full_precision(precision, tmp_path):
    """With a weight at which R1 is all there is, half precision changes nothing that it could round."""
    settings = ("penalty=[r1]", "penalties.r1.weight=10000", "optimizer=sgd", "optimizer.lr=1e-6", "budget.steps=1")
    full = weights(GAN_CASE.config(*settings), tmp_path / "full")
    mixed = weights(GAN_CASE.config(*settings, f"trainer.precision={precision}"), tmp_path / "mixed")
    first = assemble.module(GAN_CASE.config(*settings), ()).state_dict()
    moves = [(full[n] - first[n], mixed[n] - first[n]) for n in full if n.startswith("discriminator.layers.1")]
    assert len(moves) == 2
    for whole, half in moves:
        assert (whole - half).norm() <= 1e-3 * whole.norm()
