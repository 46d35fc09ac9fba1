import pickle

import numpy as np
import pytest
import torch

from duogen.data.compact import Bits, CompactSplit, Pasted, bits

SHAPE = (1, 5, 3)  # 15 pixels: the last bit of the second byte is none of them


@pytest.fixture
def images():
    """Seven black and white images (1, 5, 3) as bytes."""
    return torch.randint(2, (7, *SHAPE), generator=torch.Generator().manual_seed(0)).to(torch.uint8) * 255


@pytest.fixture
def split(images):
    return CompactSplit(torch.from_numpy(bits(images.flatten(1).numpy())), torch.arange(7) + 10, Bits(SHAPE))


@pytest.fixture
def pasted():
    """Four sprites (2, 3) of bytes at 2 columns and 3 rows of images (1, 7, 6)."""
    sprites = torch.arange(1, 25, dtype=torch.uint8).view(4, 2, 3)
    return Pasted((1, 7, 6), sprites, torch.tensor([0, 3]), torch.tensor([1, 3, 5]))


def test_bits_take_eight_pixels_a_byte_the_first_in_the_highest():
    assert bits(np.array([[1, 0, 0, 0, 0, 0, 1, 1, 255, 0, 0]])).tolist() == [[0b10000011, 0b10000000]]


def test_examples_come_out_as_they_went_in(split, images):
    assert split.values.shape == (7, 2)
    assert torch.equal(split.form(split.values), images)
    assert torch.equal(split.examples().values, images.float() / 127.5 - 1)
    assert split.examples().labels.tolist() == list(range(10, 17))


def test_rows_are_plain_bytes_in_the_order_asked(split, images):
    rows = split.rows(torch.tensor([4, 0, 4]))
    assert torch.equal(rows.values, images[[4, 0, 4]])
    assert rows.labels.tolist() == [14, 10, 14]
    assert torch.equal(split.select(torch.tensor([6])).values, images[6:].float() / 127.5 - 1)


def test_a_part_is_a_compact_view(split, images):
    part = split.part(2, 5)
    assert len(part) == 3
    assert part.values.data_ptr() == split.values[2].data_ptr()
    assert torch.equal(part.rows(torch.tensor([1])).values, images[3:4])


def test_the_shape_is_that_of_the_examples(split):
    assert split.shape == SHAPE


def test_stored_are_codes_labels_and_what_the_form_knows(split, pasted):
    assert [tensor.shape for tensor in split.stored] == [(7, 2), (7,)]
    drawn = CompactSplit(torch.arange(24), None, pasted)
    assert [tensor.shape for tensor in drawn.stored] == [(24,), (4, 2, 3), (2,), (3,)]


def test_to_moves_codes_labels_and_form(split, pasted):
    assert split.to(torch.device("cpu")).values is split.values
    moved = CompactSplit(torch.arange(24), torch.arange(24), pasted).to(torch.device("meta"))
    assert {tensor.device.type for tensor in moved.stored} == {"meta"}
    assert moved.rows(torch.arange(5, device="meta")).values.shape == (5, 1, 7, 6)


def test_pasted_sprites_stand_where_the_code_says(pasted):
    found = pasted(torch.arange(24)).view(4, 2, 3, 7, 6)
    for sprite in range(4):
        for x, left in enumerate((0, 3)):
            for y, top in enumerate((1, 3, 5)):
                expected = np.zeros((7, 6))
                expected[top : top + 2, left : left + 3] = pasted.sprites[sprite]
                np.testing.assert_array_equal(found[sprite, x, y], expected)


def test_codes_come_in_any_order_and_number(pasted):
    whole = pasted(torch.arange(24))
    assert torch.equal(pasted(torch.tensor([23, 0, 7, 7])), whole[[23, 0, 7, 7]])
    assert pasted(torch.arange(0)).shape == (0, 1, 7, 6)


def test_a_worker_can_be_given_the_split(split):
    again = pickle.loads(pickle.dumps(split))
    assert torch.equal(again.examples().values, split.examples().values)
