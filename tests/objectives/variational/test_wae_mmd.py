import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.networks.posteriors.point import Point
from duogen.objectives.variational.mmd import InverseMultiquadratic
from duogen.objectives.variational.wae_mmd import WaeMmd
from duogen.ramp import Linear
from objectives.variational.gaussian_toy import Toy, gradients

SCALES = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]


def by_loops(codes, others):
    """The authors' sum over scales, pairs of a code with itself left out."""

    def kernel(x, y):
        return sum(4 * scale / (4 * scale + ((x - y) ** 2).sum()) for scale in SCALES)

    def same(sample):
        return sum(kernel(x, y) for i, x in enumerate(sample) for j, y in enumerate(sample) if i != j) / 20

    return same(codes) + same(others) - 2 * sum(kernel(x, y) for x in codes for y in others) / 25


@pytest.mark.parametrize("deterministic", [True, False])
def test_its_terms_for_either_encoder(deterministic):
    toy = Toy()
    evidence = toy.evidence(posterior=Point(toy.mean) if deterministic else None, step=2)
    torch.manual_seed(3)
    loss = WaeMmd(Linear(0.0, 100.0, 0, 4), InverseMultiquadratic(SCALES))(evidence)
    torch.manual_seed(3)
    others = evidence.prior.sample((5,)).numpy()
    codes = (toy.mean if deterministic else evidence.code[0]).detach().numpy()
    assert loss.terms["mmd"].item() == pytest.approx(by_loops(codes, others))
    np.testing.assert_allclose(loss.terms["distortion"].detach(), evidence.distortion.detach())
    assert loss.weights == {"mmd": 50.0}


def test_it_draws_the_codes_of_all_examples_to_the_prior():
    torch.manual_seed(0)
    toy = Toy(count=20)
    with torch.no_grad():
        toy.mean.add_(3)
    loss = WaeMmd(1.0, InverseMultiquadratic(SCALES))(toy.evidence(posterior=Point(toy.mean)))
    (slope,) = gradients(type(loss)({"mmd": loss.terms["mmd"]}, 20), [toy.mean])
    assert (slope.mean(0) > 0).all()


def test_refuses_by_name():
    with pytest.raises(UserError, match="WaeMmd: weight=-1"):
        WaeMmd(-1.0, InverseMultiquadratic(SCALES))
