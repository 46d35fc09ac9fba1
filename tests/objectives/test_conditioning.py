import pytest
import torch

from duogen.errors import UserError
from duogen.objectives.conditioning import AuxiliaryClassification
from duogen.objectives.penalties import Play

LABELS = torch.tensor([2, 0, 1])


def play():
    torch.manual_seed(0)
    real, fake = torch.randn(3, 1 + 4), torch.randn(3, 1 + 4)
    blank = torch.zeros(3, 2)
    functions = [lambda values: values] * 6
    return Play(blank, blank, blank, LABELS, *functions, real_output=real, fake_output=fake)


def surprise(output):
    shares = output[:, 1:].exp() / output[:, 1:].exp().sum(1, keepdim=True)
    return -shares[torch.arange(3), LABELS].log()


@pytest.mark.parametrize("fake_weight", [0.0, 1.0])
def test_both_players_want_the_class_to_be_read(fake_weight):
    penalty, seen = AuxiliaryClassification(2.0, 0.5, fake_weight), play()
    expected = surprise(seen.real_output) + fake_weight * surprise(seen.fake_output)
    torch.testing.assert_close(penalty.discriminator(seen), expected)
    torch.testing.assert_close(penalty.generator(seen), surprise(seen.fake_output))
    assert (penalty.weight, penalty.generator_weight) == (2.0, 0.5)


def test_the_logit_plays_no_part():
    penalty, seen = AuxiliaryClassification(1.0, 1.0, 1.0), play()
    before = penalty.discriminator(seen)
    seen.real_output[:, 0] += 7
    torch.testing.assert_close(penalty.discriminator(seen), before)


def test_a_negative_weight_is_refused():
    with pytest.raises(UserError, match="generator_weight=-1"):
        AuxiliaryClassification(1.0, -1.0, 1.0)
