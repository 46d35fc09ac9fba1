import numpy as np
import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.objectives.consistency import BalancedConsistency, Consistency, LatentConsistency
from duogen.objectives.penalties import Play
from duogen.ramp import Linear

M, Z, D = 4, 3, 5
MATRIX = torch.randn(Z, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SLOPE = torch.randn(D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Moved(nn.Module):
    """Adds the step."""

    def forward(self, images, step):
        return images + step


def critic(examples):
    return (examples @ SLOPE).tanh()


def play(generator=None):
    torch.manual_seed(2)
    noise = torch.randn(M, Z, dtype=torch.float64)
    generate = generator or (lambda noise: (noise @ MATRIX).sin())
    real, fake = torch.randn(M, D, dtype=torch.float64), generate(noise)
    same = dict.fromkeys(("judge", "critic"), critic)
    other = dict.fromkeys(("features", "styles", "render"), None)
    return Play(real=real, fake=fake, noise=noise, labels=None, generate=generate, step=2, **same, **other)


def squared_change(examples):
    examples = examples.numpy()
    return (np.tanh(examples @ SLOPE.numpy()) - np.tanh((examples + 2) @ SLOPE.numpy())) ** 2


def test_cr_is_the_squared_change_on_real_images():
    turn = play()
    penalty = Consistency(weight=10.0, augmentation=Moved())
    np.testing.assert_allclose(penalty.discriminator(turn), squared_change(turn.real), rtol=1e-12)
    assert penalty.generator(turn) is None


@pytest.mark.parametrize("share", [0.0, 1.0, 0.25])
def test_bcr_adds_generated_images(share):
    turn = play()
    expected = squared_change(turn.real) + share * squared_change(turn.fake)
    penalty = BalancedConsistency(weight=10.0, augmentation=Moved(), share=share)
    np.testing.assert_allclose(penalty.discriminator(turn), expected, rtol=1e-12)


def test_the_logits_of_the_turn_are_used_again():
    turn = play()
    judged = Play(**vars(turn) | {"real_logits": torch.full((M,), 7.0), "fake_logits": torch.full((M,), -7.0)})
    values = BalancedConsistency(weight=10.0, augmentation=Moved(), share=1.0).discriminator(judged)
    expected = (7 - critic(turn.real + 2)) ** 2 + (-7 - critic(turn.fake + 2)) ** 2
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_zcr_draws_the_discriminator_together_and_the_generator_apart():
    turn, penalty = play(), LatentConsistency(weight=5.0, generator_weight=0.5, std=0.05)
    torch.manual_seed(3)
    change = 0.05 * torch.randn(M, Z, dtype=torch.float64)
    near = ((turn.noise + change) @ MATRIX).sin()
    torch.manual_seed(3)
    np.testing.assert_allclose(penalty.discriminator(turn), (critic(turn.fake) - critic(near)) ** 2, rtol=1e-12)
    torch.manual_seed(3)
    expected = -((turn.fake - near).numpy() ** 2).mean(1)
    np.testing.assert_allclose(penalty.generator(turn), expected, rtol=1e-12)
    assert (penalty.weight, penalty.generator_weight) == (5.0, 0.5)


def test_the_size_of_the_change_is_the_deviation():
    turn = play(generator=lambda noise: noise)
    wide = Play(**vars(turn) | {"noise": torch.zeros(20000, 2), "fake": torch.zeros(20000, 2)})
    moved = -LatentConsistency(weight=5.0, generator_weight=0.5, std=0.25).generator(wide)
    assert moved.mean().sqrt().item() == pytest.approx(0.25, rel=0.02)


def test_zcr_in_the_discriminators_turn_spares_the_generator():
    generator = nn.Linear(Z, D).double()
    turn = play(generator)
    term = LatentConsistency(weight=5.0, generator_weight=0.5, std=0.05).discriminator(
        Play(**vars(turn) | {"fake": turn.fake.detach()})
    )
    assert not term.requires_grad
    apart = LatentConsistency(weight=5.0, generator_weight=0.5, std=0.05).generator(turn)
    apart.mean().backward()
    assert generator.weight.grad is not None
    assert generator.weight.grad.any()


@pytest.mark.parametrize(
    ("change", "given"),
    [
        ({"weight": -1.0}, "weight=-1.0"),
        ({"generator_weight": float("nan")}, "generator_weight=nan"),
        ({"std": 0.0}, "std=0.0"),
    ],
)
def test_zcr_refuses_by_name(change, given):
    with pytest.raises(UserError, match=f"LatentConsistency: {given}"):
        LatentConsistency(**{"weight": 5.0, "generator_weight": 0.5, "std": 0.05} | change)


def test_bcr_refuses_a_share_by_name():
    with pytest.raises(UserError, match=r"BalancedConsistency: share=-1\.0"):
        BalancedConsistency(weight=10.0, augmentation=Moved(), share=-1.0)


def test_weights_may_be_ramps():
    ramp = Linear(first=0.0, last=1.0, start=0, stop=5)
    assert LatentConsistency(weight=ramp, generator_weight=ramp, std=0.05).generator_weight is ramp
