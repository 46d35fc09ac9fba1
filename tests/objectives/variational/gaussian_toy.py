"""A linear-Gaussian model of which everything is known: z ~ N(0, I), x | z ~ N(W z + b, s^2 I), q(z | x) normal."""

import math

import numpy as np
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from duogen.objectives.variational.evidence import Evidence


def normal(mean, deviation):
    return Independent(Normal(mean, deviation, validate_args=False), 1, validate_args=False)


class Toy:
    """N = 5 examples of 3 values, codes of 2 dimensions, all in float64; every parameter is a leaf with a gradient."""

    def __init__(self, count=5, latent=2, seed=0):
        random = np.random.default_rng(seed)

        def leaf(*shape):
            return torch.tensor(random.normal(size=shape), requires_grad=True)

        self.examples = torch.tensor(random.normal(size=(count, 3)))
        self.mean, self.log_deviation = leaf(count, latent), leaf(count, latent)
        self.weight, self.bias = leaf(3, latent), leaf(3)
        self.spread = 0.8
        self.prior = normal(torch.zeros(latent, dtype=torch.float64), torch.ones(latent, dtype=torch.float64))

    @property
    def encoder(self):
        return [self.mean, self.log_deviation]

    @property
    def decoder(self):
        return [self.weight, self.bias]

    @property
    def posterior(self):
        return normal(self.mean, self.log_deviation.exp())

    def decoded(self, codes):
        return normal(codes @ self.weight.T + self.bias, torch.full((), self.spread, dtype=torch.float64))

    def explain(self, codes):
        return self.decoded(codes).log_prob(self.examples)

    def evidence(self, draws=1, step=0, size=50, posterior=None, prior=None):
        posterior = posterior or self.posterior
        code = posterior.rsample(torch.Size([draws]))
        decoded = self.decoded(code)
        return Evidence(
            posterior=posterior,
            prior=prior or self.prior,
            code=code,
            log_likelihood=decoded.log_prob(self.examples),
            examples=size,
            step=step,
            explain=self.explain,
            decoded=decoded,
            parameters=lambda: self.decoder,
        )

    def log_marginal(self):
        """log p(x), (N,)."""
        covariance = self.weight @ self.weight.T + self.spread**2 * torch.eye(3, dtype=torch.float64)
        return MultivariateNormal(self.bias, covariance).log_prob(self.examples)

    def exact_posterior(self):
        """p(z | x), batch shape (N,)."""
        precision = torch.eye(2, dtype=torch.float64) + self.weight.T @ self.weight / self.spread**2
        mean = (self.examples - self.bias) @ self.weight @ precision.inverse() / self.spread**2
        return MultivariateNormal(mean, precision_matrix=precision)


def log_normal(value, mean, deviation):
    """log N(value; mean, deviation^2) of plain numbers."""
    return -0.5 * ((value - mean) / deviation) ** 2 - math.log(deviation) - 0.5 * math.log(2 * math.pi)


def gradients(loss, parameters):
    """Of the loss as a turn takes it, its weighted sum over the examples."""
    return torch.autograd.grad(loss.weighted(loss.sums()), parameters, retain_graph=True, allow_unused=True)
