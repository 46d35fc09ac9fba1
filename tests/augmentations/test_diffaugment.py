import numpy as np
import pytest
import torch

from duogen.augmentations.diffaugment import DiffAugment
from duogen.errors import UserError


def images(count=300, shape=(3, 8, 16)):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_translation_is_a_whole_shift_with_zeros_moving_in():
    given, moves = images(), set()
    torch.manual_seed(0)
    for image, result in zip(given.numpy(), DiffAugment(False, 0.125, 0.0)(given, 0).numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (1, 1), (2, 2)))
        found = [
            (down, right)
            for down in range(3)
            for right in range(5)
            if np.array_equal(padded[:, down : down + 8, right : right + 16], result)
        ]
        assert len(found) == 1
        moves.update(found)
    assert len(moves) == 15


def test_the_hole_is_half_as_high_and_wide():
    torch.manual_seed(0)
    empty = (DiffAugment(False, 0.0, 0.5)(images(), 0) == 0).all(1)
    assert empty.any(2).sum(1).max() == 4
    assert empty.any(1).sum(1).max() == 8
    assert (empty.flatten(1).sum(1) >= 2 * 4).all()


def test_colours_shift_and_scale_about_the_means():
    given = images()
    torch.manual_seed(0)
    result = DiffAugment(True, 0.0, 0.0)(given, 0)
    brightness = result.mean((1, 2, 3)) - given.mean((1, 2, 3))
    assert -0.5 <= brightness.min() < -0.4
    assert 0.4 < brightness.max() <= 0.5
    # Of the grey picture contrast is left; of what differs from grey, contrast times saturation.
    grey, old_grey = (x.mean(1, keepdim=True) for x in (result, given))
    spread = (grey - grey.mean((2, 3), keepdim=True)) / (old_grey - old_grey.mean((2, 3), keepdim=True))
    contrast = spread.flatten(1).median(1).values
    np.testing.assert_allclose(spread.flatten(1), contrast[:, None].expand(-1, 128), rtol=0.01)
    assert 0.5 <= contrast.min() < 0.6
    assert 1.4 < contrast.max() <= 1.5
    saturation = ((result - grey) / (given - old_grey)).flatten(1).median(1).values / contrast
    assert 0 <= saturation.min() < 0.1
    assert 1.9 < saturation.max() <= 2.001


def test_grey_images_have_no_saturation():
    given = images(shape=(1, 4, 4))
    torch.manual_seed(0)
    result = DiffAugment(True, 0.0, 0.0)(given, 0).flatten(1).numpy()
    fits = [np.polyfit(old, new, 1, full=True)[1][0] for old, new in zip(given.flatten(1).numpy(), result, strict=True)]
    assert max(fits) < 1e-9


def test_every_image_changes_and_nothing_does_where_nothing_is_asked():
    given = images()
    torch.manual_seed(0)
    assert (DiffAugment(True, 0.125, 0.5)(given, 0) != given).flatten(1).any(1).all()
    assert torch.equal(DiffAugment(False, 0.0, 0.0)(given, 0), given)


@pytest.mark.parametrize("name", ["translation", "cutout"])
def test_refuses_a_share_by_name(name):
    with pytest.raises(UserError, match=f"DiffAugment: {name}=-0.5"):
        DiffAugment(**{"color": True, "translation": 0.125, "cutout": 0.5} | {name: -0.5})
