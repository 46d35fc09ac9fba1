import json
from pathlib import Path

import pytest

from duogen.errors import UserError
from duogen.experiment.folder import RunFolder
from duogen.experiment.trial import Plan
from duogen.sweep.agenda import Trial
from duogen.sweep.naming import label
from duogen.sweep.shown.reading import Row, grouped, objectives, ranked, row, validated
from duogen.sweep.shown.reading import plan as read
from sweep.written import metric, plan, rows, run, trial


@pytest.mark.parametrize("setting", [{}, {"generator": "mlp", "optimizers.generator.lr": "1e-3"}])
def test_a_label_is_the_trials_own(setting):
    one = Trial(Plan({}, Path("k")), Path("k.json"), setting, 7)
    assert label(setting, 7) == one.label


def test_a_folder_without_a_sweep_is_refused_with_the_sweeps_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="none lies below runs/"):
        read(Path("runs/losses"))
    plan(Path("runs/zebra"), [])
    plan(Path("runs/all/losses-2"), [])
    with pytest.raises(UserError) as raised:
        read(Path("runs/all/losses"))
    assert raised.value.given == "runs/all/losses holds no sweep.yaml"
    assert raised.value.allowed.endswith(": runs/all/losses-2, runs/zebra")


@pytest.mark.parametrize("text", ["schema: 2\ntrials: []", "schema: 1", "[", "", "schema: 1\ntrials: [{seed: 1}]"])
def test_a_plan_that_is_none_of_ours_is_refused(text, tmp_path):
    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(UserError, match=r"sweep\.yaml cannot be read"):
        read(tmp_path)


def test_a_trial_is_told_from_its_record(tmp_path):
    run(tmp_path, "a", "failed", wall_s=4.5, steps=70, failures=2, error="Traceback\n  File\nValueError: no\n")
    planned = trial("a", {"generator": "mlp"}, 3, "wide")
    assert row(tmp_path, planned) == Row(
        "a", "generator=mlp,seed=3", {"generator": "mlp"}, 3, "wide", "failed", 70, 4.5, 2, "ValueError: no", ()
    )
    run(tmp_path, "a", "done", [metric(2.5)], failures=2)
    again = row(tmp_path, planned)
    assert (again.status, again.attempts, again.metrics) == ("done", 3, (metric(2.5),))


def test_without_a_record_a_trial_waits(tmp_path):
    assert row(tmp_path, trial("a", None, 0)) == Row("a", "seed=0", {}, 0, "grid")


def test_a_record_that_says_running_is_believed_while_someone_runs_it(tmp_path):
    run(tmp_path, "a", "running")
    assert row(tmp_path, trial("a", {}, 0)).status == "stopped"
    with RunFolder(tmp_path / "a").lock():
        assert row(tmp_path, trial("a", {}, 0)).status == "running"
    assert row(tmp_path, trial("a", {}, 0)).status == "stopped"


def test_a_running_trial_is_as_far_as_its_last_row(tmp_path):
    run(tmp_path, "a", "running", steps=10)
    assert row(tmp_path, trial("a", {}, 0)).steps == 10
    rows(tmp_path, "a", {"x": 1.0}, {"x": 1.0}, {"x": 2.0})
    assert row(tmp_path, trial("a", {}, 0)).steps == 30
    run(tmp_path, "a", "interrupted", steps=20)
    assert row(tmp_path, trial("a", {}, 0)).steps == 20


def test_a_record_that_cannot_be_read_hides_no_other(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "record.json").write_text("{")
    found = row(tmp_path, trial("a", {}, 0))
    assert found.status == "unreadable"
    assert "record.json cannot be read" in found.error


def test_repetitions_share_phase_and_setting():
    settings = [({"a": "1"}, "x"), ({"a": "2"}, "x"), ({"a": "1"}, "y"), ({"a": "1"}, "x")]
    made = [Row(str(n), "", setting, n, phase) for n, (setting, phase) in enumerate(settings)]
    assert [[one.key for one in group] for group in grouped(made).values()] == [["0", "3"], ["1"], ["2"]]


