import numpy as np
import pytest
import torch

from duogen.data.transforms import Binarise, HorizontalFlip, ReflectedShift, Shift, transformed
from duogen.errors import UserError


@pytest.fixture(params=[torch.uint8, torch.float32])
def images(request):
    """Seven images (2, 5, 6), as bytes or as floats in [-1, 1]."""
    values = torch.randint(1, 256, (7, 2, 5, 6), generator=torch.Generator().manual_seed(0))
    return values.to(torch.uint8) if request.param == torch.uint8 else values.float() / 127.5 - 1


def test_flip_mirrors_where_the_number_is_below_the_probability(images):
    uniform = torch.tensor([0.0, 0.24, 0.25, 0.26, 0.5, 0.99, 0.1]).view(7, 1)
    found = HorizontalFlip(0.25)(images, uniform)
    for before, after, number in zip(images.numpy(), found.numpy(), uniform, strict=True):
        np.testing.assert_array_equal(after, before[:, :, ::-1] if number < 0.25 else before)
    assert found.dtype == images.dtype


@pytest.mark.parametrize(("probability", "flipped"), [(0.0, False), (1.0, True)])
def test_flip_never_and_always(images, probability, flipped):
    uniform = torch.tensor([0.0, 0.3, 0.6, 0.9, 1 - 2**-24, 2**-24, 0.5]).view(7, 1)
    expected = images.flip(3) if flipped else images
    assert torch.equal(HorizontalFlip(probability)(images, uniform), expected)


def number_of(shift, pixels):
    """A number in the middle of those that give a shift."""
    return (shift + pixels + 0.5) / (2 * pixels + 1)


LEVELS = {torch.uint8: [0, 1, 51, 254, 255], torch.float32: [-1, 2 / 255 - 1, -0.6, 0.9921569, 1]}


@pytest.mark.parametrize("dtype", LEVELS)
def test_binarise_is_white_where_the_number_is_below_the_level(dtype):
    image, ends = torch.tensor(LEVELS[dtype]).to(dtype).view(1, 1, 1, 5), (LEVELS[dtype][0], LEVELS[dtype][-1])
    white = {0.0: [0, 1, 1, 1, 1], 0.1999: [0, 0, 1, 1, 1], 0.2001: [0, 0, 0, 1, 1], 1 - 2**-24: [0, 0, 0, 0, 1]}
    for number, expected in white.items():
        found = Binarise([1, 1, 5])(image, torch.full((1, 5), number))
        assert found.dtype == dtype
        assert found.flatten().tolist() == [ends[each] for each in expected]


def test_binarise_has_a_number_of_its_own_for_each_value(images):
    uniform = torch.rand(7, 60, generator=torch.Generator().manual_seed(2))
    found = Binarise([2, 5, 6])(images, uniform).double().numpy()
    level = images.double().numpy() / 255 if images.dtype == torch.uint8 else (images.double().numpy() + 1) / 2
    assert Binarise([2, 5, 6]).draws == 60
    np.testing.assert_array_equal(found == found.max(), uniform.numpy().reshape(7, 2, 5, 6) < level)
    assert len(np.unique(found)) == 2


SHIFTS = [(0, 0), (2, -1), (-2, 2), (1, 0), (0, -2), (-1, -1), (2, 2)]


def cropped(image, down, right, pixels, **mode):
    """By definition: padded on each side, then a window of the old size."""
    padded = np.pad(image, ((0, 0), (pixels, pixels), (pixels, pixels)), **mode)
    return padded[:, pixels - down : pixels - down + 5, pixels - right : pixels - right + 6]


@pytest.mark.parametrize("kind", [Shift, ReflectedShift])
def test_shift_is_padding_and_a_crop(images, kind):
    uniform = torch.tensor([[number_of(down, 2), number_of(right, 2)] for down, right in SHIFTS])
    black = {"mode": "constant", "constant_values": 0 if images.dtype == torch.uint8 else -1}
    mode = black if kind is Shift else {"mode": "reflect"}
    found = kind(2)(images, uniform)
    assert found.dtype == images.dtype
    assert found.is_contiguous()
    for before, after, (down, right) in zip(images.numpy(), found.numpy(), SHIFTS, strict=True):
        np.testing.assert_array_equal(after, cropped(before, down, right, 2, **mode))


def test_a_shift_beyond_the_image_leaves_black():
    image = torch.full((1, 1, 2, 3), 9, dtype=torch.uint8)
    assert Shift(4)(image, torch.tensor([[0.0, 0.5]])).eq(0).all()


def test_all_shifts_are_equally_likely_and_none_is_further():
    generator = torch.Generator().manual_seed(0)
    count, dot = 5000, torch.zeros(5000, 1, 7, 7, dtype=torch.uint8)
    dot[:, :, 3, 3] = 1
    found = Shift(2)(dot, torch.rand(count, 2, generator=generator)).nonzero()[:, 2:]
    counts = np.histogram2d(*found.T.numpy(), bins=np.arange(8))[0]
    assert counts.sum() == count
    assert counts[[0, 6]].sum() == counts[:, [0, 6]].sum() == 0
    assert np.abs(counts[1:6, 1:6] - count / 25).max() < 5 * np.sqrt(count / 25)


@pytest.mark.parametrize("pixels", [2, 8, 100])
def test_the_largest_number_gives_the_largest_shift(pixels):
    image = torch.zeros(1, 1, 1, 2 * pixels + 1, dtype=torch.uint8)
    image[..., pixels] = 1
    found = Shift(pixels)(image, torch.tensor([[0.5, 1 - 2**-24]]))
    assert found.nonzero()[:, 3].tolist() == [2 * pixels]


def test_transforms_take_their_numbers_in_turn(images):
    uniform = torch.rand(7, 5, generator=torch.Generator().manual_seed(1))
    chain = [Shift(1), HorizontalFlip(0.5), ReflectedShift(2)]
    step = chain[1](chain[0](images, uniform[:, :2]), uniform[:, 2:3])
    assert torch.equal(transformed(images, uniform, chain), chain[2](step, uniform[:, 3:]))
    assert transformed(images, uniform[:, :0], []) is images


def test_the_given_images_are_left_alone(images):
    before = images.clone()
    transformed(images, torch.rand(7, 5), [Shift(1), HorizontalFlip(0.5), ReflectedShift(2)])
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (lambda: HorizontalFlip(1.5), "probability=1.5"),
        (lambda: HorizontalFlip(-0.1), "probability=-0.1"),
        (lambda: Shift(0), "Shift: pixels=0"),
        (lambda: ReflectedShift(-1), "ReflectedShift: pixels=-1"),
        (lambda: ReflectedShift(5)(torch.zeros(1, 1, 5, 9), torch.zeros(1, 2)), "images of 5x9"),
    ],
)
def test_impossible_settings_are_refused(make, given):
    with pytest.raises(UserError) as refusal:
        make()
    assert given in refusal.value.given
