"""What every sampler of codes shares."""

import pytest
import torch

from duogen.errors import UserError
from duogen.networks.samplers.gaussian import GaussianSampler


def test_rows_come_by_class_or_all_as_one():
    labels = torch.tensor([2, 0, 2, 2])
    told = {label: rows.tolist() for label, rows in GaussianSampler(3, 4, 0.0).by_class(labels, 4)}
    assert told == {0: [1], 1: [], 2: [0, 2, 3], 3: []}
    assert [(label, rows.tolist()) for label, rows in GaussianSampler(3, None, 0.0).by_class(None, 2)] == [(0, [0, 1])]


def test_a_class_without_codes_is_refused_by_its_name():
    with pytest.raises(UserError, match="1 codes of class 1") as caught:
        GaussianSampler(2, 2, 1e-6).fit(torch.randn(3, 2), torch.tensor([0, 0, 1]), torch.Generator())
    assert caught.value.allowed == "at least 2"


def test_no_dimensions_are_refused():
    with pytest.raises(UserError, match="latent_dim=0"):
        GaussianSampler(0, None, 0.0)
