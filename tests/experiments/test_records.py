import json

import numpy as np
import pytest
import yaml
from experiments.records import (
    count,
    difference,
    done,
    folders,
    interval,
    operations,
    place,
    record,
    require_one_protocol,
    series,
    steps,
    value,
    values,
)
from scipy import stats

from duogen.complete import complete
from duogen.errors import UserError
from duogen.experiment.resolve import resolve
from sweep.written import metric, plan, rows, run, trial

A, B = [3.0, 5.0, 4.0, 8.0], [1.0, 2.5, 2.0]


def test_an_interval_is_students():
    low, high = stats.t.interval(0.95, 3, loc=np.mean(A), scale=stats.sem(A))
    assert interval(A) == f"{np.mean(A):.1f} ± {(high - low) / 2:.1f}"
    assert interval([3.0]) == "3"
    assert interval([-2934.123, -2934.125]) == "-2934.124 ± 0.013"
    assert interval([]) == "not run"


def test_a_difference_has_welchs_interval():
    found = stats.ttest_ind(A, B, equal_var=False).confidence_interval(0.95)
    assert difference(A, B) == f"{np.mean(A) - np.mean(B):+.3g} [{found.low:+.3g}, {found.high:+.3g}]"
    assert difference(A, [1.0]) == "not run"
    assert difference([2.0, 2.0], [1.0, 1.0]) == "+1 (no spread)"


@pytest.mark.parametrize(("status", "there"), [("done", True), ("interrupted", False)])
def test_only_a_run_that_is_done_counts(status, there, tmp_path):
    metrics = [{"name": "a", "value": 3.0, "weights": "ema"}, {"name": "a", "value": 5.0, "weights": "real"}]
    (tmp_path / "record.json").write_text(json.dumps({"status": status, "metrics": metrics}))
    found = record(tmp_path)
    assert (found is not None) == there
    if found:
        assert (value(found, "a"), value(found, "a", real=True)) == (3.0, 5.0)
    assert record(tmp_path / "nowhere") is None


def swept(folder, **ends):
    """Two settings with seeds 1 and 0, planned in that order; `ends` of the trials by key."""
    plan(folder, [trial(f"{name}{seed}", {"setting": name}, seed) for name in "ab" for seed in (1, 0)])
    for key, (status, number) in ends.items():
        run(folder, key, status, [metric(number, "nll", draws=5, seed=int(key[1]))], steps=300)


def test_the_runs_of_a_setting_come_in_the_order_of_their_seeds(tmp_path):
    swept(tmp_path, a1=("done", 2.0), a0=("done", 3.0), b1=("failed", 5.0), b0=("done", 7.0))
    assert values(done(tmp_path, setting="a"), "nll") == [3.0, 2.0]
    assert values(done(tmp_path, setting="b"), "nll") == [7.0]
    assert count(done(tmp_path, setting="a"), folders(tmp_path, setting="a")) == "2"
    assert count(done(tmp_path, setting="b"), folders(tmp_path, setting="b")) == "1 of 2"
    assert steps(done(tmp_path)) == "300"
    assert done(tmp_path / "nowhere") == {}


def test_what_was_not_measured_is_named(tmp_path):
    swept(tmp_path, a0=("done", 3.0))
    with pytest.raises(UserError, match="nlll is not among the metrics of run a0\n  allowed: nll"):
        values(done(tmp_path), "nlll")


def test_one_column_has_one_protocol(tmp_path):
    swept(tmp_path, a0=("done", 3.0), a1=("done", 4.0))
    require_one_protocol([done(tmp_path)], ["nll"])
    run(tmp_path, "b0", "done", [metric(5.0, "nll", draws=7)])
    with pytest.raises(UserError, match=r"nll was measured by 2 protocols: .*a1 and .*b0"):
        require_one_protocol([done(tmp_path, setting="a"), done(tmp_path, setting="b")], ["nll"])


def test_a_series_holds_validations_alone(tmp_path):
    rows(tmp_path, "a0", {"train/vae/elbo": 1.0}, {"validate/vae/elbo": 2.0, "validate/vae/rate": 3.0})
    assert series(tmp_path / "a0", "elbo") == [(20, 2.0)]
    assert series(tmp_path / "a0", "nothing") == []


@pytest.mark.parametrize("draws", [1, 5])
def test_operations_are_two_for_each_weight_and_pass(draws, tmp_path):
    parts = ["model=vae", "data=digits", "data.batch_size=6", "latent_dim=3", "encoder.width=7", "decoder.width=5"]
    config = resolve(complete([*parts, f"variational.draws={draws}"], None, ()).config, "x", ())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    encoder, first, decoder = 64 * 7 + 7 * 6, 64 * 7, 3 * 5 + 5 * 64
    forward_and_backward = 3 * (encoder + draws * decoder) - first
    assert operations(tmp_path, {"steps": 4}) == 2 * forward_and_backward * 6 * 4


def test_lines_take_the_place_of_what_stands_between_the_marks(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- table -->\nold\n<!-- /table -->\nafter\n")
    for _ in range(2):
        place(path, "table", ["| a |", "| b |"])
    assert path.read_text() == "before\n<!-- table -->\n| a |\n| b |\n<!-- /table -->\nafter\n"
    with pytest.raises(UserError, match="has no <!-- other -->"):
        place(path, "other", [])


def test_single_runs_need_no_sweep(tmp_path):
    for key, status in (("b", "done"), ("a", "running")):
        (tmp_path / key).mkdir()
        (tmp_path / key / "record.json").write_text(json.dumps({"status": status, "seed": 4}))
    assert folders(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert list(done(tmp_path)) == [tmp_path / "b"]
    assert folders(tmp_path, setting="beta_vae-4") == []
