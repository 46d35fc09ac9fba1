import pytest
import torch

from duogen.networks.likelihoods.levels import level_of, spacing, value_of


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_every_level_has_its_value(levels):
    all_levels = torch.arange(levels)
    values = value_of(all_levels, levels)
    assert values[0] == -1
    assert values[-1] == pytest.approx(1)
    torch.testing.assert_close(values.diff(), torch.full((levels - 1,), spacing(levels)))
    assert torch.equal(level_of(values, levels), all_levels.float())


def test_bytes_and_the_digits_counts_are_levels():
    assert torch.equal(level_of(torch.arange(256, dtype=torch.uint8) / 127.5 - 1, 256), torch.arange(256.0))
    assert torch.equal(level_of(torch.arange(17) / 8 - 1, 17), torch.arange(17.0))


def test_a_value_is_of_the_nearest_level():
    values = torch.tensor([-torch.inf, -1.2, -0.9, -0.51, -0.49, 0.3, 0.9, 1.7, torch.inf])
    assert level_of(values, 3).tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2]
