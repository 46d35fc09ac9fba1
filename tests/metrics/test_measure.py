from typing import ClassVar

import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.metrics import measure
from duogen.metrics.measure import Measure, collectors
from duogen.records import Examples, Fact


class Gap(Measure):
    """The sum of the generated minus the sum of the real values, from two examples on."""

    name = "gap"
    facts: ClassVar = {"gap": Fact("units", False)}

    def __init__(self, shape) -> None:
        super().__init__(shape)
        self.add_state("gap", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def accumulate(self, generated, real):
        self.gap += self.rows(generated.values).sum() - self.rows(real.values).sum()

    def values(self):
        self.require(2, "n_generated")
        return {"gap": self.gap}


def gap(generated, real) -> Gap:
    metric = Gap([2, 3])
    metric.update(Examples(torch.full((generated, 2, 3), 1.0)), Examples(torch.full((real, 2, 3), 0.5)))
    return metric


def test_counts_both_sides_over_updates():
    metric = gap(generated=4, real=5)
    metric.update(Examples(torch.zeros(3, 2, 3)), Examples(torch.zeros(0, 2, 3)))
    assert metric.compute()["gap"].item() == 4 * 6 - 5 * 3
    assert metric.protocol() == {"name": "gap", "shape": [2, 3], "n_generated": 7, "n_real": 5}


def test_value_and_counts_are_those_of_all_ranks():
    here, there = gap(generated=4, real=5), gap(generated=2, real=7)
    remote = iter(there.metric_state.values())
    here.distributed_available_fn = lambda: True
    here.dist_sync_fn = lambda tensor, group=None: [tensor, next(remote)]
    assert here.compute()["gap"].item() == 6 * 6 - 12 * 3
    assert here.protocol()["n_generated"] == 6
    assert here.protocol()["n_real"] == 12
    assert here.n_generated.item() == 4


def test_too_few_examples_are_counted_in_the_message():
    with pytest.raises(UserError, match=r"n_generated=1\n.*n_generated >= 2"):
        gap(generated=1, real=5).compute()


@pytest.mark.parametrize("shape", [(4, 3, 2), (4, 6), (4,), (4, 2, 3, 1)])
def test_another_shape_is_refused_and_not_counted(shape):
    metric = Gap([2, 3])
    with pytest.raises(UserError, match=r"allowed: \(2, 3\)"):
        metric.update(Examples(torch.zeros(shape)), Examples(torch.zeros(4, 2, 3)))
    assert metric.n_generated.item() == 0


@pytest.mark.parametrize(
    "cast", [nn.Module.half, nn.Module.bfloat16, lambda module: module.to(torch.bfloat16), nn.Module.float]
)
def test_states_keep_their_types_when_a_module_is_cast(cast):
    metric = gap(generated=3, real=2)
    cast(nn.Sequential(nn.Linear(2, 2), metric))
    metric.update(*(Examples(torch.full((1, 2, 3), fill, dtype=torch.bfloat16)) for fill in (0.1, 0.0)))
    assert metric.gap.dtype == torch.float64
    assert metric.n_real.dtype == torch.int64
    assert metric.gap.item() == 18 - 6 + 6 * torch.tensor(0.1, dtype=torch.bfloat16).double().item()


def test_states_move_with_the_module():
    assert gap(generated=3, real=2).to("meta").gap.device.type == "meta"


def test_states_stay_on_the_cpu_where_the_device_has_no_float64(monkeypatch):
    monkeypatch.setattr(measure, "WITHOUT_FLOAT64", {"meta"})
    metric = gap(generated=3, real=2).to("meta")
    assert metric.device.type == "cpu"
    assert metric.compute()["gap"].item() == 12


def test_nothing_enters_a_checkpoint():
    assert nn.Sequential(gap(generated=3, real=2)).state_dict() == {}


def test_reset_forgets_the_examples():
    metric = gap(generated=3, real=2)
    metric.reset()
    with pytest.warns(UserWarning, match="before the ``update``"), pytest.raises(UserError, match="n_generated=0"):
        metric.compute()


def test_to_begin_forgets_the_examples_and_asks_for_no_real_set():
    metric = gap(generated=3, real=2)
    metric.begin(lambda: pytest.fail("nobody asked"))
    assert metric.n_generated.item() == 0


def test_a_measure_collects_for_itself():
    metrics = [gap(1, 1), gap(2, 2)]
    assert [id(collector) for collector in collectors(metrics)] == [id(metric) for metric in metrics]
    assert len(collectors([metrics[0], metrics[0]])) == 1
