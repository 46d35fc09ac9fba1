import math

import numpy as np
import pytest
import torch

from duogen.augmentations import color
from duogen.augmentations.color import recolored


def images(channels, count=4):
    return torch.randn(count, channels, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def given(monkeypatch):
    """Sets what is drawn: brightness, contrast exponent, flip, angle, saturation exponent."""

    def fix(brightness=0.0, contrast=0.0, flip=0.0, angle=0.0, saturation=0.0):
        drawn = iter([brightness, contrast, flip, angle, saturation])
        monkeypatch.setattr(color, "by_chance", lambda p, like: [torch.full_like(like, next(drawn))])

    return fix


# The matrices (4, 4) of Karras et al. 2020, appendix B, on (red, green, blue, 1).
GREY = np.array([1, 1, 1, 0]) / math.sqrt(3)
LUMA, EYE4 = np.outer(GREY, GREY), np.eye(4)


def rotation(angle):
    x, y, z = GREY[:3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn = EYE4.copy()
    turn[:3, :3] = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return turn


def matrix(brightness=0.0, contrast=0.0, flip=0.0, angle=0.0, saturation=0.0):
    shift = EYE4.copy()
    shift[:3, 3] = brightness
    scale = np.diag([2**contrast] * 3 + [1])
    mirror = EYE4 - 2 * LUMA * flip
    saturate = LUMA + (EYE4 - LUMA) * 2**saturation
    saturate[3, 3] = 1
    return saturate @ rotation(angle) @ mirror @ scale @ shift


CHANGES = [
    {"brightness": 0.3},
    {"contrast": -0.7},
    {"flip": 1.0},
    {"angle": 1.1},
    {"saturation": 1.3},
    {"brightness": -0.2, "contrast": 0.4, "flip": 1.0, "angle": -2.0, "saturation": -0.6},
]


@pytest.mark.parametrize("change", CHANGES)
def test_three_channels_equal_the_papers_matrices(change, given):
    given(**change)
    flat = images(3).numpy().reshape(4, 3, 15)
    expected = matrix(**change) @ np.concatenate([flat, np.ones((4, 1, 15))], 1)
    np.testing.assert_allclose(recolored(images(3), 1.0).reshape(4, 3, 15), expected[:, :3], atol=1e-12)


def test_one_channel_has_luma_alone(given):
    given(brightness=0.25, contrast=1.0, flip=1.0, angle=2.0, saturation=3.0)
    torch.testing.assert_close(recolored(images(1), 1.0), -2 * (images(1) + 0.25))


def test_two_channels_have_no_hue(given):
    given(angle=2.0, saturation=1.0)
    mean = images(2).mean(1, keepdim=True)
    torch.testing.assert_close(recolored(images(2), 1.0), mean + 2 * (images(2) - mean))


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("probability", [0.0, torch.tensor(0.0)])
def test_probability_0_is_the_identity(channels, probability):
    assert torch.equal(recolored(images(channels).float(), probability), images(channels).float())


def test_the_spread_of_the_changes():
    torch.manual_seed(0)
    given = torch.ones(4000, 3, 1, 2, dtype=torch.float64)
    given[:, :, :, 1] = 0
    white, black = recolored(given, 1.0).mean(1).squeeze(1).unbind(1)
    # Luma of white minus luma of black is the contrast, its sign the flip; of black, the brightness times it.
    scale = white - black
    assert (scale < 0).double().mean().item() == pytest.approx(0.5, abs=0.03)
    assert scale.abs().log2().std().item() == pytest.approx(0.5, rel=0.05)
    assert (black / scale).std().item() == pytest.approx(0.2, rel=0.05)
