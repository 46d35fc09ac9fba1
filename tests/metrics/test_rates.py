import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from duogen.errors import UserError
from duogen.metrics.rates import Rates, rates
from duogen.objectives.variational.evidence import divergences
from duogen.records import Examples
from metrics.linear import Linear


class Said:
    def __init__(self, found):
        self.rates = found


class Model:
    """Posteriors N(x, s^2), of deviation s in each dimension."""

    def __init__(self, deviations):
        self.deviations, self.latent_dim = torch.tensor(deviations), len(deviations)

    def evidence(self, examples, draws):
        posterior = Independent(Normal(examples.values, self.deviations.expand_as(examples.values)), 1)
        return Said(divergences(posterior, Independent(Normal(torch.zeros(self.latent_dim), 1.0), 1)))


def test_each_dimension_has_its_own_divergence_over_all_batches():
    deviations = torch.tensor([1.0, 0.5, 0.1])
    values = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.0, 1.0, 2.0])
    measure = Rates([3], 3)
    for part in values.split(5):
        measure.ask(Model(deviations.tolist()), Examples(part))
    found = measure.compute()
    by_hand = (0.5 * (values.square() + deviations.square() - 1) - deviations.log()).mean(0)
    assert list(found) == list(measure.facts) == ["kl_0", "kl_1", "kl_2"]
    assert torch.stack(list(found.values())) == pytest.approx(by_hand.double(), abs=1e-6)
    assert found["kl_0"] == 0
    assert measure.protocol()["n_real"] == 9
    assert not measure.validates


def test_names_sort_as_dimensions_do():
    names = list(Rates([1], 12).facts)
    assert names == sorted(names)
    assert names[-2:] == ["kl_10", "kl_11"]
    assert list(Rates([1], 10).facts)[-1] == "kl_9"


def test_codes_whose_dimensions_depend_on_one_another_are_refused():
    full = MultivariateNormal(torch.zeros(2, 3), torch.eye(3))
    assert divergences(full, Independent(Normal(torch.zeros(3), 1.0), 1)) is None
    model = Linear()
    with pytest.raises(UserError, match="the KL of each dimension") as error:
        rates(model, model.draw(3))
    assert "prior=standard" in error.value.allowed