@pytest.mark.parametrize(
    ("sweeper", "found"),
    [
        (None, {}),
        ({"metric": None}, {}),
        ({"metric": "a", "direction": "minimize"}, {"a": False}),
        ({"metric": "a", "direction": None}, {"a": False}),
        ({"metric": ["a", "b"], "direction": ["maximize", "minimize"]}, {"a": True, "b": False}),
    ],
)
def test_objectives_have_directions(sweeper, found):
    assert objectives({"sweeper": sweeper}) == found


def test_a_value_is_that_of_the_last_row_that_was_validated(tmp_path):
    rows(
        tmp_path, "a", {"validate/gan/frechet": 5.0}, {"validate/gan/frechet": 4.0, "validate/gan/kid": 0.25},
        {"train/generator/frechet": 1.0, "validate/gan/frechet_lenet": 2.0},
    )  # fmt: skip
    with (tmp_path / "a" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"validate/gan/frechet": 9.0})[:-2])
    assert validated(tmp_path / "a", "frechet") == 4.0
    assert validated(tmp_path / "a", "frechet_lenet") == 2.0
    assert validated(tmp_path / "a", "modes") is None
    assert validated(tmp_path / "b", "frechet") is None


def searched(folder, values, status="done"):
    """Settings with two seeds each, by the values of their objectives."""
    found = []
    for name, (first, second) in values.items():
        for seed, shift in ((0, -0.5), (1, 0.5)):
            key = f"{name}{seed}"
            row = {"validate/gan/a": first + shift, "validate/gan/b": second + shift}
            rows(folder, key, {n: v for n, v in row.items() if v == v})
            found.append(Row(key, "", {"x": name}, seed, "search", status))
    return found


def test_the_best_setting_has_the_best_mean_over_its_seeds(tmp_path):
    made = searched(tmp_path, {"p": (4.0, 1.0), "q": (2.0, 1.0), "r": (3.0, 1.0)})
    assert [one.setting["x"] for one in ranked(tmp_path, made, {"a": False})] == ["q", "r", "p"]
    found = ranked(tmp_path, made, {"a": True})
    assert [(one.setting["x"], one.values[0].mean, one.values[0].n) for one in found] == [
        ("p", 4.0, 2), ("r", 3.0, 2), ("q", 2.0, 2),
    ]  # fmt: skip


def test_a_setting_counts_when_all_of_its_seeds_are_done_and_measured(tmp_path):
    made = searched(tmp_path, {"p": (4.0, 1.0), "q": (float("nan"), 1.0)})
    assert [one.setting["x"] for one in ranked(tmp_path, made, {"a": False})] == ["p"]
    made[1] = Row("p1", "", {"x": "p"}, 1, "search", "nan")
    assert ranked(tmp_path, made, {"a": False}) == []
    assert ranked(tmp_path, made, {}) == []


def test_of_two_objectives_the_front_is_found(tmp_path):
    values = {"p": (1.0, 5.0), "q": (2.0, 4.0), "r": (2.0, 6.0), "s": (3.0, 9.0), "t": (4.0, 8.0), "u": (1.0, 5.0)}
    made = searched(tmp_path, values)
    front = ranked(tmp_path, made, {"a": False, "b": True})
    assert [one.setting["x"] for one in front] == ["p", "u", "r", "s"]


@pytest.mark.parametrize(("data", "ranks"), [("there", 2), ("elsewhere", 0)])
def test_values_of_two_protocols_are_not_ranked(data, ranks, tmp_path):
    plan(tmp_path, [trial(key, {"data": key}, 0) for key in "kl"])
    for key, name in (("k", "there"), ("l", data)):
        run(tmp_path, key, metrics=[metric(1.0, data=name), metric(0.5, weights="real", data="any")])
        rows(tmp_path, key, {"validate/gan/frechet_pixels": 2.0})
    made = [row(tmp_path, one) for one in read(tmp_path)["trials"]]
    assert len(ranked(tmp_path, made, {"frechet_pixels": False})) == ranks
