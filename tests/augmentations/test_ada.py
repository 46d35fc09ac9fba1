import pytest
import torch

from duogen.augmentations.ada import Ada
from duogen.errors import UserError
from duogen.records import Opinion

SHARES = {"blit": 1.0, "geometry": 1.0, "color": 1.0, "cutout": 0.0}


def ada(**change):
    return Ada(**{"target": 0.5, "speed": 64, "every": 2, **SHARES} | change)


def opinion(sign, count=8):
    return Opinion(real=torch.tensor(0.0), fake=torch.tensor(0.0), sign=torch.tensor(sign), count=count)


def trajectory(augmentation, signs, count=8):
    seen = []
    for sign in signs:
        augmentation.react(opinion(sign, count))
        seen.append(augmentation.probability.item())
    return seen


def test_p_moves_after_every_so_many_turns_by_the_images_in_them():
    # 16 of 64 images per change; means 0.75, 0.5 (as wanted), 0.25.
    signs = [1.0, 0.5, 1.0, 0.0, 1.0, 1.0, 0.5, 0.0]
    assert trajectory(ada(), signs) == [0.0, 0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 0.25]


def test_the_mean_sign_is_over_images():
    augmentation = ada(speed=100)
    augmentation.react(opinion(1.0, count=2))
    augmentation.react(opinion(0.25, count=8))
    # (2 + 2) / 10 lies below the target, the mean of the means above it.
    assert augmentation.probability.item() == 0
    augmentation.probability.fill_(0.5)
    augmentation.react(opinion(0.25, count=2))
    augmentation.react(opinion(1.0, count=8))
    assert augmentation.probability.item() == pytest.approx(0.6)


def test_p_stays_within_0_and_1():
    assert trajectory(ada(every=1, speed=16), [-1.0, 1.0, 1.0, 1.0, -1.0]) == [0.0, 0.5, 1.0, 1.0, 0.5]


def test_p_rises_from_0_to_1_in_the_images_of_the_speed():
    seen = trajectory(ada(target=0.6, speed=500, every=4), [1.0] * 40, count=25)
    assert seen[19] == pytest.approx(1.0)
    assert seen[15] == pytest.approx(0.8)
    assert seen[39] == 1


def test_its_state_is_buffers_with_which_it_goes_on_from_anywhere():
    signs = [1.0, 0.9, 0.2, 1.0, 1.0, 0.8, 0.1, 0.1, 1.0]
    whole = trajectory(ada(every=4, speed=1000), signs)
    first = ada(every=4, speed=1000)
    trajectory(first, signs[:6])
    second = ada(every=4, speed=1000)
    second.load_state_dict(first.state_dict())
    assert trajectory(second, signs[6:]) == whole[6:]
    assert set(dict(first.named_buffers())) == {"probability", "signs", "images", "turns"}


def test_starts_as_the_identity_and_augments_once_p_has_risen():
    augmentation, images = ada(every=1, speed=8), torch.rand(20, 1, 6, 6)
    assert torch.equal(augmentation(images, 10**6), images)
    augmentation.react(opinion(1.0))
    torch.manual_seed(0)
    assert (augmentation(images, 0) != images).flatten(1).any(1).all()
    assert augmentation.reacts


def test_p_is_observed_as_it_was():
    augmentation = ada(every=1)
    seen = augmentation.observe()
    augmentation.react(opinion(1.0))
    assert seen == {"augmentation_probability": torch.tensor(0.0)}
    assert augmentation.observe() == {"augmentation_probability": torch.tensor(0.125)}


@pytest.mark.parametrize("change", [{"target": 1.0}, {"target": -1.0}, {"speed": 0}, {"every": 0}])
def test_refuses_its_numbers_by_name(change):
    ((name, value),) = change.items()
    with pytest.raises(UserError, match=f"Ada: .*{name}={value}"):
        ada(**change)
