import math

import numpy as np
import pytest
import torch
from scipy import special
from torch.distributions import kl_divergence
from torch.nn import functional

from duogen.errors import UserError
from duogen.networks.posteriors.polar import gauss_legendre
from duogen.networks.posteriors.von_mises_fisher import VonMisesFisher
from duogen.networks.priors.hypersphere import HypersphericalUniform
from networks.posteriors.built import built, examples

DOUBLE = torch.float64
CASES = [(dimension, kappa) for dimension in (2, 3, 5, 11, 40) for kappa in (1.0, 8.0, 300.0)]


def made(dimension, *kappas, dtype=DOUBLE):
    torch.manual_seed(0)
    direction = functional.normalize(torch.randn(len(kappas), dimension, dtype=dtype), dim=1)
    return VonMisesFisher(direction, torch.tensor(kappas, dtype=dtype), gauss_legendre())


def bessel(dimension, kappa):
    """log C and A of Davidson et al. 2018, by scipy."""
    order = dimension / 2 - 1
    log_bessel = math.log(special.ive(order, kappa)) + kappa
    log_constant = order * math.log(kappa) - dimension / 2 * math.log(2 * math.pi) - log_bessel
    return log_constant, special.ive(order + 1, kappa) / special.ive(order, kappa)


@pytest.mark.parametrize(("dimension", "kappa"), CASES)
def test_rate_against_the_uniform_equals_scipy(dimension, kappa):
    log_constant, mean = bessel(dimension, kappa)
    area = math.log(2 * math.pi ** (dimension / 2)) - special.gammaln(dimension / 2)
    rate = kl_divergence(made(dimension, kappa), HypersphericalUniform(torch.zeros(dimension)))
    assert rate.item() == pytest.approx(kappa * mean + log_constant + area, abs=1e-6)


@pytest.mark.parametrize(("dimension", "kappa"), CASES)
def test_density_equals_scipy(dimension, kappa):
    found = made(dimension, kappa)
    value = functional.normalize(torch.randn(4, 1, dimension, dtype=DOUBLE), dim=-1)
    expected = bessel(dimension, kappa)[0] + kappa * (value @ found.direction[0]).squeeze(-1)
    torch.testing.assert_close(found.log_prob(value).squeeze(-1), expected.squeeze(-1), rtol=1e-9, atol=1e-9)


def test_density_integrates_to_one_on_the_sphere():
    nodes, weights = np.polynomial.legendre.leggauss(60)
    longitudes = np.arange(120) * 2 * np.pi / 120
    ring = np.sqrt(1 - nodes**2)[:, None]
    height = np.broadcast_to(nodes[:, None], (60, 120))
    points = torch.as_tensor(np.stack([ring * np.cos(longitudes), ring * np.sin(longitudes), height], -1))
    density = made(3, 6.0).log_prob(points).exp().numpy()
    assert (density * weights[:, None]).sum() * 2 * np.pi / 120 == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("dimension", "kappa"), CASES)
def test_draws_have_length_one_and_the_mean_resultant_length(dimension, kappa):
    count = 4000
    found = made(dimension, kappa)
    drawn = found.sample((count,))[:, 0]
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(count, dtype=DOUBLE))
    along = drawn @ found.direction[0]
    expected = bessel(dimension, kappa)[1]
    assert abs(along.mean().item() - expected) < 3 * along.std().item() / count**0.5
    torch.testing.assert_close(found.mean[0], expected * found.direction[0], rtol=1e-9, atol=1e-9)
    across = (drawn - along[:, None] * found.direction[0]).mean(0)
    assert across.norm().item() < 3 * (1 / count) ** 0.5


@pytest.mark.parametrize(("dimension", "kappa"), [(2, 2.0), (4, 3.0), (11, 40.0)])
def test_gradients_of_a_mean_over_draws_are_those_of_the_mean(dimension, kappa):
    """E z = A(kappa) mu: its derivatives by kappa and mu are known."""
    found = made(dimension, kappa)
    found.direction.requires_grad_()
    concentration = torch.full((20000,), kappa, dtype=DOUBLE).requires_grad_()
    direction = found.direction.expand(20000, -1)
    torch.manual_seed(1)
    probe = torch.linspace(-1, 1, dimension, dtype=DOUBLE)
    value = VonMisesFisher(direction, concentration, gauss_legendre()).rsample() @ probe
    by_kappa, by_direction = torch.autograd.grad(value.sum(), (concentration, direction))
    mean = bessel(dimension, kappa)[1]
    variance = 1 - mean**2 - (dimension - 1) / kappa * mean
    mu = found.direction[0].detach()
    error = by_kappa.std() / 20000**0.5
    assert abs(by_kappa.mean() - variance * (mu @ probe)) < 3 * error
    # Along the sphere: the gradient at mu, less its part along mu.
    tangent = by_direction - (by_direction @ mu)[:, None] * mu
    expected = mean * (probe - (probe @ mu) * mu)
    assert ((tangent.mean(0) - expected).abs() <= 3.5 * tangent.std(0) / 20000**0.5 + 1e-12).all()


def test_the_rate_keeps_its_gradient_after_a_draw():
    concentration = torch.tensor([2.0, 30.0], dtype=DOUBLE).requires_grad_()
    found = VonMisesFisher(made(5, 1.0, 1.0).direction, concentration, gauss_legendre())
    found.rsample((3,))
    (slope,) = torch.autograd.grad(kl_divergence(found, HypersphericalUniform(torch.zeros(5))).sum(), concentration)
    for kappa, found_slope in zip((2.0, 30.0), slope.tolist(), strict=True):
        mean = bessel(5, kappa)[1]
        assert found_slope == pytest.approx(kappa * (1 - mean**2 - 4 / kappa * mean), rel=1e-6)


def test_single_precision_keeps_the_rate():
    double, single = (made(11, 1.0, 50.0, 3000.0, dtype=dtype) for dtype in (DOUBLE, torch.float32))
    uniform = HypersphericalUniform(torch.zeros(11))
    torch.testing.assert_close(
        kl_divergence(single, uniform).double(), kl_divergence(double, uniform), rtol=1e-6, atol=1e-6
    )
    code = single.rsample((200,))
    assert code.dtype == torch.float32
    drawn = (single.log_prob(code) - uniform.log_prob(code)).mean(0)
    assert drawn.isfinite().all()
    assert single.log_prob(code).dtype == torch.float32


def test_concentration_is_bounded_and_starts_above_one():
    posterior = built("von_mises_fisher", latent_dim=3)[0]
    found = []
    for bias in (-1e5, 0.0, 1e5):
        with torch.no_grad():
            posterior.head.weight[3] = 0
            posterior.head.bias[3] = bias
        found.append(posterior(examples()).concentration[0].item())
    assert found == pytest.approx([1, 1 + math.log(2), 3001], rel=1e-6)


def test_one_dimension_is_refused():
    with pytest.raises(UserError, match="latent_dim=1"):
        built("von_mises_fisher", latent_dim=1)
