"""Gaussian posteriors of single examples, each fitted to its own bound."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal
from torch.optim import Adam
from torch.optim.lr_scheduler import LinearLR

LogDensity = Callable[[Tensor], Tensor]


class Local:
    """q_n = N(m_n + s_n d_n, diag(s_n e^{g_n})^2) of N examples, with parameters d, g (N, Z) that begin at 0.

    Where `full`, q_n = N(m_n + s_n d_n, L_n L_n^T), L_n = diag(s_n) (diag(e^{g_n}) + B_n), B_n strictly lower
    triangular, (N, Z, Z), a parameter that begins at 0. All parameters are free of units.

    `means`, `deviations`: m and s > 0, (N, Z).
    """

    def __init__(self, means: Tensor, deviations: Tensor, full: bool) -> None:
        self.means, self.deviations = means, deviations
        self.shift, self.growth = (torch.zeros_like(means).requires_grad_() for _ in range(2))
        self.mixing = torch.zeros(*means.shape, means.shape[-1]).to(means).requires_grad_() if full else None

    @property
    def parameters(self) -> list[Tensor]:
        return [self.shift, self.growth, *([] if self.mixing is None else [self.mixing])]

    def posterior(self) -> Distribution:
        """q, batch shape (N,), event shape (Z,)."""
        location, spread = self.means + self.deviations * self.shift, self.growth.exp()
        if self.mixing is None:
            return Independent(Normal(location, self.deviations * spread, validate_args=False), 1, validate_args=False)
        factor = self.deviations[..., None] * (torch.diag_embed(spread) + self.mixing.tril(-1))
        return MultivariateNormal(location, scale_tril=factor, validate_args=False)

    def fit(self, log_joint: LogDensity, steps: int, draws: int, lr: float) -> Distribution:
        """q after `steps` steps of Adam towards the largest E_q [log p(x, z) - log q(z)], without a gradient.

        `log_joint` maps codes (K, N, Z) to log p(x, z) (K, N); each step draws K = `draws` codes. The rate falls from
        `lr` to 0. Inside log q the parameters stand still: what that leaves out is 0 on average, and the gradient has
        no noise where q is the exact posterior. Source: Roeder et al. 2017, section 3.
        """
        optimizer = Adam(self.parameters, lr)
        falling = LinearLR(optimizer, 1.0, 0.0, steps)
        for _ in range(steps):
            with torch.enable_grad():
                codes = self.posterior().rsample(torch.Size([draws]))
                with torch.no_grad():
                    still = self.posterior()
                loss = -(log_joint(codes) - still.log_prob(codes)).mean(0).sum()
            slopes = torch.autograd.grad(loss, self.parameters)
            for parameter, slope in zip(self.parameters, slopes, strict=True):
                parameter.grad = slope
            optimizer.step()
            falling.step()
        with torch.no_grad():
            return self.posterior()
