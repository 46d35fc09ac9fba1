"""A trial's file in, a run folder out; a file that makes no sense leaves nothing."""

import json

import pytest

from contracts.cases import ALLOW, found
from duogen.errors import UserError
from duogen.experiment.attempt import attempt, load
from duogen.experiment.folder import RunFolder
from duogen.experiment.trial import Plan
from duogen.sweep.agenda import Trial
from duogen.sweep.plan import write

GAN = next(case for case in found() if case.name == "gan")
STEPS = ("budget.steps=2", "log_every=1")


def written(tmp_path, plan):
    trial = Trial(plan, tmp_path / "trials" / "a.json", {}, 0)
    trial.file.parent.mkdir()
    write(trial)
    return trial.file


def test_a_plan_comes_back_as_it_was_written(tmp_path):
    plan = Plan(
        {"seed": 1, "trainer": {"devices": 2}, "optimizer": {"lr": 1e-05, "betas": [0.5, 0.999]}},
        tmp_path / "run é",
        {"data": "ring", "experiment": None},
        ["data=ring", "name='a b'"],
        ["my_nets."],
        {"group": "g", "prunable": True, "setting": {"lr": "1e-5"}},
        {"git": None},
    )
    file = written(tmp_path, plan)
    assert load(file) == plan
    before = file.stat()
    write(Trial(plan, file, {}, 0))
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "null", "{}", '{"folder": 3, "config": {}}', '{"folder": "x", "nonsense": 1}', "\udcff"],
)
def test_a_file_that_is_none_of_ours_is_refused(text, tmp_path):
    file = tmp_path / "a.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match="a trial's file"):
        load(file)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="FileNotFoundError"):
        load(tmp_path / "a.json")


def test_it_runs_what_the_file_says(tmp_path):
    told = {"group": "g", "phase": "grid", "label": "seed=0", "prunable": False, "stop": str(tmp_path / "stop")}
    plan = Plan(GAN.config(*STEPS), tmp_path / "run", {"data": "ring"}, ["data=ring"], ALLOW, told, {"git": "abc"})
    assert attempt(str(written(tmp_path, plan))) == 0
    record = RunFolder(plan.folder).record()
    assert (record.status, record.steps, record.sweep) == ("done", 2, told)
    assert record.provenance["git"] == "abc"
    assert json.loads((plan.folder / "record.json").read_text())["overrides"] == ["data=ring"]


def test_what_cannot_be_built_is_refused_before_there_is_a_folder(tmp_path):
    config = GAN.config(*STEPS)
    config["generator"]["_target_"] = config["model"]["generator"]["_target_"] = "os.system"
    file = written(tmp_path, Plan(config, tmp_path / "run", allow=ALLOW))
    with pytest.raises(UserError, match=r"os\.system"):
        attempt(str(file))
    assert not (tmp_path / "run").exists()
