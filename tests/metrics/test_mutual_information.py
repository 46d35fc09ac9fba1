import math
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from duogen.errors import UserError
from duogen.metrics.mutual_information import MutualInformation
from duogen.records import Examples


def model(locations, scales):
    """Posteriors as given; an example is its own row number."""

    def recognised(examples):
        rows = examples.values[:, 0].long()
        return Independent(Normal(locations[rows], scales[rows]), 1)

    return SimpleNamespace(recognised=recognised, latent_dim=locations.shape[1])


def measured(one, *batches, examples=100):
    measure = MutualInformation([1], one.latent_dim, examples)
    torch.manual_seed(0)
    for rows in batches:
        measure.ask(one, Examples(torch.tensor(rows, dtype=torch.float64)[:, None]))
    return float(measure.compute()["mutual_information"])


def test_codes_that_tell_their_example_apart_tell_log_m():
    locations = torch.arange(6, dtype=torch.float64)[:, None] * 100
    assert measured(model(locations, torch.ones(6, 1, dtype=torch.float64)), [0, 1, 2], [3, 4, 5]) == pytest.approx(
        math.log(6), abs=1e-9
    )


def test_codes_that_tell_nothing_tell_nothing():
    zeros = torch.zeros(5, 3, dtype=torch.float64)
    assert measured(model(zeros, zeros + 1), [0, 1, 2, 3, 4]) == pytest.approx(0, abs=1e-12)


def test_it_is_the_double_sum_over_codes_and_posteriors():
    generator = torch.Generator().manual_seed(5)
    locations = torch.randn(7, 2, generator=generator, dtype=torch.float64)
    scales = torch.rand(7, 2, generator=generator, dtype=torch.float64) + 0.5
    torch.manual_seed(0)
    codes = Normal(locations, scales).sample()
    terms = []
    for i in range(7):
        density = [
            math.prod(
                math.exp(-0.5 * ((codes[i, d] - locations[j, d]) / scales[j, d]) ** 2) / scales[j, d] for d in range(2)
            )
            for j in range(7)
        ]
        terms.append(math.log(density[i]) - math.log(sum(density) / 7))
    assert measured(model(locations, scales), list(range(7))) == pytest.approx(sum(terms) / 7, abs=1e-9)


def test_only_so_many_examples_are_looked_at():
    locations = torch.arange(6, dtype=torch.float64)[:, None] * 100
    one = model(locations, torch.ones(6, 1, dtype=torch.float64))
    assert measured(one, [0, 1, 2, 3], [4, 5], examples=4) == pytest.approx(math.log(4), abs=1e-9)


def test_other_posteriors_and_too_few_examples_are_refused():
    full = SimpleNamespace(recognised=lambda _: MultivariateNormal(torch.zeros(2, 2), torch.eye(2)))
    with pytest.raises(UserError, match="posterior=gaussian"):
        MutualInformation([1], 2, 5).ask(full, Examples(torch.zeros(2, 1)))
    with pytest.raises(UserError, match="examples=1"):
        MutualInformation([1], 2, 1)
