import inspect

import numpy as np
import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.objectives import penalties
from duogen.objectives.penalties import R1, R2, Dragan, GradientPenalty, Play, SlopePenalty
from duogen.ramp import Linear

N, SHAPE, SIZE = 5, (2, 3, 4), 24
# The penalty of one example in numpy, from the critic's gradient at the point where the penalty looks.
REFERENCES = {
    GradientPenalty: lambda slope: (np.sqrt((slope**2).sum()) - 1) ** 2,
    Dragan: lambda slope: (np.sqrt((slope**2).sum()) - 1) ** 2,
    R1: lambda slope: 0.5 * (slope**2).sum(),
    R2: lambda slope: 0.5 * (slope**2).sum(),
}
PENALTIES = [
    item
    for _, item in inspect.getmembers(penalties, inspect.isclass)
    if issubclass(item, SlopePenalty) and not inspect.isabstract(item)
]


def made(penalty, weight=1.0):
    """The penalty; the one that moves the real examples moves them nowhere here."""
    return penalty(weight, noise=0.0) if penalty is Dragan else penalty(weight)


def images(seed):
    return torch.randn(N, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


REAL, FAKE = images(1), images(2)


def test_every_penalty_has_a_reference():
    assert len(PENALTIES) >= 4
    assert set(PENALTIES) == set(REFERENCES)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_linear_critic(penalty):
    slope = np.random.default_rng(0).normal(size=SIZE)
    values = made(penalty, 3.0)(lambda x: x.flatten(1) @ torch.as_tensor(slope) + 7, REAL, FAKE)
    np.testing.assert_allclose(values.detach(), [REFERENCES[penalty](slope)] * N, rtol=1e-12)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_quadratic_critic_on_equal_batches(penalty):
    matrix = np.random.default_rng(0).normal(size=(SIZE, SIZE))
    matrix = matrix + matrix.T

    def critic(x):
        return (x.flatten(1) @ torch.as_tensor(matrix) * x.flatten(1)).sum(1) / 2

    expected = [REFERENCES[penalty](matrix @ example) for example in REAL.flatten(1).numpy()]
    np.testing.assert_allclose(made(penalty)(critic, REAL, REAL).detach(), expected, rtol=1e-9)


@pytest.mark.parametrize(("penalty", "place"), [(R1, REAL), (R2, FAKE)])
def test_zero_centred_penalties_look_at_their_own_examples(penalty, place):
    values = penalty(weight=1.0)(lambda x: x.flatten(1).square().sum(1) / 2, REAL, FAKE)
    np.testing.assert_allclose(values.detach(), 0.5 * (place.numpy() ** 2).sum((1, 2, 3)), rtol=1e-12)


@pytest.mark.parametrize("shape", [(6,), SHAPE])
def test_each_interpolate_lies_on_its_own_segment(shape):
    real, fake = torch.randn(N, *shape), torch.randn(N, *shape) + 9
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    GradientPenalty(weight=10.0)(critic, real, fake)
    shares = ((seen[0] - fake) / (real - fake)).flatten(1).numpy()
    np.testing.assert_allclose(shares, np.repeat(shares[:, :1], shares.shape[1], axis=1), atol=1e-5)
    assert shares.min() >= -1e-5
    assert shares.max() <= 1 + 1e-5
    assert len(np.unique(shares[:, 0].round(3))) == N


def test_the_interpolates_are_uniform_and_drawn_from_the_default_generator():
    def shares(seed):
        seen = []

        def critic(x):
            seen.append(x.detach())
            return x.sum(1)

        torch.manual_seed(seed)
        GradientPenalty(weight=10.0)(critic, torch.ones(2000, 1), torch.zeros(2000, 1))
        return seen[0]

    assert torch.equal(shares(3), shares(3))
    assert not torch.equal(shares(3), shares(4))
    # The largest gap of an empirical distribution of 2,000 uniform draws exceeds 0.05 once in 10,000 tries.
    gap = np.abs(np.sort(shares(3).numpy().ravel()) - (np.arange(2000) + 0.5) / 2000).max()
    assert gap < 0.05


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_gradient_equals_finite_differences(penalty):
    inner, outer = torch.randn(SIZE, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)

    def value(inner, outer):
        torch.manual_seed(0)
        return made(penalty)(lambda x: torch.tanh(x.flatten(1) @ inner) @ outer, REAL, FAKE)

    assert torch.autograd.gradcheck(value, (inner.requires_grad_(), outer.requires_grad_()))


@pytest.mark.parametrize("penalty", PENALTIES)
def test_only_the_critic_receives_a_gradient(penalty):
    generator, critic = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1), nn.Flatten(0))
    real = torch.randn(N, 4, requires_grad=True)
    values = made(penalty)(critic, real, generator(torch.randn(N, 3)))
    assert values.shape == (N,)
    values.mean().backward()
    assert real.grad is None
    assert real.requires_grad
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in critic.parameters() if p.ndim == 2)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_gradient_is_finite_where_the_slope_is_zero(penalty):
    weight = torch.zeros(SIZE, dtype=torch.float64, requires_grad=True)
    values = made(penalty)(lambda x: x.flatten(1) @ weight, REAL, FAKE)
    values.sum().backward()
    np.testing.assert_allclose(values.detach(), [REFERENCES[penalty](np.zeros(SIZE))] * N)
    assert weight.grad is not None
    assert not weight.grad.any()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_weight_is_kept_as_given(penalty):
    ramp = Linear(first=0.0, last=10.0, start=0, stop=5)
    assert made(penalty, ramp).weight is ramp
    assert made(penalty, 0.0).weight == 0
    assert made(penalty, 2.5).weight == 2.5


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_refuses_a_weight_by_name(weight):
    with pytest.raises(UserError, match=f"R1: weight={weight}"):
        R1(weight=weight)


