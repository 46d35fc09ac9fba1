import json
from copy import deepcopy

import pytest
import torch

from duogen.errors import UserError
from duogen.metrics.pixels import Pixels


@pytest.mark.parametrize("shape", [(7,), (2, 3, 5)])
def test_features_are_the_values_in_row_order(shape):
    values = torch.arange(4 * torch.Size(shape).numel()).view(4, *shape) / 1000
    extracted = Pixels(list(shape))(values)
    assert extracted.logits is None
    assert extracted.features.tolist() == [row.flatten().tolist() for row in values]


def test_facts():
    extractor = Pixels([2, 3, 5])
    assert (extractor.name, extractor.feature_dim, extractor.classes) == ("pixels", 30, None)
    assert not extractor.train().training


def test_features_are_float32_and_carry_no_gradient():
    values = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    features = Pixels([3])(values).features
    assert features.dtype == torch.float32
    assert not features.requires_grad


def test_other_shapes_are_refused():
    with pytest.raises(UserError, match=r"\(5, 3\)") as refusal:
        Pixels([3, 5])(torch.zeros(2, 5, 3))
    assert "(3, 5)" in refusal.value.allowed


def test_protocol_is_json_and_tells_points_from_images():
    points, images = Pixels([15]).protocol(), Pixels([1, 3, 5]).protocol()
    assert json.loads(json.dumps(images)) == images
    assert (points["space"], images["space"]) == ("coordinates", "values in [-1, 1]")
    assert points["input"] != images["input"]


def test_no_batch_is_no_features():
    assert deepcopy(Pixels([2, 3]))(torch.zeros(0, 2, 3)).features.shape == (0, 6)
