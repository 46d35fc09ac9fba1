import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.objectives.lecam import Lecam
from duogen.objectives.penalties import Play
from duogen.records import Opinion

REAL, FAKE = np.array([1.0, -2.0, 3.0]), np.array([0.5, 4.0, -1.0])


def play():
    parts = dict.fromkeys(Play.__dataclass_fields__, None) | {"step": 0}
    return Play(**parts | {"real_logits": torch.as_tensor(REAL), "fake_logits": torch.as_tensor(FAKE)})


def opinion(real, fake):
    return Opinion(torch.tensor(real), torch.tensor(fake), sign=torch.tensor(0.0), count=3)


def test_the_means_are_exponential_moving_averages_from_0():
    penalty, real, fake = Lecam(weight=0.3, decay=0.75), 0.0, 0.0
    for new_real, new_fake in [(2.0, -1.0), (4.0, 0.0), (-8.0, 3.0)]:
        penalty.react(opinion(new_real, new_fake))
        real, fake = 0.75 * real + 0.25 * new_real, 0.75 * fake + 0.25 * new_fake
    # By hand: 2 (1/4)(9/16) + 4 (1/4)(3/4) - 8/4.
    assert real == 0.5 * 0.5625 + 0.75 - 2
    assert penalty.real_mean.item() == pytest.approx(real)
    assert penalty.fake_mean.item() == pytest.approx(fake)


def test_each_kind_is_drawn_to_the_others_mean():
    penalty = Lecam(weight=0.3, decay=0.0)
    penalty.react(opinion(2.0, -0.5))
    np.testing.assert_allclose(penalty.discriminator(play()), (REAL + 0.5) ** 2 + (FAKE - 2) ** 2, rtol=1e-6)
    assert penalty.generator(play()) is None


def test_the_penalty_itself_moves_nothing_and_its_state_is_kept():
    penalty = Lecam(weight=0.3, decay=0.5)
    penalty.react(opinion(2.0, 4.0))
    before = {name: value.clone() for name, value in penalty.state_dict().items()}
    penalty.discriminator(play())
    assert before == penalty.state_dict() == {"real_mean": torch.tensor(1.0), "fake_mean": torch.tensor(2.0)}
    assert penalty.reacts


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_refuses_a_decay_by_name(decay):
    with pytest.raises(UserError, match=f"Lecam: decay={decay}"):
        Lecam(weight=0.3, decay=decay)
