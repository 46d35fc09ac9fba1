"""Codes that are made uncorrelated, of variance 1, by the covariance of a batch."""

from abc import abstractmethod

from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal

from duogen.errors import UserError
from duogen.objectives.variational.evidence import Evidence
from duogen.objectives.variational.variational import Variational
from duogen.ramp import Ramp, at, require_weights
from duogen.records import Loss


class DipVae(Variational):
    """L = -ELBO + lambda_od sum_{d != e} C_de^2 + lambda_d sum_d (C_dd - 1)^2, C a covariance of codes.

    Args:
        off_diagonal: lambda_od, >= 0.
        diagonal: lambda_d, >= 0.
    Terms `distortion` and `rate` (N,) in nats, `off_diagonal` and `diagonal`, 0-d, squares of covariances. C is over
    the examples of one rank. Raises `UserError` for a negative weight, and for a posterior that knows no moments.
    """

    def __init__(self, off_diagonal: float | Ramp, diagonal: float | Ramp) -> None:
        super().__init__()
        require_weights(type(self).__name__, off_diagonal=off_diagonal, diagonal=diagonal)
        self.off_diagonal, self.diagonal = off_diagonal, diagonal

    @abstractmethod
    def covariance(self, posterior: Distribution) -> Tensor:
        """C, (Z, Z), of posteriors of batch shape (N,)."""

    def forward(self, evidence: Evidence) -> Loss:
        covariance = self.covariance(evidence.posterior)
        variances = covariance.diagonal()
        terms = {
            "distortion": evidence.distortion,
            "rate": evidence.rate,
            "off_diagonal": covariance.square().sum() - variances.square().sum(),
            "diagonal": (variances - 1).square().sum(),
        }
        weights = {"off_diagonal": at(evidence.step, self.off_diagonal), "diagonal": at(evidence.step, self.diagonal)}
        return Loss(terms, evidence.count, weights)


class DipVaeI(DipVae):
    """C = Cov_x(mu(x)), the covariance of the posterior means. Source: Kumar et al. 2018, eq. 6."""

    def covariance(self, posterior: Distribution) -> Tensor:
        return of_means(posterior)


class DipVaeII(DipVae):
    """C = E_x(Sigma(x)) + Cov_x(mu(x)), that of the aggregate posterior. Source: Kumar et al. 2018, eq. 7."""

    def covariance(self, posterior: Distribution) -> Tensor:
        return of_means(posterior) + within(posterior)


def of_means(posterior: Distribution) -> Tensor:
    """(1/N) sum_n (mu_n - mu)(mu_n - mu)^T, (Z, Z)."""
    try:
        means = posterior.mean
    except NotImplementedError as error:
        raise refusal(posterior, "mean") from error
    centred = means - means.mean(0)
    return centred.T @ centred / len(means)


def within(posterior: Distribution) -> Tensor:
    """(1/N) sum_n Sigma_n, (Z, Z)."""
    if isinstance(posterior, MultivariateNormal):
        return posterior.covariance_matrix.mean(0)
    if isinstance(posterior, Independent):
        return posterior.variance.mean(0).diag()
    raise refusal(posterior, "covariance")


def refusal(posterior: Distribution, moment: str) -> UserError:
    given = f"DIP-VAE with q(z | x) {type(posterior).__name__}, which does not say its {moment}"
    return UserError(given, "posteriors that are normal", "use posterior=gaussian or posterior=full_gaussian")
