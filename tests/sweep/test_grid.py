"""Whole grids on this machine, from the command line: begun, continued, widened, refused, started over."""

import shutil
import signal
from pathlib import Path

import pytest
import yaml

from contracts.cases import MLP, SMALL
from duogen.cli import main
from duogen.experiment.folder import RunFolder
from duogen.sweep.local import pool

RING = [*SMALL, *MLP, "latent_dim=3", "budget.steps=4", "log_every=2", "name=mine", "hydra.launcher.slots=[x,y]"]
TWO = [*RING, "adversarial=hinge,minimax"]


def train(*overrides):
    return main(["train", "-m", *overrides])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A sweep of two settings with one seed that has run to its end."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert train(*TWO) == 0
    return folder / "runs" / "mine"


@pytest.fixture
def here(whole, tmp_path, monkeypatch):
    """A copy of that sweep, where the same command finds it."""
    monkeypatch.chdir(tmp_path)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield Path(shutil.copytree(whole, "runs/mine")).absolute()
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.fixture
def idle(monkeypatch):
    """A trial that begins is a failure."""
    monkeypatch.setattr(pool.Crew, "start", lambda self: pytest.fail("a trial was begun"))


def plan(folder):
    return yaml.safe_load((folder / "sweep.yaml").read_text())


def records(folder):
    found = {entry["key"]: RunFolder(folder / entry["key"]).record() for entry in plan(folder)["trials"]}
    assert None not in found.values()
    return found


def snapshot(folder):
    files = [path for key in records(folder) for path in (folder / key).rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in files}


def refused(capsys, *command):
    assert train(*command) == 2
    return capsys.readouterr().err


def test_a_sweep_leaves_a_plan_and_a_run_folder_for_each_trial(whole):
    assert plan(whole)["space"] == {"adversarial": "hinge,minimax", "seed": "0"}
    assert [entry["setting"] for entry in plan(whole)["trials"]] == [
        {"adversarial": "hinge"},
        {"adversarial": "minimax"},
    ]
    for (key, record), name in zip(records(whole).items(), ("hinge", "minimax"), strict=True):
        assert (record.key, record.status, record.steps) == (key, "done", 4)
        assert record.choices["adversarial"] == name
        told = {"group": "mine", "phase": "grid", "label": f"adversarial={name},seed=0", "prunable": False}
        assert told.items() <= record.sweep.items()
        assert len(record.metrics) == 6
        assert record.provenance["git"] == plan(whole)["code"][0]["git"]
    assert {path.name for path in whole.iterdir()} == {".plan", "sweep.yaml", "trials", *records(whole)}


@pytest.mark.usefixtures("idle")
def test_the_same_command_again_runs_nothing(here, capsys):
    before = snapshot(here)
    assert train(*TWO) == 0
    assert snapshot(here) == before
    assert "2 done" in capsys.readouterr().out


@pytest.mark.usefixtures("idle")
def test_the_order_of_the_command_does_not_matter(here):
    assert train(*TWO[::-1]) == 0


def test_added_seeds_run_beside_the_old_ones(here):
    old = snapshot(here)
    assert train(*TWO, "seed=range(2)") == 0
    assert [entry["seed"] for entry in plan(here)["trials"]] == [0, 0, 1, 1]
    assert {record.status for record in records(here).values()} == {"done"}
    assert old.items() <= snapshot(here).items()


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["optimizer.lr=0.5"], "adversarial=hinge,seed=0: optimizer.lr: 0.0002 there, 0.5 here"),
        (["budget.steps=5"], "trainer.max_steps: 4 there, 5 here"),
        (["adversarial=hinge"], "adversarial=minimax,seed=0 is gone"),
        (["seed=1"], "seed=0 is gone"),
    ],
)
def test_another_sweep_is_refused_with_the_difference(change, said, here, capsys):
    before = (here / "sweep.yaml").read_bytes()
    assert said in refused(capsys, *TWO, *change)
    assert (here / "sweep.yaml").read_bytes() == before


@pytest.mark.usefixtures("idle")
def test_where_it_lies_may_be_said_in_another_way(here):
    assert train(*(given for given in TWO if not given.startswith("name=")), "hydra.sweep.dir=runs/mine") == 0


def test_fresh_starts_over(here):
    before = snapshot(here)
    assert train(*RING, "adversarial=hinge", "fresh=true") == 0
    assert [entry["setting"] for entry in plan(here)["trials"]] == [{}]
    (key,) = records(here)
    changed = snapshot(here)[here / key / "record.json"]
    assert changed > before[here / key / "record.json"]


def test_one_bad_trial_fails_the_sweep_unless_as_many_may(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = [*RING, "optimizer.lr=1e-3,1e30", "optimizer=sgd"]
    assert train(*command) == 1
    found = [record.status for record in records(Path("runs/mine")).values()]
    assert found == ["done", "nan"]
    monkeypatch.setattr(pool.Crew, "start", lambda self: pytest.fail("a trial was begun"))
    assert train(*command) == 1
    assert train(*command, "hydra.sweeper.max_failure_rate=0.5") == 0
    assert "1 nan" in capsys.readouterr().out
