"""The nearest training examples against brute force."""

import numpy as np
import pytest
import torch

from duogen.data.splits import Split
from duogen.experiment import nearest
from duogen.experiment.nearest import closest


def brute_force(values, others, k):
    differences = values.reshape(len(values), 1, -1) - others.reshape(1, len(others), -1)
    every = np.sqrt((differences.astype(np.float64) ** 2).sum(-1))
    order = every.argsort(axis=1)[:, :k]
    return np.take_along_axis(every, order, 1), order


@pytest.mark.parametrize("block", [1, 4, 7, 100])
@pytest.mark.parametrize("k", [1, 3, 23])
def test_the_nearest_are_those_of_brute_force_for_any_block(block, k, monkeypatch):
    monkeypatch.setattr(nearest, "BLOCK", block)
    generator = torch.Generator().manual_seed(0)
    stored = torch.randint(256, (23, 3, 4, 5), generator=generator, dtype=torch.uint8)
    values = torch.rand(6, 3, 4, 5, generator=generator) * 2 - 1
    found = closest(values, Split(stored, None), k)
    distances, places = brute_force(values.numpy(), stored.numpy() / 127.5 - 1, k)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-6)
    assert (found.places.numpy() == places).all()


def test_a_copy_lies_at_no_distance():
    stored = torch.randint(256, (40, 1, 6, 6), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    split = Split(stored, torch.arange(40))
    found = closest(split.part(17, 20).examples().values, split, 2)
    assert found.places[:, 0].tolist() == [17, 18, 19]
    assert (found.distances[:, 0] == 0).all()
    assert (found.distances[:, 1] > 0).all()


def test_points_are_examples_too():
    split = Split(torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]), None)
    found = closest(torch.tensor([[3.0, 3.0]]), split, 3)
    assert found.places.tolist() == [[1, 0, 2]]
    torch.testing.assert_close(found.distances, torch.tensor([[1.0, 18**0.5, 34**0.5]], dtype=torch.float64))
