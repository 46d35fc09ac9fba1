import subprocess
import sys

import pytest

from duogen.errors import UserError
from duogen.sweep.shown.results import best, lines, status, tables, trials
from sweep.written import metric, plan, rows, run, trial

SEARCH = {"sweeper": {"metric": "frechet_pixels", "direction": "minimize"}, "command": "duogen train -m lr=1,2,3"}


def planned(folder, **content):
    plan(folder, [trial(f"{lr}{seed}", {"optimizer.lr": lr}, seed) for lr in "123" for seed in (0, 1)], **content)


def ran(folder, key, value, **content):
    run(folder, key, metrics=[metric(value, seed=int(key[1])), metric(0.25, weights="real")], **content)
    rows(folder, key, {"train/generator/adversarial": 1.0}, {"validate/gan/frechet_pixels": value})


def whole(folder, **content):
    planned(folder, **content)
    for lr, value in (("1", 3.0), ("2", 1.0), ("3", 2.0)):
        for seed in (0, 1):
            ran(folder, f"{lr}{seed}", value + seed / 2)


def test_trials_come_in_the_plans_order(tmp_path):
    planned(tmp_path)
    ran(tmp_path, "30", 2.0)
    found = trials(tmp_path)
    assert [(one.key, one.status) for one in found] == [
        ("10", "waiting"), ("11", "waiting"), ("20", "waiting"), ("21", "waiting"), ("30", "done"), ("31", "waiting"),
    ]  # fmt: skip


def test_an_interrupted_sweep_ends_with_the_same_tables(tmp_path):
    whole(tmp_path / "a", **SEARCH)
    planned(tmp_path / "b", **SEARCH)
    ran(tmp_path / "b", "10", 7.5, wall_s=900.0)
    run(tmp_path / "b", "11", "interrupted", steps=20)
    assert lines(tmp_path / "b") != lines(tmp_path / "a")
    for lr, value in (("3", 2.0), ("2", 1.0), ("1", 3.0)):
        for seed in (1, 0):
            ran(tmp_path / "b", f"{lr}{seed}", value + seed / 2, wall_s=77.0 + seed, failures=seed)
    assert lines(tmp_path / "b") == lines(tmp_path / "a")
    assert not [line for line in lines(tmp_path / "b") if "77" in line or "tries" in line]


def test_the_best_of_a_search_is_found(tmp_path):
    whole(tmp_path, **SEARCH)
    assert [(one.setting["optimizer.lr"], one.values[0].mean) for one in best(tmp_path)] == [
        ("2", 1.25), ("3", 2.25), ("1", 3.25),
    ]  # fmt: skip


def test_a_grid_has_no_best(tmp_path):
    whole(tmp_path)
    assert best(tmp_path) == []
    assert not any(line.startswith("best") for line in lines(tmp_path))


def test_a_status_tells_counts_tables_errors_and_how_to_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    planned(tmp_path, **SEARCH)
    ran(tmp_path, "10", 3.0)
    ran(tmp_path, "11", 3.0)
    run(tmp_path, "20", "failed", failures=1, error="RuntimeError: [sizes] differ")
    run(tmp_path, "21", "running")
    assert status(tmp_path) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "ring: 6 trials, 2 done, 2 waiting, 1 stopped, 1 failed"
    assert "errors" in [line.strip() for line in shown]
    assert any(line.endswith("RuntimeError: [sizes] differ") for line in map(str.rstrip, shown))
    assert any(line.split() == ["1", "2", "3", "±", "0"] for line in shown)
    assert shown[-1] == "to continue: duogen train -m lr=1,2,3"
    assert max(map(len, shown[:-1])) <= 100


def test_a_sweep_that_is_over_has_nothing_to_continue(tmp_path, capsys):
    whole(tmp_path, **SEARCH)
    status(tmp_path)
    shown = capsys.readouterr().out
    assert shown.startswith("ring: 6 trials, 6 done\n")
    assert "to continue" not in shown


@pytest.mark.parametrize(("count", "there"), [(40, True), (41, False)])
def test_many_trials_have_no_row_each(count, there, tmp_path):
    plan(tmp_path, [trial(f"k{seed}", {"a": "1"}, seed) for seed in range(count)])
    assert ("trials" in lines(tmp_path)) == there
    assert [table.title for table in tables(tmp_path, 80)][1:] == ["trials"] * there


def test_a_folder_without_a_sweep_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"holds no sweep\.yaml"):
        status(tmp_path)


def test_the_status_imports_nothing_heavy():
    heavy = {"torch", "pytorch_lightning", "optuna", "hydra"}
    code = f"import sys, duogen.sweep.shown.results; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
