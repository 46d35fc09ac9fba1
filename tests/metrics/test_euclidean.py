import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, TransformedDistribution
from torch.distributions.transforms import AffineTransform

from duogen.errors import UserError
from duogen.metrics.euclidean import moments, require_euclidean
from duogen.networks.posteriors.point import Point
from duogen.networks.priors.hypersphere import HyperspherePrior
from duogen.networks.priors.standard import StandardPrior


@pytest.mark.parametrize("dimensions", [1, 2, 64])
def test_codes_of_length_1_are_refused_and_others_are_not(dimensions):
    torch.manual_seed(0)
    recognise = pytest.fail
    require_euclidean(StandardPrior(dimensions)(recognise), "gap")
    with pytest.raises(UserError, match="gap of codes of length 1") as error:
        require_euclidean(HyperspherePrior(dimensions)(recognise), "gap")
    assert "posterior=gaussian" in error.value.allowed


def test_moments_are_those_of_the_distribution():
    covariance = torch.tensor([[4.0, 1.0], [1.0, 9.0]])
    means, deviations = moments(MultivariateNormal(torch.tensor([[1.0, 2.0]]), covariance[None]), "gap")
    assert means.tolist() == [[1, 2]]
    assert torch.allclose(deviations, torch.tensor([[2.0, 3.0]]))


def test_a_distribution_without_moments_is_asked_for_draws():
    torch.manual_seed(0)
    base = Independent(Normal(torch.zeros(5, 3), 1.0), 1)
    means, deviations = moments(TransformedDistribution(base, [AffineTransform(2.0, 0.1)]), "gap")
    assert means == pytest.approx(torch.full((5, 3), 2.0), abs=0.03)
    assert deviations == pytest.approx(torch.full((5, 3), 0.1), abs=0.02)


def test_a_point_has_no_density_to_start_from():
    with pytest.raises(UserError, match="gap from a posterior that is all in one point"):
        moments(Point(torch.zeros(2, 3)), "gap")
