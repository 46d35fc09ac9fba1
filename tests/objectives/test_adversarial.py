import inspect

import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.objectives import adversarial
from duogen.objectives.adversarial import (
    Adversarial,
    Began,
    EnergyBased,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    RelativisticAverage,
    Wasserstein,
)
from duogen.records import Opinion


def probability(logit):
    return 1 / (1 + np.exp(-logit))


def cross_entropy(real, fake):
    return -np.log(probability(real)) - np.log(1 - probability(fake))


def average(real, fake):
    return -np.log(probability(real - fake.mean())) - np.log(1 - probability(fake - real.mean()))


# The two losses in numpy as the papers print them, the generator's of (fake, real), and the range of outputs between
# what looks generated and what looks real, which for an energy falls.
REFERENCES = {
    Minimax: (cross_entropy, lambda fake, real: np.log(1 - probability(fake)), (-6, 6)),
    NonSaturating: (cross_entropy, lambda fake, real: -np.log(probability(fake)), (-6, 6)),
    LeastSquares: (
        lambda real, fake: 0.5 * (real - 1) ** 2 + 0.5 * fake**2,
        lambda fake, real: 0.5 * (fake - 1) ** 2,
        (0, 1),
    ),
    Wasserstein: (lambda real, fake: -(real - fake), lambda fake, real: -fake, (-6, 6)),
    Hinge: (
        lambda real, fake: -np.minimum(0, -1 + real) - np.minimum(0, -1 - fake),
        lambda fake, real: -fake,
        (-6, 6),
    ),
    Relativistic: (
        lambda real, fake: -np.log(probability(real - fake)),
        lambda fake, real: -np.log(probability(fake - real)),
        (-6, 6),
    ),
    RelativisticAverage: (average, average, (-6, 6)),
    EnergyBased: (lambda real, fake: real + np.maximum(0, 2.5 - fake), lambda fake, real: fake, (6, 0)),
    Began: (lambda real, fake: real - 0.25 * fake, lambda fake, real: fake, (6, 0)),
}
FORMULATIONS = [
    item
    for _, item in inspect.getmembers(adversarial, inspect.isclass)
    if issubclass(item, Adversarial) and not inspect.isabstract(item)
]


def made(formulation):
    if formulation is EnergyBased:
        return EnergyBased(margin=2.5)
    if formulation is Began:
        game = Began(gamma=0.5, gain=0.001)
        game.balance.fill_(0.25)
        return game
    return formulation()


def test_every_formulation_has_a_reference():
    assert len(FORMULATIONS) >= 9
    assert set(FORMULATIONS) == set(REFERENCES)


@pytest.mark.parametrize("formulation", FORMULATIONS)
class TestContract:
    def logits(self):
        rng = np.random.default_rng(0)
        return rng.normal(0, 3, 7), rng.normal(0, 3, 7)

    def test_equals_the_paper(self, formulation):
        discriminator, generator, _ = REFERENCES[formulation]
        real, fake = self.logits()
        game, tensors = made(formulation), (torch.as_tensor(real), torch.as_tensor(fake))
        np.testing.assert_allclose(game.discriminator(*tensors), discriminator(real, fake), rtol=1e-12)
        np.testing.assert_allclose(game.generator(*tensors[::-1]), generator(fake, real), rtol=1e-12)

    def test_is_per_example(self, formulation):
        real, fake = map(torch.as_tensor, self.logits())
        game = made(formulation)
        assert game.discriminator(real, fake).shape == game.generator(fake, real).shape == (7,)
        if formulation is RelativisticAverage:
            return
        assert torch.equal(game.discriminator(real, fake)[2:5], game.discriminator(real[2:5], fake[2:5]))
        assert torch.equal(game.generator(fake, real)[2:5], game.generator(fake[2:5], real[2:5]))

    def test_the_discriminator_gains_as_the_kinds_part(self, formulation):
        first, last = REFERENCES[formulation][2]
        game, batch = made(formulation), torch.ones(3)
        towards, still = torch.linspace(first, last, 101), (first + last) / 2 * batch
        by_real = torch.stack([game.discriminator(value * batch, still).mean() for value in towards])
        by_fake = torch.stack([game.discriminator(still, value * batch).mean() for value in towards.flip(0)])
        for losses in (by_real, by_fake):
            assert (losses.diff() <= 1e-6).all()
            assert losses[-1] < losses[0]

    def test_the_generator_gains_as_fake_looks_real(self, formulation):
        batch = torch.ones(3)
        towards = torch.linspace(*REFERENCES[formulation][2], 101)
        losses = torch.stack([made(formulation).generator(value * batch, 0 * batch).mean() for value in towards])
        assert (losses.diff() <= 1e-6).all()
        assert losses[-1] < losses[0]

    def test_stays_finite_at_extreme_logits(self, formulation):
        logits = torch.tensor([-1e4, 0.0, 1e4], requires_grad=True)
        game = made(formulation)
        total = game.discriminator(logits, logits).sum() + game.generator(logits, logits.detach()).sum()
        total.backward()
        assert total.isfinite()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()

    def test_only_what_reacts_has_a_state(self, formulation):
        assert formulation.reacts == bool(list(made(formulation).buffers()))
        assert not list(made(formulation).parameters())


