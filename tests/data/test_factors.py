from itertools import islice

import numpy as np
import pytest
import torch

from duogen.data.factors import FactorGrid
from duogen.data.order import permutation
from duogen.data.splits import Split
from duogen.errors import UserError


class Marked(FactorGrid):
    """Images (1, 1, 2) of 5 x 2 x 3 combinations: the first pixel is the label."""

    def grid(self):
        labels = torch.arange(30)
        return Split(torch.stack([labels, labels * 0], 1).to(torch.uint8).view(30, 1, 1, 2), labels)


def marked(**changes):
    given = {
        "shape": [1, 1, 2], "classes": None, "batch_size": 4, "workers": 0, "seed": 1, "transforms": [],
        "evaluation_size": None, "factors": {"colour": 5, "size": 2, "place": 3}, "validate_size": 7, "test_size": 11,
        "split_seed": 3,
    }  # fmt: skip
    return Marked(**(given | changes))


def test_all_images_train_and_the_others_are_seeded_choices_of_them():
    data = marked()
    assert data.splits["train"].labels.tolist() == list(range(30))
    for name, size in (("validate", 7), ("test", 11)):
        split = data.splits[name]
        assert split.labels.tolist() == permutation(3, name, 0, 30)[:size].tolist()
        assert split.values[:, 0, 0, 0].tolist() == split.labels.tolist()
        assert len(split.labels.unique()) == size


def test_only_the_split_seed_decides_the_choices():
    assert marked(seed=2).checksum() == marked().checksum() != marked(split_seed=4).checksum()


def test_labels_are_places_in_the_grid_and_no_classes():
    data = marked()
    assert data.label_count == 30
    assert np.unravel_index(17, tuple(data.factors.values())) == (2, 1, 2)
    assert {int(label) for batch in islice(data.stream(0), 7) for label in batch.labels} <= set(range(30))


def test_the_whole_grid_may_be_tested_and_a_part_evaluated():
    assert len(marked(test_size=30).splits["test"]) == 30
    assert len(marked(evaluation_size=2).splits["validate"]) == 2


@pytest.mark.parametrize(
    ("wrong", "given"),
    [
        ({"classes": 30}, "data.classes=30"),
        ({"factors": {"colour": 5, "size": 0}}, "size: 0"),
        ({"validate_size": 0}, "data.validate_size=0"),
        ({"test_size": 31}, "data.test_size=31"),
    ],
)
def test_odd_settings_are_refused(wrong, given):
    with pytest.raises(UserError) as refusal:
        marked(**wrong)
    assert given in refusal.value.given
