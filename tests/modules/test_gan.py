import pytest
import torch
from torch import nn

from duogen.augmentations.augmentation import Augmentation
from duogen.errors import UserError
from duogen.modules.gan import GAN
from duogen.modules.turns import Alternate, Turn
from duogen.objectives.adversarial import Began, EnergyBased, Minimax, NonSaturating, Wasserstein
from duogen.objectives.penalties import R1, Penalty
from duogen.ramp import Linear
from duogen.records import Examples


class Critic(nn.Module):
    """The sum of all it sees, times a weight; remembers what that was."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.seen = []

    def forward(self, values, labels=None):
        self.seen.append((values, labels))
        return self.weight * values.flatten(1).sum(1)


class Maker(nn.Module):
    """Repeats its noise as an image of one pixel for each number, plus the class."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, noise, labels=None):
        told = 0 if labels is None else labels.view(-1, 1, 1, 1)
        return self.weight * noise.view(len(noise), 1, 1, -1) + told


class Mark(Augmentation):
    """Adds one hundred to the first column."""

    def changed(self, images, step):
        return images + torch.tensor([100.0, 0.0])


def gan(adversarial=None, penalties=None, augmentation=None, pack=1, top_k=1.0, classes=None, clip=None):
    module = GAN(
        Maker(), Critic(), adversarial or Wasserstein(), penalties or {}, augmentation, 2, pack, top_k, classes, clip
    )
    module.turns = Alternate(discriminator=Turn("discriminator"), generator=Turn("generator"))
    return module


def batch(count=6, labels=False):
    values = torch.arange(2 * count, dtype=torch.float32).view(count, 1, 1, 2)
    return Examples(values, torch.arange(count) % 3 if labels else None)


def test_neighbours_are_packed_and_judged_together():
    module = gan(pack=3)
    loss = module.discriminator_loss(batch())
    real, fake = (values for values, _ in module.discriminator.seen)
    assert real.shape == fake.shape == (2, 3, 1, 2)
    assert real[0].flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert loss.count == 2
    assert loss.observed["logits_real"].tolist() == [15, 51]


def test_vectors_are_packed_too():
    assert gan(pack=2).packed(torch.arange(8.0).view(4, 2)).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_batch_that_no_pack_divides_is_refused():
    with pytest.raises(UserError, match="pack=4 with a batch of 6"):
        gan(pack=4).discriminator_loss(batch())


def test_each_example_of_a_pack_is_augmented_in_both_turns_for_both_sides():
    module = gan(augmentation=Mark(), pack=2)
    module.discriminator_loss(batch())
    module.generator_loss(batch())
    real, fake, again = (values for values, _ in module.discriminator.seen)
    assert real[0].flatten().tolist() == [100, 1, 102, 3]
    for seen in (fake, again):
        assert (seen[..., 0] > 50).all()
        assert (seen[..., 1] < 50).all()


@pytest.mark.parametrize(("share", "kept"), [(1.0, 6), (0.5, 3), (0.01, 1)])
def test_the_generator_learns_from_the_best_share(share, kept):
    module = gan(top_k=share)
    logits = torch.tensor([3.0, -1.0, 7.0, 5.0, 0.0, 2.0])
    weights = module.kept(logits) * torch.ones(6)
    best = sorted(logits.tolist(), reverse=True)[:kept]
    assert sorted(logits[weights > 0].tolist(), reverse=True) == best
    assert float(weights.mean()) == pytest.approx(1)


@pytest.mark.parametrize("adversarial", [EnergyBased(margin=10.0), Began(gamma=0.5, gain=0.001)])
def test_the_best_of_energies_are_the_lowest(adversarial):
    energies = torch.tensor([3.0, 1.0, 7.0, 5.0, 0.0, 2.0])
    assert gan(adversarial=adversarial, top_k=0.5).kept(energies).tolist() == [0, 2, 0, 0, 2, 2]


def test_the_share_may_fall_with_the_step():
    module = gan(top_k=Linear(first=1.0, last=0.5, start=0, stop=10))
    assert module.kept(torch.arange(6.0)) == 1.0
    module.step = 10
    assert (module.kept(torch.arange(6.0)) > 0).sum() == 3


