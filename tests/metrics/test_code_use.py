"""How many codes a model uses, on a model whose codes are written in its examples."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from duogen.errors import UserError
from duogen.metrics.code_use import CodeUse
from duogen.records import Examples
from metrics.coding import Identity

SHAPE = (2, 3)


class Written:
    """Codes are the examples (N, P, L) themselves; the distortion is their first one."""

    def __init__(self, sizes, level=None):
        self.sizes, self.level = sizes, level

    def codes(self, examples):
        return examples.values.long() if len(self.sizes) > 1 else examples.values[..., 0].long()

    def distortion(self, codes, examples):
        return examples.values.flatten(1)[:, 0]


def drawn(count, sizes, places=3):
    generator = torch.Generator().manual_seed(0)
    codes = [torch.randint(size, (count, places), generator=generator) for size in sizes]
    return Examples(torch.stack(codes, 2).float())


def measured(sizes, *batches, level=None):
    measure = CodeUse(SHAPE)
    for batch in batches:
        measure.ask(Written(sizes, level), batch)
    return measure, {name: value.item() for name, value in measure.compute().items()}


@pytest.mark.parametrize("sizes", [(5,), (5, 9)])
def test_perplexity_and_use_are_those_of_all_examples_and_places(sizes):
    batches = drawn(4, sizes), drawn(3, (2,) * len(sizes))
    _, found = measured(sizes, *batches)
    codes = torch.cat([batch.values for batch in batches]).flatten(0, 1).long().numpy()
    counts = [np.bincount(codes[:, place], minlength=size) for place, size in enumerate(sizes)]
    assert found["perplexity"] == pytest.approx(np.mean([math.exp(entropy(each)) for each in counts]), rel=1e-9)
    assert found["codes_used"] == pytest.approx(sum((each > 0).sum() for each in counts) / sum(sizes))


def test_the_bound_by_hand():
    batch, level = drawn(7, (5, 9)), 0.25
    _, found = measured((5, 9), batch, level=level)
    distortion, rate = float(batch.values[:, 0, 0].mean()), 3 * (math.log(5) + math.log(9))
    assert found["distortion"] == pytest.approx(distortion)
    assert found["rate"] == pytest.approx(rate)
    assert found["elbo"] == pytest.approx(-distortion - rate)
    bits = (distortion + rate - 6 * math.log(level)) / (6 * math.log(2))
    assert found["elbo_bits_per_dimension"] == pytest.approx(bits)


def test_a_probability_has_bits_as_it_is():
    batch = drawn(7, (5,))
    measure, found = measured((5,), batch)
    assert found["elbo_bits_per_dimension"] == pytest.approx(-found["elbo"] / 6 / math.log(2))
    assert measure.protocol() | {"sizes": [5], "prior": "uniform", "level": 1.0} == measure.protocol()


def test_few_codes_are_remarked_and_many_are_not():
    batch = drawn(200, (30,))
    assert measured((30,), batch)[0].remarks() == ()
    (said,) = measured((400,), batch)[0].remarks()
    assert "30 of 400 codes are used (perplexity " in said
    assert "quantizer=ema" in said


def test_a_perplexity_near_one_is_remarked_whatever_else_is_used():
    values = torch.zeros(4000, 1, 1)
    values[:5, 0, 0] = torch.arange(5)
    (said,) = measured((5,), Examples(values))[0].remarks()
    assert "5 of 5 codes are used (perplexity 1.0)" in said


def test_few_examples_cannot_use_many_codes():
    assert measured((4000,), Examples(torch.arange(12.0).view(4, 3, 1)))[0].remarks() == ()


def test_the_codebook_at_fault_is_named():
    batch = drawn(40, (8, 3))
    (said,) = measured((8, 400), batch)[0].remarks()
    assert "3 of 400 codes of codebook 2 are used" in said


def test_it_may_be_told_of_the_sizes_before_it_sees_an_example_and_begins_anew():
    measure, sizes = CodeUse(SHAPE), (5, 9)
    measure.expect(sizes)
    empty = measure.uses
    assert (empty.shape, empty.dtype) == ((2, 9), torch.int64)
    measure.ask(Written(sizes), drawn(4, sizes))
    assert int(measure.uses.sum()) == 4 * 3 * 2
    measure.expect(sizes)
    assert int(measure.uses.sum()) == 4 * 3 * 2
    measure.reset()
    assert not measure.uses.any()


def test_ranks_add_up():
    sizes, batches = (5,), (drawn(4, (5,)), drawn(3, (2,)))
    whole, _ = measured(sizes, *batches)
    parts = [measured(sizes, batch)[0] for batch in batches]
    joined = CodeUse(SHAPE)
    joined.expect(sizes)
    joined.uses, joined.total = sum(p.uses for p in parts), sum(p.total for p in parts)
    joined.n_real += sum(p.n_real for p in parts)
    joined._update_count = 1
    assert joined.compute() == whole.compute()


def test_a_model_without_integer_codes_is_refused():
    for model in (Identity(), SimpleNamespace(sizes=(3,), level=None)):
        with pytest.raises(UserError, match="code_use"):
            CodeUse(SHAPE).ask(model, drawn(2, (3,)))
