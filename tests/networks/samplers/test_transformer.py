"""Attention that sees what came before, all of it, and nothing else."""

import pytest
import torch

from duogen.errors import UserError
from duogen.networks.samplers.transformer import TransformerSampler
from networks.samplers.causal import FITTING, dependences, learnt


@pytest.mark.parametrize("training", [False, True])
def test_a_place_depends_on_all_places_before_it_and_on_no_other(training):
    torch.manual_seed(0)
    sampler = TransformerSampler([4, 3], [6], None, 8, 2, 2, 0.0, FITTING)
    sampler.requires_grad_(training)  # without gradients torch takes another way through its layers
    assert torch.equal(dependences(sampler, (4, 3, 6)), torch.ones(12, 12, dtype=torch.bool).tril(-1))


def test_gradients_reach_no_later_place():
    torch.manual_seed(0)
    sampler = TransformerSampler([3, 4], [6], 2, 4, 2, 2, 0.0, FITTING)
    values = torch.randn(1, 3, 4, 4, requires_grad=True)
    seen = sampler.seen(values, torch.tensor([1])).flatten(1, 2)
    for place in range(12):
        (slope,) = torch.autograd.grad(seen[0, place].square().sum(), values, retain_graph=True)
        assert (slope.flatten(1, 2)[0, place:] == 0).all()


def test_the_first_rows_do_not_need_the_others():
    torch.manual_seed(0)
    sampler = TransformerSampler([4, 3], [6], None, 8, 2, 2, 0.0, FITTING)
    values = torch.randn(2, 4, 3, 8)
    assert torch.allclose(sampler.seen(values, None)[:, :2], sampler.seen(values[:, :2], None), atol=1e-5)


@pytest.mark.parametrize("classes", [None, 3])
def test_it_learns_a_pattern(classes):
    torch.manual_seed(0)
    missed, share = learnt(TransformerSampler([2, 3], [4], classes, 16, 2, 2, 0.0, FITTING))
    assert missed < 0.02
    assert share > 0.98


@pytest.mark.parametrize("wrong", [{"heads": 3}, {"dropout": 1.0}, {"layers": 0}, {"heads": 0}])
def test_numbers_out_of_range_are_refused(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(UserError, match=f"{name}={value}"):
        TransformerSampler(
            **{"places": [2, 2], "sizes": [3], "classes": None, "width": 8, "layers": 1, "heads": 2, "dropout": 0.0}
            | wrong,
            fitting=FITTING,
        )
