"""What holds for every measure of codes on disk, built from its YAML."""

import json
import math
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Independent, Normal, TransformedDistribution, kl_divergence
from torch.distributions.transforms import AffineTransform

from duogen.errors import UserError
from duogen.metrics.latent import bits_per_dimension, means
from duogen.metrics.leading import LeadingMeasure
from duogen.records import Examples
from metrics.coding import Identity, grid
from metrics.linear import Linear
from metrics.test_protocol import ALL_FILES, built, of_codes


def test_means_are_those_of_the_distribution():
    model = Linear()
    posterior = model.recognised(model.draw(3))
    assert torch.equal(means(posterior), posterior.mean)


def test_a_distribution_without_a_mean_is_asked_for_draws():
    torch.manual_seed(0)
    base = Independent(Normal(torch.zeros(2, 3), torch.full((2, 3), 0.01)), 1)
    flow = TransformedDistribution(base, [AffineTransform(2.0, 1.0)])
    assert means(flow).shape == (2, 3)
    assert means(flow) == pytest.approx(torch.full((2, 3), 2.0), abs=0.02)


def test_bits_are_those_of_a_level_where_there_are_levels():
    nats = torch.tensor([6.0, 12.0], dtype=torch.float64)
    assert bits_per_dimension(nats, (1, 2, 3), 1.0).tolist() == pytest.approx([1 / math.log(2), 2 / math.log(2)])
    assert bits_per_dimension(nats, (1, 2, 3), 2 / 255).tolist() == pytest.approx(
        [math.log2(255 / 2) + nats / 6 / math.log(2) for nats in (6.0, 12.0)]
    )


CODED = [path for path in ALL_FILES if of_codes(path)]
DRAWN = {
    "elbo", "elbo_bits_per_dimension", "nll", "bits_per_dimension", "mutual_information", "annealed_nll",
    "annealed_bits_per_dimension", "acceptance", "importance_gap", "amortisation_gap", "approximation_gap",
}  # fmt: skip
every_file = pytest.mark.parametrize("path", CODED, ids=lambda path: path.stem)


class Coding(Identity):
    """Codes are the examples, or integers near them, with a prior and a likelihood that know nothing."""

    sizes = (3,)

    def codes(self, examples):
        return examples.values.round().long().clamp(0, 2)

    def distortion(self, codes, examples):
        return torch.zeros(examples.count)

    def believed(self):
        return Independent(Normal(torch.zeros(3), 1.0), 1)

    def explained(self, codes, examples):
        return 0 * codes.sum(-1)

    def evidence(self, examples, draws):
        posterior = self.recognised(examples)
        codes = posterior.sample((draws,))
        rates = kl_divergence(posterior.base_dist, self.believed().base_dist)
        weights = self.believed().log_prob(codes) - posterior.log_prob(codes)
        zeros = torch.zeros(examples.count)
        return SimpleNamespace(distortion=zeros, rate=rates.sum(1), rates=rates, log_weights=weights)


def short(metric):
    """The measure with few steps of whatever it takes steps of."""
    for setting in {"temperatures", "steps"} & vars(metric).keys():
        setattr(metric, setting, 3)
    return metric


def looked_at(metric):
    """How many examples it looks at, at most: a dear measure sees the first ones alone."""
    return metric.examples if isinstance(metric, LeadingMeasure) else 123


def filled(path, sizes=(40, 83)):
    metric, examples = short(built(path)), grid(sum(sizes), noise=0.1)
    torch.manual_seed(0)
    start = 0
    for size in sizes:
        metric.ask(Coding(), Examples(examples.values[start : start + size], examples.labels[start : start + size]))
        start += size
    return metric


def test_every_measure_of_codes_was_found():
    assert len(CODED) >= 10


@every_file
def test_facts_are_declared_for_exactly_the_values(path):
    metric = filled(path)
    values = metric.compute()
    assert values.keys() == metric.facts.keys()
    assert all(fact.unit for fact in metric.facts.values())
    assert all(value.ndim == 0 and value.dtype == torch.float64 and value.isfinite() for value in values.values())
    assert metric.compute() == values


@every_file
def test_the_protocol_is_plain_and_counts_the_held_out_examples(path):
    metric = filled(path)
    metric.compute()
    protocol = metric.protocol()
    assert json.loads(json.dumps(protocol)) == protocol
    assert (protocol["n_generated"], protocol["n_real"]) == (0, min(123, looked_at(metric)))


@every_file
def test_no_checkpoint_holds_a_state(path):
    assert torch.nn.Sequential(filled(path)).state_dict() == {}


@every_file
def test_no_examples_are_a_users_mistake(path):
    with pytest.raises(UserError, match="n_real"), warnings.catch_warnings(action="ignore"):
        built(path).compute()


@every_file
def test_another_round_begins_anew(path):
    metric = filled(path)
    first = metric.compute()
    metric.reset()
    examples = grid(123, noise=0.1)
    torch.manual_seed(0)
    metric.ask(Coding(), examples)
    again = metric.compute()
    assert metric.protocol()["n_real"] == min(123, looked_at(metric))
    for name in first.keys() - DRAWN:
        assert again[name] == pytest.approx(first[name].item(), rel=1e-9), name
