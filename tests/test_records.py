import json
from dataclasses import FrozenInstanceError

import pytest
import torch

from duogen.records import Examples, Loss, MetricValue, RunRecord


def test_sums_count_a_batch_level_term_as_its_mean_times_the_count():
    loss = Loss({"per_example": torch.tensor([1.0, 2.0, 6.0]), "batch": torch.tensor(0.5)}, 3)
    assert {name: value.item() for name, value in loss.sums().items()} == {"per_example": 9.0, "batch": 1.5}


def test_the_weighted_sum_takes_a_weight_of_one_where_none_is_given():
    loss = Loss({"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0, 4.0])}, 2, {"b": 0.5})
    assert loss.weighted(loss.sums()).item() == 1 + 2 + 0.5 * (3 + 4)
    learnt = Loss(loss.terms, 2, {"a": torch.tensor(3.0, requires_grad=True)})
    learnt.weighted(learnt.sums()).backward()
    assert learnt.weights["a"].grad.item() == 3.0


def test_a_term_of_weight_zero_is_recorded_and_not_learnt_from():
    term = torch.tensor([2.0, 5.0], requires_grad=True)
    loss = Loss({"seen": term}, 2, {"seen": 0.0})
    loss.weighted(loss.sums()).backward()
    assert loss.sums()["seen"].item() == 7.0
    assert term.grad.tolist() == [0.0, 0.0]


def test_a_batch_moves_only_where_it_must():
    batch = Examples(torch.zeros(5, 2), torch.arange(5))
    assert batch.count == 5
    assert batch.to(torch.device("cpu")) is batch
    moved = batch.to(torch.device("meta"))
    assert (moved.values.device.type, moved.labels.device.type, moved.count) == ("meta", "meta", 5)
    assert Examples(torch.zeros(3, 2)).to(torch.device("meta")).labels is None


def test_records_do_not_change():
    with pytest.raises(FrozenInstanceError):
        Examples(torch.zeros(1, 2)).values = torch.ones(1, 2)


VALUE = MetricValue("modes", 7.0, "modes", True, "test", "ema", {"seed": 3, "means": [[0.0, 1.0]]})
RECORD = RunRecord("k", ["k", "old"], "done", {"data": "ring"}, ["seed=3"], 3, steps=9, metrics=(VALUE,), error=None)


def test_a_record_survives_json():
    again = RunRecord.from_json(json.loads(json.dumps(RECORD.to_json())))
    assert again.metrics == (VALUE,)
    assert json.dumps(again.to_json()) == json.dumps(RECORD.to_json())


def test_the_record_has_the_fields_that_scripts_read():
    assert list(RECORD.to_json()) == [
        "key", "keys", "status", "choices", "overrides", "seed", "schema", "steps", "updates", "wall_s", "metrics",
        "remarks", "provenance", "checkpoints", "tracker", "error", "failures", "peak_memory", "sweep",
    ]  # fmt: skip
    assert list(RECORD.to_json()["metrics"][0]) == [
        "name", "value", "unit", "higher_is_better", "split", "weights", "protocol",
    ]  # fmt: skip


def test_a_record_of_a_later_version_is_read_by_the_fields_that_are_known():
    content = json.loads(json.dumps(RECORD.to_json())) | {"carbon_g": 12}
    assert RunRecord.from_json(content).steps == 9


@pytest.mark.parametrize("missing", ["key", "status", "metrics", "seed"])
def test_a_record_without_what_it_needs_is_no_record(missing):
    content = {name: value for name, value in RECORD.to_json().items() if name != missing}
    with pytest.raises((KeyError, TypeError)):
        RunRecord.from_json(content)
