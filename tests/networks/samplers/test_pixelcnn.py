"""Gated convolutions that see what came before, all of it, and nothing else."""

import pytest
import torch

from duogen.errors import UserError
from duogen.networks.samplers.pixelcnn import PixelcnnSampler, gated
from networks.samplers.causal import FITTING, dependences, learnt


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_place_depends_on_all_places_before_it_and_on_no_other(kernel):
    torch.manual_seed(0)
    sampler = PixelcnnSampler([4, 3], [6], None, 8, 5, kernel, FITTING)
    assert torch.equal(dependences(sampler, (4, 3, 6)), torch.ones(12, 12, dtype=torch.bool).tril(-1))


def test_gradients_reach_no_later_place():
    torch.manual_seed(0)
    sampler = PixelcnnSampler([3, 4], [6], 2, 4, 3, 3, FITTING)
    values = torch.randn(1, 3, 4, 4, requires_grad=True)
    seen = sampler.seen(values, torch.tensor([1])).flatten(1, 2)
    for place in range(12):
        (slope,) = torch.autograd.grad(seen[0, place].sum(), values, retain_graph=True)
        assert (slope.flatten(1, 2)[0, place:] == 0).all()


def test_the_first_rows_do_not_need_the_others():
    torch.manual_seed(0)
    sampler = PixelcnnSampler([4, 3], [6], None, 8, 3, 3, FITTING)
    values = torch.randn(2, 4, 3, 8)
    assert torch.allclose(sampler.seen(values, None)[:, :2], sampler.seen(values[:, :2], None), atol=1e-6)


@pytest.mark.parametrize("classes", [None, 3])
def test_it_learns_a_pattern(classes):
    torch.manual_seed(0)
    missed, share = learnt(PixelcnnSampler([2, 3], [4], classes, 16, 2, 3, FITTING))
    assert missed < 0.02
    assert share > 0.98


def test_the_gate():
    halves = torch.tensor([0.5, -1.0, 2.0, 0.0]).view(1, 4, 1, 1)
    expected = torch.tensor([0.5, -1.0]).tanh() / (1 + torch.tensor([-2.0, 0.0]).exp())
    assert torch.allclose(gated(halves).flatten(), expected)


@pytest.mark.parametrize("wrong", [{"kernel": 4}, {"kernel": 1}, {"layers": 0}, {"width": 0}])
def test_sizes_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match="=".join(str(part) for part in next(iter(wrong.items())))):
        PixelcnnSampler(
            **{"places": [2, 2], "sizes": [3], "classes": None, "width": 4, "layers": 1, "kernel": 3} | wrong,
            fitting=FITTING,
        )
