import math

import pytest
import torch

from duogen.metrics.evidence_bound import EvidenceBound
from duogen.records import Examples
from metrics.linear import Linear


def measured(model, *batches):
    measure = EvidenceBound([5], model.latent_dim)
    torch.manual_seed(0)
    for batch in batches:
        measure.ask(model, batch)
    return measure, measure.compute()


def test_the_bound_of_the_exact_posterior_is_the_likelihood_on_average():
    model = Linear(exact=True)
    examples = model.draw(20_000)
    _, found = measured(model, examples)
    assert found["elbo"] == pytest.approx(-float(found["distortion"] + found["rate"]), abs=1e-12)
    assert found["elbo"] == pytest.approx(float(model.marginal(examples).mean()), abs=0.03)


def test_the_rate_is_the_divergence_from_the_prior():
    model = Linear(exact=True)
    examples = model.draw(3)
    mean = model.recognised(examples).mean
    by_hand = 0.5 * (model.covariance.trace() + mean.square().sum(1) - 2 - torch.logdet(model.covariance))
    _, found = measured(model, examples)
    assert found["rate"] == pytest.approx(float(by_hand.mean()), abs=1e-9)


def test_active_units_are_those_whose_means_vary_over_all_batches():
    model = Linear(exact=True)
    model.weight[:, 1] = 0.0
    model.covariance = (torch.eye(2, dtype=torch.float64) + model.weight.T @ model.weight / model.sigma**2).inverse()
    measure, found = measured(model, model.draw(50, 1), model.draw(30, 2))
    assert found["active_units"] == 1
    assert measure.remarks() == ()
    assert measure.protocol()["n_real"] == 80


def test_bits_per_dimension_take_the_width_of_a_grey_level_into_account():
    model = Linear()
    model.level = 1 / 256
    measure, found = measured(model, model.draw(6))
    assert found["elbo_bits_per_dimension"] == pytest.approx(-float(found["elbo"]) / 5 / math.log(2) + 8)
    assert measure.protocol()["level"] == 1 / 256


def test_a_mean_that_is_the_same_for_all_is_not_active_however_large():
    model = Linear(exact=True)
    batch = Examples(torch.full((9, 5), 3.0, dtype=torch.float64))
    measure, found = measured(model, batch)
    assert found["active_units"] == 0
    assert "0 of 2 latent units are active" in measure.remarks()[0]
    assert "variational=" in measure.remarks()[0]
