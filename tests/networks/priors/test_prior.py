import pytest
import torch

from networks.posteriors.built import SPHERICAL, built, ground, stems

PRIORS = stems("prior")


def made(stem, latent_dim=2):
    posterior, prior = built("von_mises_fisher" if stem == "hypersphere" else "gaussian", stem, latent_dim)
    return prior, prior(posterior)


def test_the_priors_were_found():
    assert len(PRIORS) >= 6


@pytest.mark.parametrize("stem", PRIORS)
def test_density_integrates_to_one_and_draws_follow_it(stem):
    points, size = ground(stem)
    prior = made(stem)[1]
    assert (prior.batch_shape, prior.event_shape) == ((), (2,))
    torch.manual_seed(0)
    with torch.no_grad():
        log_density = prior.log_prob(points[:, 0]).double()
        mass = log_density.exp() * size
        assert mass.sum().item() == pytest.approx(1, abs=1e-3)
        drawn = prior.sample((4000,))
        assert drawn.shape == (4000, 2)
        log_drawn = prior.log_prob(drawn).double()
        moments = torch.stack([drawn.double().T, drawn.double().square().T])
    expected = (mass[:, None] * points[:, 0]).sum(0), (mass[:, None] * points[:, 0].square()).sum(0)
    error = moments.std(-1) / 4000**0.5
    assert ((moments.mean(-1) - torch.stack(expected)).abs() <= 3.5 * error + 1e-3).all()
    entropy = (mass * log_density).sum()
    assert (log_drawn.mean() - entropy).abs() <= 3 * log_drawn.std() / 4000**0.5 + 1e-4


@pytest.mark.parametrize("stem", PRIORS)
def test_shapes(stem):
    prior = made(stem, latent_dim=3)[1]
    for shape in [(), (4,), (5, 4)]:
        code = prior.sample(shape)
        assert code.shape == (*shape, 3)
        assert prior.log_prob(code).shape == shape


@pytest.mark.parametrize("stem", PRIORS)
def test_draws_are_the_default_generators(stem):
    prior = made(stem)[1]
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(prior.sample((3,)))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("stem", PRIORS)
def test_what_is_learned_gets_a_gradient_and_is_saved(stem):
    prior, density = made(stem, latent_dim=3)
    code = torch.nn.functional.normalize(torch.randn(6, 3), dim=1)
    parameters = list(prior.parameters())
    assert bool(parameters) == (stem not in SPHERICAL | {"hypersphere", "standard"})
    if parameters:
        density.log_prob(code).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in parameters)
    assert {name for name, _ in prior.named_parameters()} <= set(prior.state_dict())
