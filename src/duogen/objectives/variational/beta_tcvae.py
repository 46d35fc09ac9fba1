"""The rate in three parts, from estimates of the aggregate posterior q(z) = (1/N) sum_n q(z | x_n) in a batch."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from duogen.errors import UserError
from duogen.objectives.variational.evidence import Evidence
from duogen.objectives.variational.variational import Variational
from duogen.ramp import Ramp, at, require_weights
from duogen.records import Loss


class BetaTcvae(Variational):
    """The rate as index-code mutual information, total correlation and dimension-wise KL, each with a weight.

    L = -E_q log p(x | z) + alpha E log q(z | x) / q(z) + beta E log q(z) / prod_d q(z_d)
        + gamma sum_d E log q(z_d) / p(z_d),
    with minibatch-weighted sampling: log q(z_i) is log 1/(N M) sum_j q(z_i | x_j), x_j the batch's M examples, one
    rank's, of N in the training set, and so is that of each z_d. It is too small, by log M where posteriors are apart,
    by log N where all are the same; so the mutual information reads too large by up to log N, the total correlation by
    up to (Z - 1) log N, and the dimension-wise KL too small by up to Z log N. The three sum to the rate in the mean.

    Args:
        alpha, beta, gamma: >= 0; the paper's are 1, 6 and 1.
    Terms `distortion`, `index_code_mi`, `total_correlation` and `dimension_wise_kl`, (N,) each; observed is `rate`.
    Raises `UserError` for a negative weight, and for a posterior or prior that does not factorise.
    Source: Chen et al. 2018, eq. 2 to 4, appendix C.
    """

    def __init__(self, alpha: float | Ramp, beta: float | Ramp, gamma: float | Ramp) -> None:
        super().__init__()
        require_weights(type(self).__name__, alpha=alpha, beta=beta, gamma=gamma)
        self.alpha, self.beta, self.gamma = alpha, beta, gamma

    def log_shares(self, likes: Tensor, count: int, examples: int) -> Tensor:
        """By which log weight (M, M) example j enters the estimate of q(z_i); dtype and device as `likes`."""
        return likes.new_full((count, count), -math.log(count * examples))

    def forward(self, evidence: Evidence) -> Loss:
        each = factors(evidence).log_prob(evidence.code.unsqueeze(2))
        # Without data, when a model is only looked at, the batch stands for the training set.
        shares = self.log_shares(each, evidence.count, max(evidence.examples, evidence.count))
        aggregate = (each.sum(3) + shares).logsumexp(2)
        marginals = (each + shares.unsqueeze(2)).logsumexp(2).sum(2)
        terms = {
            "distortion": evidence.distortion,
            "index_code_mi": (evidence.log_posterior - aggregate).mean(0),
            "total_correlation": (aggregate - marginals).mean(0),
            "dimension_wise_kl": (marginals - evidence.log_prior).mean(0),
        }
        parts = {"index_code_mi": self.alpha, "total_correlation": self.beta, "dimension_wise_kl": self.gamma}
        weights = {name: at(evidence.step, weight) for name, weight in parts.items()}
        return Loss(terms, evidence.count, weights, {"rate": evidence.rate.detach()})


class StratifiedBetaTcvae(BetaTcvae):
    """As `BetaTcvae`, with minibatch-stratified sampling, by which E q(z) is right.

    q(z_i) = (1/N) q(z_i | x_i) + (1/M) sum_j q(z_i | x_j) + (N - M)/(N M) q(z_i | x_l), of the M other examples of the
    batch l is the next one, and j the rest. (The authors' code puts 1/N in the first column rather than on the
    diagonal.) A full batch is not the sum over all examples, which this equals in the mean over batches alone.
    Raises `UserError`, too, for a batch of one example.
    Source: Chen et al. 2018, appendix C, minibatch-stratified sampling.
    """

    def log_shares(self, likes: Tensor, count: int, examples: int) -> Tensor:
        others = count - 1
        if not others:
            raise UserError("StratifiedBetaTcvae: one example", "two or more on each rank", "raise data.batch_size")
        own = torch.eye(count, dtype=likes.dtype, device=likes.device)
        shares = (1 - own - own.roll(1, 1)) / others + own / examples
        return (shares + own.roll(1, 1) * (examples - others) / (examples * others)).log()


def factors(evidence: Evidence) -> Distribution:
    """q(z_d | x), batch shape (N, Z); raises `UserError` where q(z | x) or p(z) is no product of such."""
    posterior, prior = evidence.posterior, evidence.prior
    if isinstance(posterior, Independent) and isinstance(prior, Independent):
        return posterior.base_dist
    given = f"BetaTcvae with q(z | x) {type(posterior).__name__} and p(z) {type(prior).__name__}"
    allowed = "distributions that factorise over the dimensions of the code"
    raise UserError(given, allowed, "use posterior=gaussian and prior=standard")
