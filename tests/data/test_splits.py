import numpy as np
import pytest
import torch

from duogen.data.splits import Split, as_network_input


def test_every_byte_maps_to_its_place_in_minus_one_to_one():
    found = as_network_input(torch.arange(256, dtype=torch.uint8))
    np.testing.assert_allclose(found.numpy(), np.arange(256) * 2 / 255 - 1, atol=6e-8)
    assert found.dtype == torch.float32
    assert (found[0], found[255]) == (-1, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_other_dtypes_pass_through(dtype):
    values = torch.arange(6, dtype=dtype)
    assert as_network_input(values) is values


def test_conversion_leaves_the_stored_bytes_alone():
    split = Split(torch.full((3, 1, 2, 2), 255, dtype=torch.uint8), None)
    split.examples()
    split.select(torch.tensor([0, 2]))
    assert split.values.dtype == torch.uint8
    assert split.values.eq(255).all()


def test_select_takes_values_and_labels_in_the_order_asked():
    split = Split(torch.tensor([[0.0, 1], [2, 3], [4, 5]]), torch.tensor([7, 8, 9]))
    batch = split.select(torch.tensor([2, 0]))
    assert batch.values.tolist() == [[4, 5], [0, 1]]
    assert batch.labels.tolist() == [9, 7]
    assert batch.count == 2


def test_rows_are_the_stored_examples():
    split = Split(torch.arange(6, dtype=torch.uint8).view(3, 2), torch.tensor([7, 8, 9]))
    rows = split.rows(torch.tensor([2, 0]))
    assert rows.values.dtype == torch.uint8
    assert rows.values.tolist() == [[4, 5], [0, 1]]
    assert rows.labels.tolist() == [9, 7]


def test_no_labels_stay_no_labels():
    split = Split(torch.zeros(4, 2), None)
    assert split.select(torch.tensor([1])).labels is None
    assert split.part(1, 3).labels is None
    assert split.to(torch.device("cpu")).labels is None
    assert split.examples().labels is None


def test_shape_and_all_that_is_stored():
    values, labels = torch.zeros(5, 1, 3, 2), torch.arange(5)
    assert Split(values, labels).shape == (1, 3, 2)
    assert [id(tensor) for tensor in Split(values, labels).stored] == [id(values), id(labels)]
    assert len(Split(values, None).stored) == 1


def test_part_is_a_view():
    split = Split(torch.arange(10.0).view(5, 2), torch.arange(5))
    part = split.part(1, 4)
    assert len(part) == 3
    assert part.labels.tolist() == [1, 2, 3]
    assert part.values.data_ptr() == split.values[1].data_ptr()


def test_to_the_same_device_copies_nothing():
    split = Split(torch.zeros(4, 2), torch.zeros(4))
    assert split.to(torch.device("cpu")).values is split.values


def test_to_moves_values_and_labels():
    moved = Split(torch.zeros(4, 2), torch.zeros(4)).to(torch.device("meta"))
    assert moved.values.device.type == moved.labels.device.type == "meta"
