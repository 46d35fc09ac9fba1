import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from duogen.errors import UserError


@pytest.fixture
def digits(built):
    return built("digits")


def test_counts_and_shapes(digits):
    assert {name: len(split) for name, split in digits.splits.items()} == {"train": 1097, "validate": 300, "test": 400}
    for split in digits.splits.values():
        assert split.values.shape[1:] == (1, 8, 8)
        assert split.values.dtype == torch.float32
        assert split.labels.dtype == torch.int64


def test_splits_partition_the_set(digits):
    def rows(values, labels):
        return sorted(np.c_[values, labels].tolist())

    values = torch.cat([split.values for split in digits.splits.values()]).view(1797, 64)
    labels = torch.cat([split.labels for split in digits.splits.values()])
    original = load_digits()
    assert rows(values.double() * 8 + 8, labels) == rows(original.data, original.target)


def test_values_span_minus_one_to_one(digits):
    values = torch.cat([split.values for split in digits.splits.values()])
    assert (values.min(), values.max()) == (-1, 1)
    assert values.mean().item() == pytest.approx(4.884 / 8 - 1, abs=1e-3)
    assert values.unique().numel() == 17


def test_each_split_keeps_the_balance_of_classes(digits):
    whole = np.bincount(load_digits().target)
    for split in digits.splits.values():
        expected = whole * len(split) / 1797
        assert np.abs(np.bincount(split.labels, minlength=10) - expected).max() <= 1


def test_splits_do_not_depend_on_the_runs_seed(digits, built):
    assert built("digits", seed=8).checksum() == digits.checksum()


def test_splits_stay_what_they_were(digits):
    assert digits.checksum() == "6e71b59243a10b2c845cf0290cb48bc6b439277a802ca4f48b663e3858714508"


def test_another_split_seed_draws_another_split(digits, built):
    assert built("digits", split_seed=1).checksum() != digits.checksum()


def test_other_content_is_refused(built):
    with pytest.raises(UserError, match="load_digits has the sha256 87ff0c9e"):
        built("digits", sha256="0" * 64).setup()


def test_loading_leaves_global_generators_alone(digits, global_generators):
    before = global_generators()
    digits.setup()
    assert global_generators() == before
