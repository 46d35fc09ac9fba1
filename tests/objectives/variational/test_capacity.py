import numpy as np
import pytest

from duogen.errors import UserError
from duogen.objectives.variational.capacity import Capacity
from duogen.ramp import Linear
from objectives.variational.gaussian_toy import Toy, gradients


@pytest.mark.parametrize("capacity", [0.0, 100.0])
def test_the_mean_rate_is_held_at_the_capacity_from_either_side(capacity):
    toy = Toy()
    evidence = toy.evidence()
    loss = Capacity(gamma=3.0, capacity=capacity)(evidence)
    rate = evidence.rate.detach().numpy()
    assert loss.terms["capacity_gap"].item() == pytest.approx(abs(sum(rate) / 5 - capacity))
    np.testing.assert_allclose(loss.terms["distortion"].detach(), evidence.distortion.detach())
    np.testing.assert_allclose(loss.observed["rate"], rate)
    assert loss.weights == {"capacity_gap": 3.0}
    (slope,) = gradients(Capacity(3.0, capacity)(evidence), [toy.mean])
    (distortion,) = gradients(Capacity(0.0, capacity)(evidence), [toy.mean])
    sign = 1 if capacity == 0 else -1
    np.testing.assert_allclose(slope - distortion, sign * 3.0 * toy.mean.detach().numpy(), rtol=1e-6)


def test_capacity_and_gamma_may_be_ramps():
    evidence = Toy().evidence(step=4)
    loss = Capacity(Linear(0.0, 10.0, 0, 5), Linear(0.0, 25.0, 0, 8))(evidence)
    assert loss.weights["capacity_gap"] == pytest.approx(8.0)
    assert loss.terms["capacity_gap"].item() == pytest.approx(abs(evidence.rate.mean().item() - 12.5))


@pytest.mark.parametrize(("gamma", "capacity", "named"), [(-1.0, 5.0, "gamma=-1.0"), (1.0, -5.0, "capacity=-5.0")])
def test_refuses_by_name(gamma, capacity, named):
    with pytest.raises(UserError, match=f"Capacity: {named}"):
        Capacity(gamma, capacity)
