import numpy as np
import pytest
import torch

from duogen.augmentations.geometry import blits, scaled, shifted, then, transforms, turned
from duogen.augmentations.places import warp

MANY = torch.zeros(4000, 1, 16, 24, dtype=torch.float64)
EYE = np.eye(3)


def square():
    return torch.randn(1, 2, 6, 6, generator=torch.Generator().manual_seed(0))


def one(value):
    return torch.tensor([float(value)])


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_equal_rot90(quarters):
    cosine, sine = [(0, 1), (-1, 0), (0, -1)][quarters - 1]
    result = warp(square(), turned(one(cosine), one(sine)))
    assert torch.equal(result, torch.rot90(square(), quarters, (2, 3)))


def test_a_negative_scale_mirrors():
    assert torch.equal(warp(square(), scaled(one(-1), one(1))), square().flip(3))


def test_a_shift_moves_right_and_down():
    moved = warp(square(), shifted(one(2), one(1)))
    assert torch.equal(moved[:, :, 1:, 2:], square()[:, :, :-1, :-2])


def test_one_change_after_another():
    first, last = turned(one(0), one(1)), shifted(one(1), one(0))
    both, apart = warp(square(), then(first, last)), warp(warp(square(), first), last)
    assert torch.equal(both[..., 1:], apart[..., 1:])
    np.testing.assert_allclose(then(first, last), first @ last)


@pytest.mark.parametrize("change", [blits, transforms])
@pytest.mark.parametrize("probability", [0.0, torch.tensor(0.0)])
def test_probability_0_is_the_identity(change, probability):
    matrices = change(MANY, probability)
    assert torch.equal(matrices, torch.eye(3, dtype=torch.float64).expand(len(MANY), 3, 3))


def test_certain_blits():
    torch.manual_seed(0)
    matrices = blits(MANY, 1.0).numpy()
    np.testing.assert_array_equal(matrices, matrices.round())
    linear, shift = matrices[:, :2, :2], matrices[:, :2, 2]
    np.testing.assert_array_equal(np.abs(linear).sum((1, 2)), 2)
    kinds, counts = np.unique(linear.reshape(-1, 4), axis=0, return_counts=True)
    assert len(kinds) == 8
    np.testing.assert_allclose(counts / len(MANY), 1 / 8, atol=0.025)
    # Two pixels of 16 and three of 24, turned with the axes.
    turned_ = linear[:, 0, 0] == 0
    assert np.abs(shift[~turned_, 0]).max() == np.abs(shift[turned_, 1]).max() == 3
    assert np.abs(shift[~turned_, 1]).max() == np.abs(shift[turned_, 0]).max() == 2


def test_certain_transforms():
    torch.manual_seed(0)
    matrices = transforms(MANY, 1.0).numpy()
    determinants = np.linalg.det(matrices[:, :2, :2])
    # Neither turns nor the opposite scalings change an area: it is 2^(2 x 0.2 n).
    assert np.log2(determinants).std() == pytest.approx(0.4, rel=0.05)
    singular = np.linalg.svd(matrices[:, :2, :2], compute_uv=False)
    # The axes part by 2^(2 x 0.2 |n|), whose exponent has the mean 0.4 sqrt(2 / pi).
    assert np.log2(singular[:, 0] / singular[:, 1]).mean() == pytest.approx(0.4 * np.sqrt(2 / np.pi), rel=0.05)
    shift = np.einsum("nij,nj->ni", np.linalg.inv(matrices[:, :2, :2]), matrices[:, :2, 2])
    np.testing.assert_allclose(shift.std(0), [0.125 * 24, 0.125 * 16], rtol=0.05)
    angles = np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])
    np.testing.assert_allclose(np.histogram(angles, 4, (-np.pi, np.pi))[0] / len(MANY), 1 / 4, atol=0.03)


def test_a_turn_happens_with_the_probability():
    torch.manual_seed(0)
    matrices = transforms(MANY, 0.3).numpy()
    # A stretch between no turns leaves the matrix diagonal, so does none at all.
    assert (matrices[:, 0, 1] != 0).mean() == pytest.approx(0.3, abs=0.03)
    assert (matrices[:, :2, 2] != 0).any(1).mean() == pytest.approx(0.3, abs=0.03)
    still = (matrices == EYE).all((1, 2)).mean()
    assert still == pytest.approx(0.7**4, abs=0.03)
