"""A linear-Gaussian model, of which everything is known: x = W z + b + sigma e, z and e standard normal."""

import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from duogen.records import Examples

DOUBLE = torch.float64


class Linear:
    """What the model says of examples (N, D); its posterior is the exact one, or one moved and widened."""

    level = None

    def __init__(self, latent_dim=2, size=5, sigma=0.7, exact=True, widened=1.5):
        generator = torch.Generator().manual_seed(0)
        self.latent_dim, self.sigma = latent_dim, sigma
        self.weight = torch.randn(size, latent_dim, generator=generator, dtype=DOUBLE)
        self.bias = torch.randn(size, generator=generator, dtype=DOUBLE)
        precision = torch.eye(latent_dim, dtype=DOUBLE) + self.weight.T @ self.weight / sigma**2
        self.covariance = precision.inverse()
        self.exact, self.widened = exact, widened

    def draw(self, count, seed=1):
        generator = torch.Generator().manual_seed(seed)
        codes = torch.randn(count, self.latent_dim, generator=generator, dtype=DOUBLE)
        noise = torch.randn(count, len(self.bias), generator=generator, dtype=DOUBLE)
        return Examples(codes @ self.weight.T + self.bias + self.sigma * noise)

    def recognised(self, examples):
        mean = (examples.values - self.bias) @ self.weight @ self.covariance / self.sigma**2
        if self.exact:
            return MultivariateNormal(mean, self.covariance)
        return Independent(Normal(mean + 0.1, self.widened * self.covariance.diagonal().sqrt().expand_as(mean)), 1)

    def believed(self):
        zeros = torch.zeros(self.latent_dim, dtype=DOUBLE)
        return Independent(Normal(zeros, zeros + 1), 1)

    def explained(self, codes, examples):
        means = codes @ self.weight.T + self.bias
        return Normal(means, self.sigma).log_prob(examples.values).sum(-1)

    def marginal(self, examples):
        """log p(x), (N,)."""
        covariance = self.weight @ self.weight.T + self.sigma**2 * torch.eye(len(self.bias), dtype=DOUBLE)
        return MultivariateNormal(self.bias, covariance).log_prob(examples.values)

    def evidence(self, examples, draws):
        return Said(self, examples, draws)


class Said:
    def __init__(self, model, examples, draws):
        posterior = model.recognised(examples)
        codes = posterior.sample((draws,))
        explained = model.explained(codes, examples)
        self.distortion = -explained.mean(0)
        prior = model.believed()
        standard = MultivariateNormal(
            torch.zeros(model.latent_dim, dtype=DOUBLE), torch.eye(model.latent_dim, dtype=DOUBLE)
        )
        self.rate = kl_divergence(posterior, standard if model.exact else prior)
        self.rates = None
        self.log_weights = explained + prior.log_prob(codes) - posterior.log_prob(codes)
