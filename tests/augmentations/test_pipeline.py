import pytest
import torch

from duogen.augmentations.pipeline import AugmentPipeline
from duogen.errors import UserError
from duogen.ramp import Linear

KINDS = ("blit", "geometry", "color", "cutout")


def pipeline(probability, **shares):
    return AugmentPipeline(probability=probability, **dict.fromkeys(KINDS, 0.0) | shares)


def images(count=6, shape=(3, 8, 8)):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def changed(result, given):
    return (result != given).flatten(1).any(1)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 8), (4, 5, 5)])
def test_probability_0_is_exactly_the_identity(shape):
    given = images(shape=shape)
    torch.manual_seed(0)
    assert torch.equal(pipeline(0.0, **dict.fromkeys(KINDS, 1.0))(given, 0), given)
    assert torch.equal(pipeline(1.0)(given, 0), given)


def test_probability_1_changes_every_image():
    given = images(count=200)
    torch.manual_seed(0)
    assert changed(pipeline(1.0, **dict.fromkeys(KINDS, 1.0))(given, 0), given).all()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_share_of_the_probability(kind):
    given = images(count=1000)
    torch.manual_seed(0)
    certain = changed(pipeline(1.0, **{kind: 1.0})(given, 0), given).float().mean()
    rare = changed(pipeline(0.5, **{kind: 0.2})(given, 0), given).float().mean()
    assert certain > 0.95
    # Each of up to five changes of a kind happens with 0.5 x 0.2, or is one that changes nothing.
    assert 0.06 < rare <= 1 - 0.9**5 + 0.03


def test_blits_move_pixels_and_never_mix_them():
    given = torch.arange(64.0).reshape(1, 1, 8, 8).expand(50, -1, -1, -1)
    torch.manual_seed(0)
    result = pipeline(1.0, blit=1.0)(given, 0)
    assert torch.equal(result, result.round())
    assert len({tuple(image.flatten().tolist()) for image in result}) > 20


def test_the_probability_may_follow_the_step():
    given = images(count=100)
    ramped = pipeline(Linear(first=0.0, last=1.0, start=10, stop=20), color=1.0)
    torch.manual_seed(0)
    shares = [changed(ramped(given, step), given).float().mean().item() for step in (0, 10, 13, 20)]
    assert shares[:2] == [0, 0]
    assert 0 < shares[2] < shares[3] == 1


@pytest.mark.parametrize("name", ["probability", *KINDS])
def test_refuses_a_share_by_name(name):
    given = dict.fromkeys(("probability", *KINDS), 0.5)
    with pytest.raises(UserError, match=f"AugmentPipeline: {name}=1.25"):
        AugmentPipeline(**given | {name: 1.25})
