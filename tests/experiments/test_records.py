import json

import numpy as np
import pytest
from experiments.records import difference, interval, record, value
from scipy import stats

A, B = [3.0, 5.0, 4.0, 8.0], [1.0, 2.5, 2.0]


def test_an_interval_is_students():
    low, high = stats.t.interval(0.95, 3, loc=np.mean(A), scale=stats.sem(A))
    assert interval(A) == f"{np.mean(A):.3g} ± {(high - low) / 2:.2g}"
    assert interval([3.0]) == "3"
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
