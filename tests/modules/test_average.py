import numpy as np
import pytest
import torch
from torch import nn

from duogen.modules.average import MovingAverage


def path(decay, start, updates):
    """The average of a weight that takes the values 1, 2, 3, ... after its updates."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average, seen = MovingAverage(network, decay, start), []
    for update in range(1, updates + 1):
        nn.init.constant_(network.weight, float(update))
        average.update(network, update)
        seen.append((float(average.network.weight), average.begun))
    return seen


@pytest.mark.parametrize(("decay", "start"), [(0.9, 0), (0.5, 3), (0.99, 2), (0.0, 1)])
def test_the_average_is_the_formulas(decay, start):
    expected, value = [], 0.0
    for update in range(1, 13):
        counted = update - start
        rate = min(decay, (1 + counted) / (10 + counted)) if counted > 0 else 0.0
        value = rate * value + (1 - rate) * update
        expected.append((value, counted > 0))
    found = path(decay, start, 12)
    assert [begun for _, begun in found] == [begun for _, begun in expected]
    np.testing.assert_allclose([v for v, _ in found], [v for v, _ in expected], rtol=1e-6)


def test_buffers_are_copied_and_the_copy_stays_in_evaluation_mode():
    network = nn.BatchNorm1d(2)
    average = MovingAverage(network, 0.9, 0)
    network(torch.randn(8, 2))
    average.update(network, 1)
    assert torch.equal(average.network.running_mean, network.running_mean)
    average.train()
    assert not average.network.training
    assert not any(parameter.requires_grad for parameter in average.parameters())
