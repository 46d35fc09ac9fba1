"""What must hold of codes before they are moved about in R^Z."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from duogen.errors import UserError
from duogen.metrics.latent import means

DRAWS = 256
SPHERE = 1e-3


def require_euclidean(prior: Distribution, measure: str) -> None:
    """Raises `UserError` where 256 codes of p(z) are all of length 1: they live on a sphere, not in R^Z."""
    lengths = prior.sample(torch.Size([DRAWS])).norm(dim=-1)
    if ((lengths - 1).abs() < SPHERE).all():
        given = f"{measure} of codes of length 1, which have no density in the space around their sphere"
        raise UserError(given, "codes anywhere in R^Z, such as posterior=gaussian", f"leave {measure} out of metrics")


def moments(posterior: Distribution, measure: str) -> tuple[Tensor, Tensor]:
    """Means and standard deviations (N, Z) of q(z | x); where the distribution has none, those of 256 draws.

    Raises `UserError` for a posterior without a spread.
    """
    try:
        deviations = posterior.stddev
    except NotImplementedError:
        drawn = posterior.sample((DRAWS,))
        return drawn.mean(0), drawn.std(0)
    if not (deviations > 0).all():
        given = f"{measure} from a posterior that is all in one point, which has no density"
        raise UserError(given, "posteriors with a density, such as posterior=gaussian", "leave it out of metrics")
    return means(posterior), deviations