def test_unpaired_ones_ignore_real():
    unpaired = [formulation for formulation in FORMULATIONS if not formulation.paired]
    assert len(unpaired) >= 7
    real, fake = torch.tensor([1.0, 2.0, -4.0]), torch.tensor([0.5, -3.0, 2.0])
    for formulation in unpaired:
        game = made(formulation)
        assert torch.equal(game.generator(fake), game.generator(fake, real)), formulation


def test_paired_ones_depend_on_real():
    paired = [formulation for formulation in FORMULATIONS if formulation.paired]
    assert set(paired) == {Relativistic, RelativisticAverage}
    fake = torch.tensor([0.5, -3.0, 2.0])
    for formulation in paired:
        losses = [formulation().generator(fake, torch.full((3,), value)) for value in (-1.0, 1.0)]
        assert (losses[0] < losses[1]).all(), formulation


def test_the_saturating_generator_loses_its_gradient_and_the_other_does_not():
    sure = torch.tensor([-20.0], requires_grad=True)
    (saturated,) = torch.autograd.grad(Minimax().generator(sure).sum(), sure)
    (strong,) = torch.autograd.grad(NonSaturating().generator(sure).sum(), sure)
    assert abs(saturated.item()) < 1e-8
    assert strong.item() == pytest.approx(-1)


def opinion(real, fake):
    return Opinion(torch.tensor(real), torch.tensor(fake), sign=torch.tensor(1.0), count=4)


def test_the_balance_follows_the_energies_and_stays_within_0_and_1():
    game = Began(gamma=0.5, gain=0.25)
    seen = []
    # k + (E(x) / 2 - E(G)) / 4 by hand: 0.25, 0.125, below 0, then 0.5, then above 1.
    for real, fake in [(4.0, 1.0), (1.0, 1.0), (1.0, 3.0), (4.0, 0.0), (8.0, 0.0)]:
        game.react(opinion(real, fake))
        seen.append(game.balance.item())
    assert seen == [0.25, 0.125, 0.0, 0.5, 1.0]


def test_the_balance_starts_from_0_and_is_kept_with_the_weights():
    game = Began(gamma=0.5, gain=0.001)
    assert game.discriminator(torch.tensor([3.0]), torch.tensor([100.0])).item() == 3
    game.react(opinion(2000.0, 500.0))
    restored = Began(gamma=0.5, gain=0.001)
    restored.load_state_dict(game.state_dict())
    assert restored.balance.item() == pytest.approx(0.5)


def test_the_convergence_measure_is_observed():
    game = made(Began)
    # Means 3 and 4: 3 + |3 / 2 - 4|.
    seen = game.observe(torch.tensor([2.0, 4.0]), torch.tensor([3.0, 5.0]))
    assert {name: value.item() for name, value in seen.items()} == {"balance": 0.25, "convergence": 5.5}
    game.balance.fill_(1.0)
    assert seen["balance"] == 0.25
    assert Hinge().observe(torch.zeros(2), torch.zeros(2)) == {}


@pytest.mark.parametrize("margin", [0.0, -1.0, float("inf"), float("nan")])
def test_refuses_a_margin_by_name(margin):
    with pytest.raises(UserError, match=f"EnergyBased: margin={margin}"):
        EnergyBased(margin=margin)


@pytest.mark.parametrize(("gamma", "gain"), [(-0.1, 0.001), (1.1, 0.001), (0.5, 0.0)])
def test_refuses_a_balance_by_name(gamma, gain):
    with pytest.raises(UserError, match=f"Began: gamma={gamma}, gain={gain}"):
        Began(gamma=gamma, gain=gain)
