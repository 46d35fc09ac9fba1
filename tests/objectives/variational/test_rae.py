from dataclasses import replace

import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.networks.posteriors.point import Point
from duogen.objectives.variational.rae import RaeGp, RaeL2
from duogen.ramp import Linear
from objectives.variational.gaussian_toy import Toy, gradients, normal


def evidence_of(toy, **changes):
    return toy.evidence(posterior=Point(toy.mean), **changes)


@pytest.mark.parametrize("objective", [RaeL2(0.5, Linear(0.0, 4.0, 0, 8)), RaeGp(0.5, Linear(0.0, 4.0, 0, 8))])
def test_distortion_embedding_and_weights(objective):
    toy = Toy()
    evidence = evidence_of(toy, step=6)
    loss = objective(evidence)
    np.testing.assert_allclose(loss.terms["distortion"].detach(), -toy.explain(toy.mean[None])[0].detach())
    np.testing.assert_allclose(loss.terms["embedding"].detach(), (toy.mean.detach().numpy() ** 2).sum(1) / 2)
    assert loss.weights == {"embedding": 0.5, objective.name: 3.0}
    assert set(loss.terms) == {"distortion", "embedding", objective.name}


def test_l2_is_the_sum_of_squares_of_the_decoders_parameters():
    toy = Toy()
    decay = RaeL2(1.0, 1.0)(evidence_of(toy)).terms["decay"]
    expected = sum(float((p.detach().numpy() ** 2).sum()) for p in (toy.weight, toy.bias))
    assert decay.dim() == 0
    assert decay.item() == pytest.approx(expected)
    (slope,) = torch.autograd.grad(decay, [toy.weight])
    np.testing.assert_allclose(slope, 2 * toy.weight.detach())


def test_the_slope_is_the_squared_norm_of_the_jacobian_in_the_mean():
    torch.manual_seed(0)
    toy = Toy(count=20000)
    slope = RaeGp(1.0, 1.0)(evidence_of(toy)).terms["slope"].detach()
    expected = float((toy.weight.detach().numpy() ** 2).sum())
    assert slope.shape == (20000,)
    assert slope.std() > 0.1
    assert abs(slope.mean().item() - expected) < 4 * slope.std().item() / 20000**0.5


def test_the_slope_of_one_value_is_exact_and_reaches_encoder_and_decoder():
    """D(z) = (w . z)^2, whose gradient is 2 (w . z) w."""
    code = torch.tensor([[1.0, -2.0], [0.5, 3.0], [2.0, 1.0]], dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([0.7, -0.4], dtype=torch.float64, requires_grad=True)
    codes = code[None]
    pictures = (codes @ weight).square().unsqueeze(2)
    evidence = replace(evidence_of(Toy()), code=codes, decoded=normal(pictures, torch.ones_like(pictures)))
    slope = RaeGp(1.0, 1.0).regulariser(evidence)
    numbers, plain = code.detach().numpy(), weight.detach().numpy()
    np.testing.assert_allclose(slope.detach(), 4 * (numbers @ plain) ** 2 * (plain @ plain))
    to_code, to_weight = torch.autograd.grad(slope.sum(), [code, weight])
    np.testing.assert_allclose(to_code, 8 * (numbers @ plain)[:, None] * plain * (plain @ plain))
    assert (to_weight != 0).all()


def test_the_regularisers_reach_the_decoder():
    toy = Toy()
    for objective in (RaeL2(0.0, 1.0), RaeGp(0.0, 1.0)):
        loss = objective(evidence_of(toy))
        (slope,) = gradients(type(loss)({objective.name: loss.terms[objective.name]}, 5), [toy.weight])
        assert (slope != 0).any()
    assert RaeGp.twice
    assert not RaeL2.twice


def test_refuses_by_name():
    evidence = evidence_of(Toy())
    with pytest.raises(UserError, match="RaeL2: beta=-1"):
        RaeL2(-1.0, 1.0)
    with pytest.raises(UserError, match="decoder without parameters"):
        RaeL2(1.0, 1.0)(replace(evidence, parameters=lambda: ()))
