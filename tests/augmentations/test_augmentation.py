"""What every augmentation keeps to."""

import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from duogen import augmentations
from duogen.augmentations.ada import Ada
from duogen.augmentations.augmentation import Augmentation, require_share
from duogen.augmentations.diffaugment import DiffAugment
from duogen.augmentations.flip_shift import FlipShift
from duogen.augmentations.pipeline import AugmentPipeline
from duogen.errors import UserError

ALL = {"blit": 1.0, "geometry": 1.0, "color": 1.0, "cutout": 1.0}
MODULES = [path.stem for path in Path(augmentations.__path__[0]).glob("*.py") if not path.stem.startswith("__")]
CLASSES = {
    item
    for module in MODULES
    for _, item in inspect.getmembers(import_module(f"duogen.augmentations.{module}"), inspect.isclass)
    if issubclass(item, Augmentation) and not inspect.isabstract(item)
}


def certain_ada():
    ada = Ada(target=0.6, speed=1000, every=2, **ALL)
    ada.probability.fill_(1.0)
    return ada


MADE = {
    Ada: certain_ada,
    AugmentPipeline: lambda: AugmentPipeline(probability=1.0, **ALL),
    DiffAugment: lambda: DiffAugment(color=True, translation=0.125, cutout=0.5),
    FlipShift: lambda: FlipShift(flip=0.5, shift=2),
}
SIZES = [(1, 8, 8), (2, 6, 9), (3, 8, 5)]


def images(shape, count=7, dtype=torch.float32):
    return torch.rand(count, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_every_augmentation_is_here():
    assert len(CLASSES) >= 4
    assert set(MADE) == CLASSES


@pytest.mark.parametrize("made", MADE.values(), ids=lambda made: type(made()).__name__)
class TestContract:
    @pytest.mark.parametrize("shape", SIZES)
    def test_keeps_the_shape_and_the_images_given(self, made, shape):
        given = images(shape)
        kept = given.clone()
        torch.manual_seed(1)
        result = made()(given, 0)
        assert result.shape == given.shape
        assert result.dtype == given.dtype
        assert result.isfinite().all()
        assert torch.equal(given, kept)

    def test_is_drawn_from_the_default_generator_alone(self, made):
        given, augmentation = images((3, 8, 8)), made()

        def drawn(seed):
            torch.manual_seed(seed)
            return augmentation(given, 0)

        assert torch.equal(drawn(3), drawn(3))
        assert not torch.equal(drawn(3), drawn(4))

    def test_images_of_a_batch_change_apart(self, made):
        given = images((3, 8, 8), count=1).expand(20, -1, -1, -1)
        torch.manual_seed(0)
        results = made()(given, 0)
        assert len({tuple(result.flatten().tolist()) for result in results}) >= 15

    def test_neighbours_in_the_batch_do_not_matter(self, made):
        given, others = images((3, 8, 8)), images((3, 8, 8)).flip(0)
        others[2] = given[2]
        augmentation = made()
        torch.manual_seed(5)
        first = augmentation(given, 0)
        torch.manual_seed(5)
        assert torch.equal(first[2], augmentation(others, 0)[2])

    @pytest.mark.parametrize(("count", "shape"), [(1, (1, 3, 4)), (2, (3, 2, 3))])
    def test_differentiates_twice(self, made, count, shape):
        augmentation = made()

        def value(given):
            torch.manual_seed(2)
            return augmentation(given, 0).tanh()

        given = images(shape, count, torch.float64).requires_grad_()
        assert torch.autograd.gradcheck(value, given)
        assert torch.autograd.gradgradcheck(value, given)

    def test_a_gradient_penalty_through_it_reaches_the_critic(self, made):
        weight = torch.randn(3 * 8 * 8, requires_grad=True)
        given = images((3, 8, 8)).requires_grad_()
        logits = (made()(given, 0).flatten(1) @ weight).tanh()
        (slope,) = torch.autograd.grad(logits.sum(), given, create_graph=True)
        slope.square().sum().backward()
        assert weight.grad is not None
        assert weight.grad.isfinite().all()
        assert weight.grad.any()

    def test_half_precision_becomes_whole(self, made):
        torch.manual_seed(3)
        half = made()(images((3, 8, 8)).bfloat16(), 0)
        torch.manual_seed(3)
        assert torch.equal(half, made()(images((3, 8, 8)).bfloat16().float(), 0).to(half.dtype))

    def test_does_not_look_at_values_on_the_host(self, made):
        """On the meta device there are none."""
        augmentation = made().to("meta")
        assert augmentation(torch.empty(2, 3, 8, 8, device="meta"), 0).shape == (2, 3, 8, 8)

    def test_refuses_vectors_by_name(self, made):
        with pytest.raises(UserError, match=r"examples of shape \(5,\)"):
            made()(torch.zeros(4, 5), 0)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_is_from_0_to_1(share):
    with pytest.raises(UserError, match=f"Some: part={share}"):
        require_share("Some", part=share)


def test_shares_at_the_ends_pass():
    require_share("Some", none=0.0, all=1.0)


def test_real_and_generated_images_are_changed_by_one_law():
    """The mean picture over many draws is the same wherever in a batch an image stands."""
    given = images((1, 6, 6), count=1).expand(4000, -1, -1, -1)
    torch.manual_seed(0)
    results = AugmentPipeline(probability=0.5, **ALL)(given, 0)
    first, last = results[:2000].mean(0).numpy(), results[2000:].mean(0).numpy()
    np.testing.assert_allclose(first, last, atol=0.15)
    assert np.abs(first - given[0].numpy()).max() > 0.15
