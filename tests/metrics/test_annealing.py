import math

import pytest
import torch
from torch.distributions import Independent, Normal

from duogen.metrics.annealing import AIM, Bridge, annealed, schedule, sizes

DOUBLE = torch.float64


def bridge(spread=(0.5, 2.0), mean=1.0, mass=3.0, examples=4, leaps=5):
    """From N(0, I) to 3 N(mean, diag spread^2), the same for all examples."""
    start = Independent(Normal(torch.zeros(2, dtype=DOUBLE), 1.0, validate_args=False), 1, validate_args=False)
    normal = Normal(torch.full((2,), mean, dtype=DOUBLE), torch.tensor(spread, dtype=DOUBLE), validate_args=False)
    end = Independent(normal, 1, validate_args=False)

    def gain(codes):
        return end.log_prob(codes) + math.log(mass) - start.log_prob(codes)

    return Bridge(lambda chains: start.sample((chains, examples)), start.log_prob, gain, 1.0, leaps)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_schedule_goes_from_0_to_1_and_is_dense_at_both_ends(count):
    found = schedule(count)
    assert len(found) == count + 1
    assert (found[0], found[-1]) == (0, 1)
    assert found == sorted(found)
    assert found == pytest.approx([1 - beta for beta in found[::-1]])


def test_the_schedule_by_hand():
    def logistic(value):
        return 1 / (1 + math.exp(-value))

    low, high = logistic(-4), logistic(4)
    assert schedule(4)[1] == pytest.approx((logistic(-2) - low) / (high - low))


def test_a_place_knows_the_slope_of_its_density():
    codes = torch.tensor([[[0.3, -0.7]]], dtype=DOUBLE)
    place = bridge(examples=1).visit(codes)
    beta = 0.4
    by_hand = (1 - beta) * -codes + beta * (1.0 - codes) / torch.tensor([0.25, 4.0], dtype=DOUBLE)
    assert torch.allclose(place.slope(beta), by_hand)
    log_end = -0.5 * (0.7**2 / 0.25 + 1.7**2 / 4) - math.log(2 * math.pi) + math.log(3.0)
    log_start = -0.5 * (0.3**2 + 0.7**2) - math.log(2 * math.pi)
    assert place.log_density(beta).item() == pytest.approx((1 - beta) * log_start + beta * log_end)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_a_transition_leaves_its_density_as_it_is(beta):
    """Chains that are drawn from f_b keep its mean and variance, however coarse the steps."""
    torch.manual_seed(0)
    one = bridge(examples=3)
    precision = (1 - beta) + beta / torch.tensor([0.25, 4.0], dtype=DOUBLE)
    mean = beta / torch.tensor([0.25, 4.0], dtype=DOUBLE) / precision
    place = one.visit(mean + torch.randn(20_000, 3, 2, dtype=DOUBLE) / precision.sqrt())
    size = torch.tensor([0.2, 0.6, 0.9], dtype=DOUBLE)
    accepted = torch.ones(())
    for _ in range(3):
        place, accepted = one.moved(place, beta, size)
    assert torch.allclose(place.codes.mean(0), mean.expand(3, 2), atol=0.06)
    assert torch.allclose(place.codes.var(0), (1 / precision).expand(3, 2), rtol=0.06)
    assert 0.05 < accepted.mean() < 1
    assert accepted[:, 0].mean() > accepted[:, 2].mean()


def test_steps_into_nowhere_are_not_taken():
    one = bridge()
    place = one.visit(torch.zeros(3, 4, 2, dtype=DOUBLE))
    moved, acceptance = one.moved(place, 1.0, torch.full((4,), 1e200, dtype=DOUBLE))
    assert acceptance.tolist() == torch.zeros(3, 4).tolist()
    assert torch.equal(moved.codes, place.codes)


def test_weights_average_to_the_integral_of_the_target():
    """E w = 3, for any number of temperatures and any step sizes; the weights spread less with more of them."""
    torch.manual_seed(0)
    spreads = []
    for count in (2, 5, 20):
        betas = schedule(count)
        steps = [torch.full((1,), 0.4, dtype=DOUBLE)] * (count - 1)
        weights, acceptance = annealed(bridge(examples=1, mean=0.5, spread=(0.5, 0.8)), betas, steps, 4000)
        found = weights.exp()
        assert found.mean().item() == pytest.approx(3.0, abs=4 * float(found.std() / 4000**0.5))
        assert acceptance.shape == (1,)
        spreads.append(float(weights.std()))
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[-1] < 0.5 * spreads[0]


def test_one_temperature_is_importance_sampling_from_the_start():
    one = bridge(examples=2)
    torch.manual_seed(1)
    weights, acceptance = annealed(one, schedule(1), [], 5)
    torch.manual_seed(1)
    assert torch.allclose(weights, one.gain(one.draw(5)))
    assert acceptance.tolist() == [1, 1]


def test_step_sizes_follow_the_acceptance():
    torch.manual_seed(0)
    one, betas = bridge(spread=(0.05, 0.05), examples=6, leaps=2), schedule(80)
    steps = sizes(one, betas, 8)
    assert len(steps) == 79
    assert steps[-1].mean() < 0.8 * steps[40].mean()
    _, acceptance = annealed(one, betas, steps, 8)
    assert acceptance.mean().item() == pytest.approx(AIM, abs=0.12)
