import pytest
import torch

from duogen.modules.penalising import Due, full_precision, of_discriminator, of_generator, penalised, with_terms
from duogen.objectives.penalties import R1, Penalty, Play
from duogen.ramp import Linear, at
from duogen.records import Loss


class TwoSided(Penalty):
    """A term for either player, of weights 2 and 3."""

    def discriminator(self, play):
        return play.real.flatten(1).sum(1)

    def generator(self, play):
        return play.fake.mean()

    @property
    def generator_weight(self):
        return 3.0


def play(dtype=torch.float32):
    real, fake = torch.arange(6, dtype=dtype).view(3, 2), torch.ones(3, 2, dtype=dtype)
    same = lambda values: values  # noqa: E731
    critic = lambda values: values.float().square().sum(1)  # noqa: E731
    return Play(real, fake, torch.zeros(3, 4), None, critic, critic, same, same, same, same)


def test_terms_and_weights_of_either_side():
    penalties = [("two", TwoSided(2.0)), ("r1", R1(0.5))]
    loss = Loss({"adversarial": torch.zeros(3)}, 3)
    found = penalised(loss, of_discriminator(penalties), play(), step=0)
    assert list(found.terms) == ["adversarial", "two", "r1"]
    assert found.terms["two"].tolist() == [1, 5, 9]
    assert found.terms["r1"].tolist() == [2 * (0 + 1), 2 * (4 + 9), 2 * (16 + 25)]  # |2x|^2 / 2
    assert found.weights == {"two": 2.0, "r1": 0.5}
    other = penalised(loss, of_generator(penalties), play(), step=0)
    assert list(other.terms) == ["adversarial", "two"]
    assert other.weights == {"two": 3.0}
    assert float(other.weighted(other.sums())) == 3.0 * 3


def test_a_weight_may_be_a_function_of_the_step():
    ramp = Linear(first=0.0, last=1.0, start=0, stop=10)
    assert at(5, ramp) == pytest.approx(0.5)
    assert at(5, 0.25) == 0.25
    found = penalised(Loss({}, 3), of_discriminator([("r1", R1(ramp))]), play(), step=5)
    assert found.weights == {"r1": pytest.approx(0.5)}


def test_what_differentiates_twice_is_taken_in_full_precision():
    seen = []

    def term(play):
        seen.append((play.real.dtype, torch.mm(play.real, play.real.T).dtype))
        return play.real.sum()

    with torch.autocast("cpu", torch.bfloat16):
        penalised(Loss({}, 3), [Due("a", term, 1.0, twice=True)], play(torch.bfloat16), 0)
        penalised(Loss({}, 3), [Due("a", term, 1.0, twice=False)], play(), 0)
    assert seen == [(torch.float32, torch.float32), (torch.float32, torch.bfloat16)]


def test_full_precision_ends_where_it_began():
    with torch.autocast("cpu", torch.bfloat16):
        with full_precision(torch.device("cpu")):
            assert not torch.is_autocast_enabled("cpu")
        assert torch.is_autocast_enabled("cpu")


def test_more_terms_leave_the_others_alone():
    loss = with_terms(Loss({"a": torch.ones(2)}, 2, {"a": 5.0}, {"seen": torch.ones(2)}), {"b": torch.ones(2)}, 7.0)
    assert list(loss.terms) == ["a", "b"]
    assert loss.weights == {"a": 5.0, "b": 7.0}
    assert (loss.count, list(loss.observed)) == (2, ["seen"])
