import json
import subprocess
import sys

import pytest
import torch

from duogen.records import Examples, Loss, MetricValue, RunRecord


def test_a_loss_sums_examples_and_counts_a_batch_level_mean_as_many_times():
    loss = Loss({"a": torch.tensor([1.0, 2.0, 4.0]), "b": torch.tensor(0.5)}, 3, {"b": 10.0})
    sums = loss.sums()
    assert {name: value.item() for name, value in sums.items()} == {"a": 7.0, "b": 1.5}
    assert loss.weighted(sums).item() == pytest.approx(7.0 + 15.0)


def test_weights_may_be_tensors_and_counts_of_tokens_too():
    loss = Loss({"nll": torch.tensor([2.0, 3.0])}, torch.tensor(7), {"nll": torch.tensor(0.5)})
    assert loss.weighted(loss.sums()).item() == pytest.approx(2.5)


def test_a_batch_moves_with_its_labels():
    batch = Examples(torch.zeros(4, 2), torch.arange(4))
    assert batch.count == 4
    assert batch.to(torch.device("cpu")) is batch
    moved = batch.to(torch.device("meta"))
    assert (moved.values.device.type, moved.labels.device.type) == ("meta", "meta")
    assert Examples(torch.zeros(1, 2)).to(torch.device("meta")).labels is None


def test_a_record_survives_its_file():
    value = MetricValue("frechet_pixels", 1.5, "px^2", False, "test", "ema", {"n_generated": 400})
    record = RunRecord("k", ["k", "j"], "done", {"data": "digits"}, ["seed=1"], 1, steps=7, metrics=[value])
    again = RunRecord.from_json(json.loads(json.dumps(record.to_json())))
    assert json.dumps(again.to_json()) == json.dumps(record.to_json())
    assert again.metrics[0] == value


def test_an_unknown_field_of_a_later_schema_is_passed_over():
    content = RunRecord("k", ["k"], "done", {}, [], 0).to_json() | {"later": 1}
    assert RunRecord.from_json(content).key == "k"


def test_records_import_nothing_heavy():
    code = "import sys, duogen.records; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