def test_the_logit_is_the_first_column_where_the_discriminator_says_more():
    assert gan().logits(torch.tensor([[3.0, 5.0], [7.0, 9.0]])).tolist() == [3, 7]
    assert gan().logits(torch.tensor([3.0, 7.0], dtype=torch.bfloat16)).dtype == torch.float32


def test_a_conditional_pair_is_told_the_classes_of_the_batch():
    module = gan(classes=3)
    module.discriminator_loss(batch(labels=True))
    assert [told.tolist() for _, told in module.discriminator.seen] == [[0, 1, 2, 0, 1, 2]] * 2
    samples = module.samples(7, torch.Generator().manual_seed(0))
    assert samples.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    asked = batch(labels=True)
    assert module.counterparts(asked, torch.Generator()).labels.tolist() == asked.labels.tolist()
    with pytest.raises(UserError, match="without labels"):
        module.discriminator_loss(batch())


def test_penalties_that_differentiate_twice_wait_for_their_lazy_turn():
    module = gan(penalties={"r1": R1(2.0)})
    assert list(module.discriminator_loss(batch()).terms) == ["adversarial", "r1"]
    module.turns = Alternate(
        discriminator=Turn("discriminator"),
        lazy=Turn("discriminator", objective="discriminator_penalties", every=4),
    )
    assert list(module.discriminator_loss(batch()).terms) == ["adversarial"]
    late = module.discriminator_penalties(batch())
    assert list(late.terms) == ["r1"]
    assert late.weights == {"r1": 2.0}
    assert late.terms["r1"].tolist() == [1.0] * 6  # the slope is 1 at both pixels, halved


class Following(Penalty):
    """Remembers what it was told after the turn."""

    reacts = True

    def __init__(self):
        super().__init__(0.0)
        self.opinions = []

    def react(self, opinion):
        self.opinions.append(opinion)


def test_feedback_hears_the_opinion_after_the_discriminators_turn_alone():
    following = Following()
    module = gan(penalties={"following": following}, pack=2)
    module.after_turn(Turn("generator"), module.generator_loss(batch()))
    assert following.opinions == []
    loss = module.discriminator_loss(batch())
    module.after_turn(Turn("discriminator"), loss)
    (opinion,) = following.opinions
    assert float(opinion.real) == pytest.approx((6 + 22 + 38) / 3)
    assert float(opinion.sign) == 1
    assert float(opinion.fake) == pytest.approx(float(loss.observed["logits_fake"].mean()))
    assert opinion.count == 6


def test_the_opinion_weighs_ranks_by_their_shares_of_the_batch(monkeypatch):
    """Two ranks with logits 1, -3, 5 and 2, 4 for real examples: one mean of five, and ten examples in packs of 2."""
    real, fake = torch.tensor([1.0, -3.0, 5.0]), torch.tensor([0.0, 1.0, 2.0])
    other = torch.tensor([2.0 + 4.0, 7.0 - 2.0, 2.0, 2.0])
    module = gan(pack=2)
    module.ranks = 2
    monkeypatch.setattr(module, "agreed", lambda sums: (sums + other) / 2)
    opinion = module.shared_opinion(real, fake)
    assert float(opinion.real) == pytest.approx(9 / 5)
    assert float(opinion.fake) == pytest.approx(8 / 5)
    assert float(opinion.sign) == pytest.approx(3 / 5)
    assert int(opinion.count) == 10


def test_features_are_compared_in_full_precision():
    module = gan()
    module.discriminator.features = lambda values: values.flatten(1).bfloat16()
    assert module.meet(batch()).features(torch.ones(2, 1, 1, 2)).dtype == torch.float32


def test_held_out_and_generated_logits_are_observed_raw_and_in_whole_packs():
    module = gan(augmentation=Mark(), pack=4)
    seen = module.observe(batch(), Examples(torch.ones(6, 1, 1, 2)))
    assert set(seen) == set(module.observations)
    assert seen["logits_held_out"].tolist() == [28]
    assert seen["logits_generated"].tolist() == [8]


def test_the_generators_turn_sends_no_gradient_through_real_examples():
    module = gan(adversarial=NonSaturating())
    loss = module.generator_loss(batch())
    assert len(module.discriminator.seen) == 1
    assert loss.count == 6


@pytest.mark.parametrize("wrong", [{"pack": 0}, {"top_k": 0.0}, {"top_k": 1.5}, {"clip": 0.0}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(UserError):
        gan(adversarial=Minimax(), **wrong)
