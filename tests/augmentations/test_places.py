import numpy as np
import pytest
import torch
from scipy import ndimage

from duogen.augmentations.places import erased, pick, reflected, warp

N, SHAPE = 3, (2, 5, 7)


def images(dtype=torch.float64):
    return torch.randn(N, *SHAPE, dtype=dtype, generator=torch.Generator().manual_seed(0))


def matrices(first, last):
    """(N, 3, 3) from the two rows that matter."""
    return torch.tensor([[first, last, [0.0, 0.0, 1.0]]], dtype=torch.float64).expand(N, -1, -1)


def test_pick_takes_the_pixels_named():
    rows, columns = torch.tensor([[0, 4], [1, 1], [2, 0]]), torch.tensor([[6], [0], [3]])
    picked = pick(images(), rows.unsqueeze(2), columns.unsqueeze(1))
    assert picked.shape == (N, 2, 2, 1)
    for image in range(N):
        expected = images()[image][:, rows[image]][:, :, columns[image]]
        assert torch.equal(picked[image], expected)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_reflected_is_numpys_reflection(size):
    padded = np.pad(np.arange(size), 12, mode="reflect") if size > 1 else np.zeros(25, int)
    positions = torch.arange(-12, size + 12)
    np.testing.assert_array_equal(reflected(positions, size), padded[: len(positions)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_identity_changes_nothing_at_all(dtype):
    given = images(dtype)
    assert torch.equal(warp(given, torch.eye(3, dtype=dtype).expand(N, 3, 3)), given)


def test_a_whole_shift_is_exact():
    moved = warp(images(), matrices([1.0, 0.0, -2.0], [0.0, 1.0, 1.0]))
    assert torch.equal(moved[:, :, :4, 2:], images()[:, :, 1:, :5])


def test_a_fraction_of_a_pixel_mixes_neighbours():
    moved = warp(images(), matrices([1.0, 0.0, 0.25], [0.0, 1.0, 0.0]))
    given = images()
    torch.testing.assert_close(moved[..., :-1], 0.75 * given[..., :-1] + 0.25 * given[..., 1:])


@pytest.mark.parametrize("seed", range(3))
def test_any_map_equals_scipys_bilinear_resampling(seed):
    rng = np.random.default_rng(seed)
    linear, shift = np.eye(2) + rng.normal(0, 0.5, (2, 2)), rng.normal(0, 2, 2)
    (xx, xy), (yx, yy) = linear
    warped = warp(images(), matrices([xx, xy, shift[0]], [yx, yy, shift[1]])).numpy()
    # scipy counts (row, column) from the corner.
    matrix, middle = np.array([[yy, yx], [xy, xx]]), (np.array(SHAPE[1:]) - 1) / 2
    offset = middle - matrix @ middle + shift[::-1]
    for image in range(N):
        for channel in range(SHAPE[0]):
            given = images()[image, channel].numpy()
            expected = ndimage.affine_transform(given, matrix, offset, order=1, mode="mirror")
            np.testing.assert_allclose(warped[image, channel], expected, atol=1e-9)


def test_a_box_of_the_share_is_emptied():
    torch.manual_seed(0)
    empty = erased(torch.ones(500, 2, 8, 12), share=0.5, probability=1.0) == 0
    assert torch.equal(empty[:, 0], empty[:, 1])
    rows, columns = empty[:, 0].any(2), empty[:, 0].any(1)
    assert torch.equal(empty[:, 0], rows.unsqueeze(2) & columns.unsqueeze(1))
    for hit, size in ((rows, 8), (columns, 12)):
        counts = hit.sum(1)
        # A box over the edge loses at most half; most lie inside.
        assert counts.min() >= size // 4
        assert counts.max() == size // 2
        assert (hit.long().diff(dim=1) == 1).sum(1).max() <= 1
        np.testing.assert_allclose(hit[:, size // 4 : -size // 4].float().mean(), 0.5, atol=0.05)


@pytest.mark.parametrize(("share", "probability"), [(0.5, 0.0), (0.0, 1.0)])
def test_no_box(share, probability):
    assert torch.equal(erased(images(), share, probability), images())


def test_a_box_appears_with_its_probability():
    torch.manual_seed(0)
    emptied = (erased(torch.ones(4000, 1, 4, 4), 0.5, 0.3) == 0).flatten(1).any(1)
    assert emptied.float().mean().item() == pytest.approx(0.3, abs=0.03)
