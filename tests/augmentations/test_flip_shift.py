import numpy as np
import pytest
import torch

from duogen.augmentations.flip_shift import FlipShift
from duogen.errors import UserError


def test_every_result_is_a_mirrored_or_moved_image():
    given = torch.randn(400, 2, 5, 6, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    seen = []
    for image, result in zip(given.numpy(), FlipShift(flip=0.5, shift=1)(given, 0).numpy(), strict=True):
        for mirrored in (False, True):
            padded = np.pad(image[:, :, ::-1] if mirrored else image, ((0, 0), (1, 1), (1, 1)), mode="reflect")
            seen += [
                (mirrored, down, right)
                for down in range(3)
                for right in range(3)
                if np.array_equal(padded[:, down : down + 5, right : right + 6], result)
            ]
    kinds, counts = np.unique(seen, axis=0, return_counts=True)
    assert len(seen) == 400
    assert len(kinds) == 2 * 9
    np.testing.assert_allclose(counts / 400, 1 / 18, atol=0.04)


@pytest.mark.parametrize(("flip", "expected"), [(0.0, [0, 1, 2]), (1.0, [2, 1, 0])])
def test_certain_flips(flip, expected):
    image = torch.arange(3.0).expand(4, 1, 2, 3)
    assert FlipShift(flip=flip, shift=0)(image, 0).tolist() == [[[expected] * 2]] * 4


def test_a_shift_beyond_the_image_keeps_reflecting():
    torch.manual_seed(0)
    result = FlipShift(flip=0.0, shift=9)(torch.arange(4.0).reshape(1, 1, 2, 2).expand(60, -1, -1, -1), 0)
    assert {tuple(image.flatten().tolist()) for image in result} == {
        (0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)
    }  # fmt: skip


@pytest.mark.parametrize(("change", "given"), [({"flip": 1.5}, "flip=1.5"), ({"shift": -1}, "shift=-1")])
def test_refuses_its_numbers_by_name(change, given):
    with pytest.raises(UserError, match=f"FlipShift: {given}"):
        FlipShift(**{"flip": 0.5, "shift": 4} | change)
