import inspect

import numpy as np
import pytest
import torch

from duogen.objectives import adversarial
from duogen.objectives.adversarial import Adversarial, Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein


def probability(logit):
    return 1 / (1 + np.exp(-logit))


def cross_entropy(real, fake):
    return -np.log(probability(real)) - np.log(1 - probability(fake))


# The two losses in numpy as the papers print them, and the logits between the players' optima.
REFERENCES = {
    Minimax: (cross_entropy, lambda fake: np.log(1 - probability(fake)), (-6, 6)),
    NonSaturating: (cross_entropy, lambda fake: -np.log(probability(fake)), (-6, 6)),
    LeastSquares: (
        lambda real, fake: 0.5 * (real - 1) ** 2 + 0.5 * fake**2,
        lambda fake: 0.5 * (fake - 1) ** 2,
        (0, 1),
    ),
    Wasserstein: (lambda real, fake: -(real - fake), lambda fake: -fake, (-6, 6)),
    Hinge: (
        lambda real, fake: -np.minimum(0, -1 + real) - np.minimum(0, -1 - fake),
        lambda fake: -fake,
        (-6, 6),
    ),
}
FORMULATIONS = [
    item
    for _, item in inspect.getmembers(adversarial, inspect.isclass)
    if issubclass(item, Adversarial) and not inspect.isabstract(item)
]


def test_every_formulation_has_a_reference():
    assert len(FORMULATIONS) >= 5
    assert set(FORMULATIONS) == set(REFERENCES)


@pytest.mark.parametrize("formulation", FORMULATIONS)
class TestContract:
    def logits(self):
        rng = np.random.default_rng(0)
        return rng.normal(0, 3, 7), rng.normal(0, 3, 7)

    def test_equals_the_paper(self, formulation):
        discriminator, generator, _ = REFERENCES[formulation]
        real, fake = self.logits()
        ours = formulation().discriminator(torch.as_tensor(real), torch.as_tensor(fake))
        np.testing.assert_allclose(ours, discriminator(real, fake), rtol=1e-12)
        np.testing.assert_allclose(formulation().generator(torch.as_tensor(fake)), generator(fake), rtol=1e-12)

    def test_is_per_example(self, formulation):
        real, fake = map(torch.as_tensor, self.logits())
        game = formulation()
        assert game.discriminator(real, fake).shape == game.generator(fake, real).shape == (7,)
        assert torch.equal(game.discriminator(real, fake)[2:5], game.discriminator(real[2:5], fake[2:5]))
        assert torch.equal(game.generator(fake, real)[2:5], game.generator(fake[2:5], real[2:5]))

    def test_the_discriminator_gains_as_real_rises_and_fake_falls(self, formulation):
        rising, still = torch.linspace(*REFERENCES[formulation][2], 101), torch.zeros(101)
        game = formulation()
        for losses in (game.discriminator(rising, still), game.discriminator(still, rising.flip(0))):
            assert (losses.diff() <= 1e-6).all()
            assert losses[-1] < losses[0]

    def test_the_generator_gains_as_fake_rises(self, formulation):
        losses = formulation().generator(torch.linspace(*REFERENCES[formulation][2], 101), torch.zeros(101))
        assert (losses.diff() <= 1e-6).all()
        assert losses[-1] < losses[0]

    def test_stays_finite_at_extreme_logits(self, formulation):
        logits = torch.tensor([-1e4, 0.0, 1e4], requires_grad=True)
        game = formulation()
        total = game.discriminator(logits, logits).sum() + game.generator(logits, logits.detach()).sum()
        total.backward()
        assert total.isfinite()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


def test_unpaired_ones_ignore_real():
    unpaired = [formulation for formulation in FORMULATIONS if not formulation.paired]
    assert len(unpaired) >= 5
    real, fake = torch.tensor([1.0, 2.0, -4.0]), torch.tensor([0.5, -3.0, 2.0])
    for formulation in unpaired:
        assert torch.equal(formulation().generator(fake), formulation().generator(fake, real)), formulation


def test_the_saturating_generator_loses_its_gradient_and_the_other_does_not():
    sure = torch.tensor([-20.0], requires_grad=True)
    (saturated,) = torch.autograd.grad(Minimax().generator(sure).sum(), sure)
    (strong,) = torch.autograd.grad(NonSaturating().generator(sure).sum(), sure)
    assert abs(saturated.item()) < 1e-8
    assert strong.item() == pytest.approx(-1)
