import math

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, special, stats

from duogen.networks.posteriors.polar import Polar, gauss_legendre

DOUBLE = torch.float64


def polar(dimension, *concentrations):
    return Polar(dimension, torch.tensor(concentrations, dtype=DOUBLE).requires_grad_(), gauss_legendre())


def distribution(dimension, kappa):
    """The distribution function of the angle, by scipy."""

    def log_density(angle):
        return special.xlogy(dimension - 2, np.sin(angle)) + kappa * np.cos(angle)

    peak = log_density(np.linspace(0, np.pi, 1001)).max()

    def density(angle):
        return np.exp(log_density(angle) - peak)

    whole = integrate.quad(density, 0, np.pi, epsabs=1e-14)[0]
    return lambda angle: integrate.quad(density, 0, angle, epsabs=1e-14)[0] / whole


@pytest.mark.parametrize("dimension", [2, 3, 4, 11, 40, 101])
@pytest.mark.parametrize("kappa", [0.01, 1.0, 7.0, 100.0, 3000.0])
def test_normaliser_and_mean_equal_bessel_functions(dimension, kappa):
    order = dimension / 2 - 1
    below, above = special.ive(order, kappa), special.ive(order + 1, kappa)
    found = polar(dimension, kappa)
    # Int sin^{2v} e^{kappa cos} = sqrt(pi) Gamma(v + 1/2) (2 / kappa)^v I_v(kappa)
    expected = 0.5 * math.log(math.pi) + special.gammaln(order + 0.5) + order * math.log(2 / kappa) + math.log(below)
    assert found.log_normaliser.item() == pytest.approx(expected, abs=1e-9)
    assert found.mean_cosine.item() == pytest.approx(above / below, abs=1e-9)


def test_derivatives_are_the_mean_and_the_variance():
    found = polar(5, 2.0, 30.0)
    (slope,) = torch.autograd.grad(found.log_normaliser.sum(), found.concentration, retain_graph=True)
    torch.testing.assert_close(slope, found.mean_cosine.detach() - 1)
    (variance,) = torch.autograd.grad(found.mean_cosine.sum(), found.concentration)
    mean, kappa = found.mean_cosine.detach(), found.concentration.detach()
    torch.testing.assert_close(variance, 1 - mean.square() - 4 / kappa * mean)


@pytest.mark.parametrize(("dimension", "kappa"), [(2, 0.5), (2, 40.0), (3, 3.0), (8, 1.0), (8, 200.0)])
def test_draws_follow_the_distribution(dimension, kappa):
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = polar(dimension, kappa).rsample(torch.Size([4000])).squeeze(-1).numpy()
    function = distribution(dimension, kappa)
    line = np.linspace(0, np.pi, 2001)
    table = [function(angle) for angle in line]
    assert stats.kstest(drawn, lambda angle: np.interp(angle, line, table)).pvalue > 0.01


@pytest.mark.parametrize(("dimension", "kappa"), [(2, 1.5), (3, 4.0), (7, 0.5), (7, 60.0), (20, 300.0)])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.999])
def test_slope_is_that_of_the_quantile(dimension, kappa, share):
    """At an equal share of the distribution, the angle moves with kappa as the draws are said to."""

    def quantile(at):
        function = distribution(dimension, at)
        return optimize.brentq(lambda angle: function(angle) - share, 1e-9, np.pi, xtol=1e-13)

    step = 1e-3 * kappa
    expected = (quantile(kappa + step) - quantile(kappa - step)) / (2 * step)
    with torch.no_grad():
        slope = polar(dimension, kappa)._slope(torch.tensor([quantile(kappa)], dtype=DOUBLE))
    assert slope.item() == pytest.approx(expected, rel=1e-4)


def test_draws_carry_their_slope():
    torch.manual_seed(0)
    found = polar(6, 2.0, 50.0)
    angles = found.rsample(torch.Size([3]))
    assert angles.shape == (3, 2)
    (slope,) = torch.autograd.grad(angles.sum(), found.concentration)
    with torch.no_grad():
        torch.testing.assert_close(slope, found._slope(angles).sum(0))


@pytest.mark.parametrize("dimension", [2, 3, 200])
def test_every_concentration_gives_finite_angles_and_slopes(dimension):
    found = polar(dimension, 1e-3, 1.0, 3000.0, 1e6)
    angles = found.rsample(torch.Size([500]))
    angles.sum().backward()
    assert angles.isfinite().all()
    assert ((angles > 0) & (angles < math.pi)).all()
    assert found.concentration.grad.isfinite().all()
