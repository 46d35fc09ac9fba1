"""The importance-weighted bound with a gradient of the encoder that does not fade as its codes grow."""

import torch
from torch import Tensor

from duogen.errors import require_at_least
from duogen.objectives.variational.evidence import Evidence
from duogen.objectives.variational.iwae import bounding, log_mean
from duogen.objectives.variational.variational import Split
from duogen.records import Loss


class Dreg(Split):
    """IWAE(K), its encoder's gradient reparameterised twice.

    d L / d phi = -sum_k v_k^2 (d log w_k / d z_k) (d z_k / d phi),  v_k = w_k / sum_j w_j,  w as in IWAE,
    where phi moves log w through the code alone, not through the density q. The encoder minimises a term of that
    gradient, -sum_k v_k^2 g_k . z_k with v and g = d log w / d z held; decoder and prior minimise the IWAE bound. Each
    example's weights are to depend on no other example's code, as they would through batch norm in the decoder; of a
    prior that is made of posteriors the encoder sees nothing.

    Args:
        draws: K, codes per example, >= 1.
    Terms `surrogate` (N,), whose value means nothing, of the encoder, and `nll_bound` (N,) of the decoder, which the
    encoder observes with `distortion` and `rate`. Raises `UserError` for fewer draws.
    Source: Tucker et al. 2019, the IWAE-DReG estimator.
    """

    def __init__(self, draws: int) -> None:
        super().__init__()
        require_at_least(1, type(self).__name__, draws=draws)
        self.draws = draws

    def encoder(self, evidence: Evidence) -> Loss:
        shares = evidence.log_weights.detach().softmax(0)
        surrogate = -(shares.square() * (slopes(evidence) * evidence.code).sum(2)).sum(0)
        bound = bounding(log_mean(evidence.log_weights), evidence)
        seen = {"nll_bound": bound.terms["nll_bound"].detach()}
        return Loss({"surrogate": surrogate}, evidence.count, observed={**seen, **bound.observed})

    def decoder(self, evidence: Evidence) -> Loss:
        return bounding(log_mean(evidence.log_weights), evidence)


def slopes(evidence: Evidence) -> Tensor:
    """d log w / d z, (K, N, Z), q's and p's parameters held; the decoder's part from the forward that has been made."""
    (decoder,) = torch.autograd.grad(evidence.log_likelihood.sum(), evidence.code, retain_graph=True)
    # A copy of the code: a flow that remembers how it made the code itself would answer from its parameters.
    code = evidence.code.detach().requires_grad_()
    density = evidence.prior.log_prob(code) - evidence.posterior.log_prob(code)
    return decoder + torch.autograd.grad(density.sum(), code)[0]
