import numpy as np
import pytest
import torch

from duogen.augmentations.chance import by_chance, integers, met, normal, precision, uniform

MANY = torch.zeros(20000, 1, 1, 1)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_uniform():
    values = np.sort(uniform(MANY, -2, 6).numpy())
    assert values[0] >= -2
    assert values[-1] < 6
    assert np.abs(values - np.linspace(-2, 6, len(values))).max() < 0.1


def test_integers_are_equally_likely():
    counts = np.bincount(integers(MANY, 5).long(), minlength=5)
    assert len(counts) == 5
    np.testing.assert_allclose(counts / len(MANY), 1 / 5, atol=0.015)


def test_normal():
    values = normal(MANY, 0.2).numpy()
    assert values.mean() == pytest.approx(0, abs=0.01)
    assert values.std() == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize("probability", [0.3, torch.tensor(0.3)])
def test_chance(probability):
    assert met(MANY, probability).float().mean().item() == pytest.approx(0.3, abs=0.015)


@pytest.mark.parametrize(("probability", "kept"), [(0.0, 0), (1.0, 20000), (torch.tensor(1.0), 20000)])
def test_certainties(probability, kept):
    assert met(MANY, probability).sum() == kept


def test_all_values_of_an_image_are_kept_or_none():
    first, last = by_chance(0.5, torch.arange(1.0, 401.0), -torch.arange(1.0, 401.0))
    assert torch.equal(first, -last)
    assert 150 < first.count_nonzero() < 250
    assert torch.equal(first[first > 0], torch.arange(1.0, 401.0)[first > 0])


@pytest.mark.parametrize(
    ("given", "drawn"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_precision(given, drawn):
    assert precision(MANY.to(given)) == uniform(MANY.to(given), 0, 1).dtype == normal(MANY.to(given), 1).dtype == drawn
