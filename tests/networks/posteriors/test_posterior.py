import pytest
import torch
from torch import nn
from torch.distributions import kl_divergence
from torch.func import functional_call

from networks.posteriors.built import SPHERICAL, built, examples, ground, pairs, said, stems

DENSITIES = stems("posterior")
SMOOTH = [stem for stem in DENSITIES if stem not in SPHERICAL]
PAIRS = pairs()
ONCE = list({pair[0]: pair for pair in PAIRS}.values()) + list({pair[1]: pair for pair in PAIRS}.values())
DRAWS = 20_000


class Drawing(nn.Module):
    """A smooth function of a few draws; a flow's networks run when they are drawn."""

    def __init__(self, posterior):
        super().__init__()
        self.posterior = posterior

    def forward(self):
        return self.posterior(examples()).rsample((5,)).sin().sum()


def exact(posterior, prior):
    try:
        kl_divergence(posterior, prior)
    except NotImplementedError:
        return False
    return True


def test_all_that_can_meet_were_found():
    assert {"full_gaussian", "gaussian", "iaf", "maf", "planar", "realnvp", "von_mises_fisher"} <= set(DENSITIES)
    assert {"hypersphere", "maf", "mixture", "realnvp", "standard", "vamp"} <= set(stems("prior"))
    assert len(PAIRS) >= 32


@pytest.mark.parametrize("stem", DENSITIES)
def test_density_integrates_to_one(stem):
    points, size = ground(stem)
    with torch.no_grad():
        density = built(stem)[0](examples()).log_prob(points).double().exp()
    assert density.shape == (len(points), 2)
    torch.testing.assert_close(density.sum(0) * size, torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-3)


@pytest.mark.parametrize("stem", SMOOTH)
def test_one_dimension_will_do(stem):
    posterior = built(stem, latent_dim=1)[0](examples())
    line = torch.linspace(-9, 9, 901)
    with torch.no_grad():
        mass = posterior.log_prob(line[:, None, None]).double().exp().sum(0) * 0.02
    torch.testing.assert_close(mass, torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-3)


@pytest.mark.parametrize("stem", DENSITIES)
def test_shapes_and_the_density_of_draws(stem):
    posterior = built(stem, latent_dim=4)[0](examples())
    assert (posterior.batch_shape, posterior.event_shape) == ((2,), (4,))
    code = posterior.rsample((3,))
    assert code.shape == (3, 2, 4)
    assert posterior.log_prob(code).shape == (3, 2)
    torch.testing.assert_close(posterior.log_prob(code), posterior.log_prob(code.clone()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stem", DENSITIES)
def test_draws_are_the_default_generators(stem):
    posterior = built(stem, latent_dim=4)[0](examples())
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(posterior.sample((3,)))
    torch.testing.assert_close(drawn[0], drawn[1], rtol=0, atol=0)
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("stem", SMOOTH)
def test_gradient_of_draws_equals_finite_difference(stem):
    drawing = Drawing(built(stem, latent_dim=3)[0])
    generator = torch.Generator().manual_seed(8)
    parameters = dict(drawing.named_parameters())
    direction = {name: torch.randn(p.shape, generator=generator) for name, p in parameters.items()}

    def value(step):
        moved = {name: parameter + step * direction[name] for name, parameter in parameters.items()}
        torch.manual_seed(1)
        return functional_call(drawing, moved, ())

    gradients = torch.autograd.grad(value(0.0), list(parameters.values()))
    slope = sum((g * d).sum() for g, d in zip(gradients, direction.values(), strict=True))
    torch.testing.assert_close(slope, (value(1e-3) - value(-1e-3)) / 2e-3, rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize("stem", DENSITIES)
def test_encoder_may_be_told_classes(stem):
    posterior = built(stem, latent_dim=3, classes=4)[0]
    one, other = (posterior(examples(), torch.tensor(labels)) for labels in ([0, 3], [1, 3]))
    code = one.rsample((2,))
    difference = (one.log_prob(code.clone()) - other.log_prob(code.clone())).abs()
    assert (difference[:, 0] > 1e-3).all()
    torch.testing.assert_close(difference[:, 1], torch.zeros(2))
    one.log_prob(code).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in posterior.parameters())


@pytest.mark.parametrize(("stem", "prior"), PAIRS)
def test_rate_and_gradients_are_finite(stem, prior):
    posterior, believed = built(stem, prior, latent_dim=5)
    evidence = said(posterior, believed, 3)
    assert evidence.rate.shape == (2,)
    (evidence.rate.sum() + evidence.log_prior.sum()).backward()
    assert evidence.rate.isfinite().all()
    for parameter in [*posterior.parameters(), *believed.parameters()]:
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


CLOSED = [("gaussian", "standard"), ("full_gaussian", "standard"), ("von_mises_fisher", "hypersphere")]


@pytest.mark.parametrize(("stem", "prior"), CLOSED)
def test_gradient_of_a_closed_rate_equals_finite_difference(stem, prior):
    posterior, believed = built(stem, prior, latent_dim=3)
    bias = posterior.head.bias

    def rate(step):
        with torch.no_grad():
            bias.add_(step)
        result = said(posterior, believed, 2).rate.sum()
        with torch.no_grad():
            bias.sub_(step)
        return result

    (slope,) = torch.autograd.grad(said(posterior, believed, 2).rate.sum(), bias)
    torch.testing.assert_close(slope.sum(), (rate(1e-2) - rate(-1e-2)) / 2e-2, rtol=1e-2, atol=1e-3)
    assert slope.abs().max() > 1e-2


@pytest.mark.parametrize(("stem", "prior"), PAIRS)
def test_rate_equals_the_integral(stem, prior):
    posterior, believed = built(stem, prior)
    points, size = ground(stem)
    torch.manual_seed(4)
    with torch.no_grad():
        evidence = said(posterior, believed, DRAWS)
        log_density = evidence.posterior.log_prob(points).double()
        difference = log_density - evidence.prior.log_prob(points.expand(-1, 2, -1)).double()
        integral = (log_density.exp() * difference).sum(0) * size
        error = (evidence.log_posterior - evidence.log_prior).double().std(0) / DRAWS**0.5
        if exact(evidence.posterior, evidence.prior):
            torch.testing.assert_close(evidence.rate.double(), integral, rtol=1e-3, atol=1e-3)
        drawn = (evidence.log_posterior - evidence.log_prior).double().mean(0)
    assert ((drawn - integral).abs() <= 3 * error + 1e-4).all()


@pytest.mark.parametrize(("stem", "prior"), ONCE)
def test_nothing_looks_at_values(stem, prior):
    """On the meta device there are none, as there are none on the host while a device works."""
    with torch.device("meta"):
        posterior, believed = built(stem, prior, latent_dim=4)
        q = posterior(torch.empty(3, 2))
        code = q.rsample((2,))
        rate = q.log_prob(code) - believed(posterior).log_prob(code)
        rate.sum().backward()
    assert rate.shape == (2, 3)
    assert all(parameter.is_meta for parameter in posterior.parameters())
