"""Autoencoders without noise: the decoder is made smooth by a regulariser instead."""

from abc import abstractmethod

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.objectives.variational.evidence import Evidence
from duogen.objectives.variational.variational import Variational
from duogen.ramp import Ramp, at, require_weights
from duogen.records import Loss


class Rae(Variational):
    """L = -log p(x | z) + beta ||z||^2 / 2 + lambda L_REG, z the code of a deterministic encoder, posterior=point.

    Args:
        beta: >= 0, which keeps the codes near 0.
        weight: lambda, >= 0.
    Terms `distortion` (N,) in nats, `embedding` (N,), and the regulariser under its name. Codes are then drawn from a
    density that is fitted after training. Raises `UserError` for a negative weight.
    Source: Ghosh et al. 2020, section 3, with sums over pixels and latents.
    """

    name: str

    def __init__(self, beta: float | Ramp, weight: float | Ramp) -> None:
        super().__init__()
        require_weights(type(self).__name__, beta=beta, weight=weight)
        self.beta, self.weight = beta, weight

    @abstractmethod
    def regulariser(self, evidence: Evidence) -> Tensor:
        """L_REG, (N,), or 0-d where it is of the decoder alone."""

    def forward(self, evidence: Evidence) -> Loss:
        embedding = evidence.code[0].square().sum(1) / 2
        terms = {"distortion": evidence.distortion, "embedding": embedding, self.name: self.regulariser(evidence)}
        weights = {"embedding": at(evidence.step, self.beta), self.name: at(evidence.step, self.weight)}
        return Loss(terms, evidence.count, weights)


class RaeL2(Rae):
    """L_REG = ||theta||^2, the sum of squares of the decoder's parameters: term `decay`, 0-d.

    Source: Ghosh et al. 2020, section 3, Tikhonov regularisation.
    """

    name = "decay"

    def regulariser(self, evidence: Evidence) -> Tensor:
        if not (parameters := evidence.parameters()):
            raise UserError("RaeL2 with a decoder without parameters", "decoders that learn", "use decoder=mlp")
        return torch.stack([parameter.square().sum() for parameter in parameters]).sum()


class RaeGp(Rae):
    """L_REG = ||d D(z) / d z||^2, D(z) the mean of p(x | z), the norm that of the whole Jacobian: term `slope` (N,).

    By one direction u of random signs per example: E_u ||d (u . D(z)) / d z||^2 is that norm squared. (The authors'
    code takes the gradient of ||D(z)||^2 instead.) It reaches encoder and decoder.
    Source: Ghosh et al. 2020, section 3, gradient penalty.
    """

    name = "slope"
    twice = True

    def regulariser(self, evidence: Evidence) -> Tensor:
        pictures = evidence.decoded.mean
        chosen = (pictures * torch.randn_like(pictures).sign()).sum()
        (slope,) = torch.autograd.grad(chosen, evidence.code, create_graph=True)
        return slope[0].square().sum(1)
