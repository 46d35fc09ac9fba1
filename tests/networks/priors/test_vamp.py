import math

import pytest
import torch
from torch.distributions import Independent, Normal

from duogen.errors import UserError
from duogen.networks.priors import vamp
from duogen.networks.priors.vamp import VampPrior
from networks.posteriors.built import built


def recognise(examples):
    """Normal codes around twice the example."""
    return Independent(Normal(2 * examples, torch.full_like(examples, 0.5), validate_args=False), 1)


@pytest.mark.parametrize("at_once", [vamp.AT_ONCE, 30])
def test_density_is_the_mean_of_the_posteriors(monkeypatch, at_once):
    monkeypatch.setattr(vamp, "AT_ONCE", at_once)
    torch.manual_seed(0)
    prior = VampPrior((3,), 5, 0.0, 1.0)
    code = torch.randn(4, 2, 3)
    with torch.no_grad():
        each = [recognise(u).log_prob(code).exp() for u in prior.pseudo_inputs]
        found = prior(recognise).log_prob(code)
    torch.testing.assert_close(found, (sum(each) / 5).log())


def test_draws_come_from_every_posterior_alike():
    prior = VampPrior((1,), 4, 0.0, 1.0)
    with torch.no_grad():
        prior.unbounded.copy_(torch.arange(4.0)[:, None] * 10)
    torch.manual_seed(0)
    drawn = prior(recognise).sample((2000,))
    counts = torch.bincount((drawn[:, 0] / 20).round().long(), minlength=4)
    assert counts.sum() == 2000
    assert ((counts - 500).abs() < 3 * (2000 * 0.25 * 0.75) ** 0.5).all()


def test_only_as_many_examples_are_recognised_as_codes_are_drawn():
    seen = []

    def counting(examples):
        seen.append(len(examples))
        return recognise(examples)

    VampPrior((2,), 7, 0.0, 1.0)(counting).sample((3,))
    assert seen == [7, 3]


def test_pseudo_inputs_of_images_start_near_the_mean_and_stay_in_range():
    torch.manual_seed(0)
    prior = VampPrior((2, 3, 4), 50, -0.6, 0.01)
    assert prior.pseudo_inputs.shape == (50, 2, 3, 4)
    torch.testing.assert_close(prior.pseudo_inputs.mean(), torch.tensor(-0.6), rtol=0, atol=1e-3)
    assert prior.pseudo_inputs.std().item() == pytest.approx(0.01 * (1 - 0.36), rel=0.1)
    with torch.no_grad():
        prior.unbounded.add_(100)
    assert prior.pseudo_inputs.max() <= 1


def test_pseudo_inputs_of_vectors_are_free():
    torch.manual_seed(0)
    prior = VampPrior((3,), 400, 5.0, 2.0)
    assert prior.pseudo_inputs.mean().item() == pytest.approx(5, abs=0.2)
    assert prior.pseudo_inputs.std().item() == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("posterior", ["gaussian", "full_gaussian", "planar", "iaf", "von_mises_fisher"])
def test_the_encoder_learns_from_the_prior(posterior):
    encoder, prior = built(posterior, "vamp", latent_dim=3, shape=(1, 2, 2))
    code = torch.nn.functional.normalize(torch.randn(2, 3), dim=1)
    prior(encoder).log_prob(code).sum().backward()
    for parameter in [*encoder.parameters(), *prior.parameters()]:
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize(
    ("given", "word"), [(((1, 2, 2), 0, 0.0, 1.0), "components=0"), (((1, 2, 2), 3, -1.0, 1.0), "mean=-1.0")]
)
def test_what_cannot_be_is_refused(given, word):
    with pytest.raises(UserError, match=word):
        VampPrior(*given)


def test_one_pseudo_input_is_one_posterior():
    prior = VampPrior((3,), 1, 0.3, 0.1)
    code = torch.randn(4, 3)
    with torch.no_grad():
        torch.testing.assert_close(prior(recognise).log_prob(code), recognise(prior.pseudo_inputs[0]).log_prob(code))
    assert math.isfinite(prior(recognise).log_prob(1e3 * code).sum().item())
