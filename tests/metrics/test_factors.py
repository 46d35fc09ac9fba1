import math
from threading import Barrier, Thread

import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.metrics.factors import FactorMeasure
from duogen.metrics.side import RealSet
from duogen.records import Examples, Fact
from metrics.coding import FACTORS, asked, batches, grid


class Sum(FactorMeasure):
    """The sum of all codes of the first part, weighted by a draw, and the number of its factors."""

    name = "sum"
    facts = {"sum": Fact("", True), "kept": Fact("", True)}  # noqa: RUF012

    def scores(self, drawn, rng):
        return {"sum": float(drawn[0].codes.sum() * rng.uniform()), "kept": float(len(drawn[0].names))}


def measure(asked=None, seed=0, factors=FACTORS):
    return Sum(factors, {"points": 10} if asked is None else asked, seed)


def test_factors_are_unravelled_by_name_and_constant_ones_left_out():
    made = measure({})
    examples = grid(20)
    asked(made, *batches(examples, 7))
    encoded = made.encoded
    assert encoded.names == list(FACTORS)
    assert (encoded.factors[:, [0, 1, 3]] == encoded.codes).all()
    assert [part.names for part in made.parts(encoded)] == [["shape", "scale", "place"]]
    assert asked(measure(), examples)["kept"] == 3


def test_neither_batches_nor_their_order_decide():
    examples = grid(30, noise=0.5)
    expected = asked(measure(), examples)
    assert asked(measure(), *batches(examples, 7)) == expected
    assert asked(measure(), *reversed(batches(examples, 4))) == expected
    assert asked(measure(seed=1), examples) != expected


def test_a_new_round_forgets_the_last():
    made = measure()
    expected = asked(made, grid(30, noise=0.5))
    made.begin(lambda: RealSet("data", "test", 30))
    other = asked(made, grid(30, noise=0.5, seed=1))
    made.begin(lambda: RealSet("data", "test", 30))
    assert asked(made, *batches(grid(30, noise=0.5), 11)) == expected != other


def test_parts_are_disjoint_and_do_not_depend_on_the_scores():
    made = measure({"train": 8, "test": 5})
    asked(made, grid(40, noise=0.5))
    train, test = made.parts(made.encoded)
    assert (train.count, test.count) == (8, 5)
    assert len(np.unique(np.concatenate([train.codes, test.codes]), axis=0)) == 13


def test_the_protocol_says_what_was_drawn():
    made = measure({"train": 20, "test": 10})
    assert made.protocol()["drawn"] == {"train": 0, "test": 0}
    assert made.remarks() == ()
    asked(made, *batches(grid(15), 4))
    protocol = made.protocol()
    assert protocol["drawn"] == {"train": 10, "test": 5}
    assert (protocol["n_generated"], protocol["n_real"]) == (0, 15)
    assert (protocol["factors"], protocol["draw_seed"]) == (FACTORS, 0)
    assert "10 points for train=20" in made.remarks()[0]
    made.reset()
    asked(made, grid(30))
    assert made.protocol()["drawn"] == {"train": 20, "test": 10}
    assert made.remarks() == ()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_broken_codes_measure_nan(bad):
    examples = grid(12)
    examples.values[5, 1] = bad
    assert all(math.isnan(value) for value in asked(measure(), examples).values())


def test_no_checkpoint_holds_the_codes():
    made = measure()
    asked(made, grid(12))
    assert made.state_dict() == {}


def test_codes_stay_exact_when_a_module_is_cast():
    made = measure()
    asked(made, grid(12))
    assert made.half().encoded.codes.dtype == np.float64


def meeting(ranks):
    """A gathering of tensors between threads, which refuses what real ranks could not gather."""
    barrier, table = Barrier(ranks), {}

    def of(rank):
        def gather(tensor, group=None):
            table[rank] = tensor
            barrier.wait(20)
            found = [table[other] for other in range(ranks)]
            barrier.wait(20)
            assert len({(part.ndim, part.dtype) for part in found}) == 1
            return found

        return gather

    return of


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_agree_also_where_one_saw_nothing(ranks):
    examples = grid(20, noise=0.5)
    expected, found, gather = asked(measure(), examples), {}, meeting(ranks)

    def work(rank):
        made = measure()
        made.distributed_available_fn, made.dist_sync_fn = lambda: True, gather(rank)
        shown = batches(examples, 12)[rank : rank + 1]
        found[rank] = asked(made, *shown), made.protocol()["n_real"]

    threads = [Thread(target=work, args=(rank,)) for rank in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(ranks), (expected, 20))


@pytest.mark.parametrize("factors", [{}, {"colour": 1}, {"shape": 3, "scale": 0}])
def test_a_grid_without_variation_is_refused(factors):
    with pytest.raises(UserError, match=r"sum was given factors="):
        measure(factors=factors)


def test_counts_below_one_are_refused():
    with pytest.raises(UserError, match="train=0"):
        measure({"train": 0, "test": 5})


def test_examples_without_factors_are_refused():
    with pytest.raises(UserError, match="without labels"):
        asked(measure(), Examples(torch.zeros(4, 3)))
    with pytest.raises(UserError, match=r"labels from 0 to 60\n  allowed: 0 to 59"):
        asked(measure(), Examples(torch.zeros(2, 3), torch.tensor([0, 60])))


def test_too_little_to_measure_is_refused():
    with pytest.raises(UserError, match="n_real=1"):
        asked(measure(), grid(1))
    alike = grid(1)
    with pytest.raises(UserError, match="no factor varies"):
        asked(measure(), alike, alike)