def visited(penalty, real):
    """Where the penalty differentiates the critic."""
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    penalty(critic, real, real + 100)
    return seen[0]


def test_dragan_looks_within_half_a_deviation_above_real_examples():
    real = torch.randn(400, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    moves = ((visited(Dragan(weight=10.0, noise=0.5), real) - real) / (0.5 * real.numpy().std())).flatten(1).numpy()
    assert moves.min() >= -1e-5
    assert moves.max() <= 1 + 1e-5
    # e u with e and u uniform has the mean 1/4; one e per example correlates its values: cov(e u, e u') = var(e) / 4.
    assert moves.mean() == pytest.approx(1 / 4, abs=0.02)
    assert np.cov(moves[:, 0], moves[:, 1])[0, 1] == pytest.approx(1 / 48, abs=0.015)
    assert len(np.unique(moves[0].round(4))) == 12


def test_dragan_refuses_its_noise_by_name():
    with pytest.raises(UserError, match=r"Dragan: noise=-0\.5"):
        Dragan(weight=10.0, noise=-0.5)


def test_a_slope_penalty_asks_the_critic_of_the_turn_and_has_no_term_for_the_generator():
    def critic(x):
        return 3 * x.sum(1)

    real = torch.randn(N, 2)
    turn = play(real=real, critic=critic)
    assert torch.equal(R1(weight=1.0).discriminator(turn), R1(weight=1.0)(critic, real, turn.fake))
    assert R1(weight=1.0).generator(turn) is None


def test_a_turn_judges_what_has_not_been_judged():
    given = play(critic=lambda x: x.sum(1), real_logits=torch.arange(N), fake=torch.full((N, 2), 2.0))
    real, fake = given.logits
    assert torch.equal(real, torch.arange(N))
    assert fake.tolist() == [4.0] * N


def play(**given):
    """A turn on vectors (N, 2) of a generator that passes its noise on and a critic that sums."""
    parts = {"real": torch.zeros(N, 2), "fake": torch.zeros(N, 2), "noise": torch.zeros(N, 2), "labels": None}
    parts |= dict.fromkeys(("judge", "critic"), lambda x: x.sum(1))
    parts |= dict.fromkeys(("features", "generate", "styles", "render"), lambda x: x)
    return Play(**parts | given)
