import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily

from duogen.errors import UserError
from duogen.objectives.variational.mmd import Gaussian, InverseMultiquadratic, believed, discrepancy
from objectives.variational.gaussian_toy import normal

SCALES = [0.1, 0.5, 2.0]


def gaussian(x, y):
    return math.exp(-sum((x - y) ** 2) / (2.0 * len(x) ** 2))


def multiquadratic(x, y):
    bases = [2 * len(x) * scale for scale in SCALES]
    return sum(base / (base + sum((x - y) ** 2)) for base in bases)


def by_loops(kernel, codes, others, diagonal):
    def same(sample):
        count = len(sample)
        pairs = [(i, j) for i in range(count) for j in range(count) if diagonal or i != j]
        return sum(kernel(sample[i], sample[j]) for i, j in pairs) / len(pairs)

    cross = sum(kernel(x, y) for x in codes for y in others) / (len(codes) * len(others))
    return same(codes) + same(others) - 2 * cross


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize(
    ("kernel", "plain"), [(Gaussian(2.0), gaussian), (InverseMultiquadratic(SCALES), multiquadratic)]
)
def test_by_double_loops(kernel, plain, diagonal):
    random = np.random.default_rng(0)
    codes, others = random.normal(size=(4, 3)), random.normal(size=(6, 3)) + 1
    got = discrepancy(kernel, torch.tensor(codes), torch.tensor(others), diagonal)
    assert got.item() == pytest.approx(by_loops(plain, codes, others, diagonal))


def test_without_the_diagonal_it_is_0_in_the_mean_for_one_law_and_with_it_above():
    torch.manual_seed(0)
    kernel = InverseMultiquadratic([1.0])
    samples = [(torch.randn(10, 2), torch.randn(10, 2)) for _ in range(400)]
    fair = np.array([discrepancy(kernel, *pair, diagonal=False).item() for pair in samples])
    biased = np.array([discrepancy(kernel, *pair, diagonal=True).item() for pair in samples])
    assert abs(fair.mean()) < 3 * fair.std() / 20
    assert (fair < 0).any()
    assert (biased > 0).all()


@pytest.mark.parametrize("diagonal", [True, False])
def test_equal_codes_have_finite_gradients(diagonal):
    codes = torch.zeros(3, 2, requires_grad=True)
    discrepancy(Gaussian(1.0), codes, torch.ones(4, 2), diagonal).backward()
    assert codes.grad.isfinite().all()
    assert (codes.grad < 0).all()


def test_a_prior_is_drawn_with_its_gradient_where_it_has_one():
    mean = torch.zeros(3, 2, requires_grad=True)
    one = normal(mean[0], torch.ones(2))
    assert believed(one, 7).shape == (7, 2)
    assert believed(one, 7).requires_grad
    mixture = MixtureSameFamily(Categorical(torch.ones(3)), normal(mean, torch.ones(3, 2)))
    assert believed(mixture, 7).shape == (7, 2)
    assert not believed(mixture, 7).requires_grad


def test_refuses_by_name():
    with pytest.raises(UserError, match="Gaussian: scale"):
        Gaussian(0.0)
    with pytest.raises(UserError, match="InverseMultiquadratic: scale"):
        InverseMultiquadratic([])
    with pytest.raises(UserError, match="two examples or more"):
        discrepancy(Gaussian(1.0), torch.zeros(1, 2), torch.zeros(1, 2), diagonal=False)
