from copy import deepcopy

import pytest
import torch

from duogen.metrics import side
from duogen.metrics.cache import TensorCache
from duogen.metrics.side import Side

FEATURES = torch.tensor([[3.0, 0.0], [1.0, 5.0], [2.0, 2.0]])
LABELS = torch.tensor([1, 0, 1])


def counting():
    calls = []

    def total(features):
        calls.append(len(features))
        return {"total": features.sum(0)}

    return calls, total


@pytest.mark.parametrize("cached", [True, False])
def test_what_is_derived_is_computed_once_and_survives_where_there_is_a_cache(cached, tmp_path):
    calls, total = counting()
    cache = TensorCache(tmp_path) if cached else None
    first, later = (Side(FEATURES, None, None, cache, "key") for _ in range(2))
    for asked in (first, first, later, later):
        assert asked.derived("total", total)["total"].tolist() == [6, 7]
    assert calls == [3] if cached else calls == [3, 3]


def test_names_are_kept_apart():
    found = Side(FEATURES, None, None, None, "")
    assert found.derived("a", lambda x: {"v": x.sum()})["v"] == 13
    assert found.derived("b", lambda x: {"v": x.amax()})["v"] == 5


def test_a_class_is_a_side_of_its_own():
    whole = Side(FEATURES, 10 * FEATURES, LABELS, None, "")
    ones = whole.of_class(1)
    assert ones.count == 2
    assert ones.features.tolist() == [[3, 0], [2, 2]]
    assert ones.logits.tolist() == [[30, 0], [20, 20]]
    assert ones.labels.tolist() == [1, 1]
    assert whole.of_class(1) is ones
    assert whole.of_class(0).features.tolist() == [[1, 5]]


def test_the_order_is_that_of_the_content():
    shuffled = torch.tensor([2, 0, 1])
    first, second = Side(FEATURES, None, None, None, ""), Side(FEATURES[shuffled], None, None, None, "")
    assert torch.equal(FEATURES[first.ordered()], FEATURES[shuffled][second.ordered()])


@pytest.mark.parametrize("block", [1, 2, 2048])
def test_the_order_does_not_depend_on_the_block(block, monkeypatch):
    many = torch.randn(41, 3, generator=torch.Generator().manual_seed(0))
    expected = Side(many, None, None, None, "").ordered()
    monkeypatch.setattr(side, "BLOCK", block)
    assert torch.equal(Side(many, None, None, None, "").ordered(), expected)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_it_knows_whether_all_are_numbers(bad):
    broken = FEATURES.clone()
    broken[1, 0] = bad
    assert Side(FEATURES, None, None, None, "").finite
    assert Side(FEATURES, FEATURES, None, None, "").finite
    assert not Side(broken, FEATURES, None, None, "").finite
    assert not Side(FEATURES, broken, None, None, "").finite


def test_a_copy_is_itself():
    one = Side(FEATURES, None, None, None, "")
    assert deepcopy({"a": one})["a"] is one
