import math

import pytest
import torch

from duogen.errors import UserError
from duogen.metrics import importance_nll as subject
from duogen.metrics.importance_nll import ImportanceNll, parts
from metrics.linear import Linear


def measured(model, draws, examples):
    measure = ImportanceNll([5], draws)
    torch.manual_seed(3)
    measure.ask(model, examples)
    return measure.compute()


@pytest.mark.parametrize("draws", [1, 3, 40])
def test_with_the_exact_posterior_it_meets_the_marginal_likelihood_for_any_k(draws):
    model = Linear(exact=True)
    examples = model.draw(7)
    nll = measured(model, draws, examples)["nll"]
    assert nll == pytest.approx(float(-model.marginal(examples).mean()), abs=1e-9)


def test_with_another_posterior_it_bounds_it_from_above_and_closes_as_k_grows():
    model = Linear(exact=False)
    examples = model.draw(400)
    truth = float(-model.marginal(examples).mean())
    gaps = [float(measured(model, draws, examples)["nll"]) - truth for draws in (1, 10, 100, 1000)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.2
    assert abs(gaps[-1]) < 0.01


def test_draws_come_in_parts_that_fit_and_the_sum_is_that_of_all(monkeypatch):
    model, asked = Linear(exact=True), []
    evidence = model.evidence
    monkeypatch.setattr(model, "evidence", lambda examples, draws: asked.append(draws) or evidence(examples, draws))
    monkeypatch.setattr(subject, "AT_ONCE", 30)
    examples = model.draw(7)
    nll = measured(model, 10, examples)["nll"]
    assert asked == [4, 4, 2]
    assert nll == pytest.approx(float(-model.marginal(examples).mean()), abs=1e-9)


def test_weights_far_below_any_float_are_added_in_log_space():
    model = Linear(exact=True)
    examples = model.draw(3)
    examples.values[0] += 1e4
    nll = measured(model, 5, examples)["nll"]
    assert torch.isfinite(nll)
    assert nll == pytest.approx(float(-model.marginal(examples).mean()), rel=1e-9)


def test_bits_per_dimension_take_the_width_of_a_grey_level_into_account():
    model = Linear(exact=True)
    model.level = 1 / 256
    found = measured(model, 1, model.draw(6))
    assert found["bits_per_dimension"] == pytest.approx(float(found["nll"]) / 5 / math.log(2) + 8)


def test_batches_and_ranks_do_not_change_the_protocol():
    measure, model = ImportanceNll([5], 2), Linear()
    for seed in (1, 2):
        measure.ask(model, model.draw(4, seed))
    measure.compute()
    assert measure.protocol() == {
        "name": "importance_nll", "shape": [5], "n_generated": 0, "n_real": 8, "draws": 2,
        "estimator": "importance sampling", "level": 1.0,
    }  # fmt: skip
    assert not measure.validates


@pytest.mark.parametrize(("whole", "most", "cut"), [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3])])
def test_parts(whole, most, cut):
    assert parts(whole, most) == cut


def test_no_draws_are_refused():
    with pytest.raises(UserError, match="draws=0"):
        ImportanceNll([5], 0)
