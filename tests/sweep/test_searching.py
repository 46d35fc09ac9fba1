"""A search from its command: what is refused before anything runs, and what the plan holds of it."""

import fcntl

import pytest

from duogen.cli import main
from duogen.sweep.session import Session
from duogen.sweep.shown.reading import plan

TINY = [
    "train", "-m", "data=ring", "generator=mlp", "discriminator=mlp", "generator.width=4", "discriminator.width=4",
    "data.train_size=100", "data.evaluation_size=20", "data.batch_size=8", "budget.steps=4", "log_every=2",
    "validate_every=2", "logger=none", "trainer=cpu", "hydra/sweeper=optuna", "hydra.sweep.dir=sweep",
    "hydra.sweeper.metric=mode_entropy_gap", "hydra.sweeper.n_trials=2", "hydra.launcher.slots=[a]",
]  # fmt: skip
LR = "optimizer.lr=tag(log,interval(1e-4,1e-2))"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("duogen.experiment.crew.warm_up", lambda modules=(): None)
    return tmp_path


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "name what to search"),
        ([LR, "hydra.sweeper.metric=null"], "a search without a metric"),
        ([LR, "hydra.sweeper.direction=upwards"], "hydra.sweeper.direction: upwards"),
        ([LR, "hydra/sweeper/sampler=tep"], "tpe"),
        ([LR, "hydra.sweeper.metric=modes_fond"], "modes_found"),
        ([LR, "hydra.sweeper.metric=logits_generated"], "add hydra.sweeper.direction=minimize"),
        ([LR, "hydra.sweeper.metric=[modes_found,high_quality]", "hydra/sweeper/pruner=median"],
         "a pruner for modes_found, high_quality"),
        (["optimizer.lr=tag(lgo,interval(1e-4,1e-2))"], "lgo"),
        ([LR, "hydra.sweeper.phases=[{name: final, seeds: '1,2'}]"], "phases with nothing to start from"),
        ([LR, "validate_every=8"], "validate_every=8 in a run of 4 steps"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_before_anything_runs(more, said, here, capsys):
    assert main([*TINY, *more]) in (1, 2)
    told = capsys.readouterr()
    assert said in told.out + told.err
    assert "Traceback" not in told.out + told.err
    assert not list(here.glob("sweep/*/record.json"))


def test_a_second_command_does_not_search_in_the_same_folder(here, capsys):
    (here / "sweep").mkdir()
    with (here / "sweep" / ".search").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert main([*TINY, LR]) == 2
    assert "is being searched by another command" in capsys.readouterr().err


def test_the_plan_holds_what_was_drawn_and_the_same_command_goes_on(here, monkeypatch, capsys):
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert main([*TINY, LR, "seed=0,1"]) == 0
    first = plan(here / "sweep")
    assert len(first["asked"]["search"]) == 2
    assert [entry["seed"] for entry in first["trials"]] == [0, 1, 0, 1]
    assert first["sweeper"]["sampler"]["name"] == "TPESampler"
    assert main([*TINY, LR, "seed=0,1", "hydra.sweeper.n_trials=3"]) == 0
    assert plan(here / "sweep")["asked"]["search"][:2] == first["asked"]["search"]
    capsys.readouterr()
    assert main([*TINY, LR, "seed=0"]) == 2
    assert "seed=1 is gone" in capsys.readouterr().err
    assert main([*TINY, "optimizer.lr=tag(log,interval(1e-5,1e-2))", "seed=0,1"]) == 2
    assert "space:" in capsys.readouterr().err
    before = (here / "sweep" / "sweep.yaml").read_bytes()
    assert main([*TINY, LR, "seed=0,1", "budget.steps=6", "hydra.sweeper.n_trials=4"]) == 2
    assert "trainer.max_steps: 4 there, 6 here" in capsys.readouterr().err
    assert (here / "sweep" / "sweep.yaml").read_bytes() == before


def test_a_space_of_which_all_was_refused_may_be_mended(here, capsys):
    assert main([*TINY, LR, "validate_every=8"]) == 2
    assert main([*TINY, "latent_dim=2,3", "validate_every=8"]) == 2
    assert "a recorded setting" not in capsys.readouterr().err


def test_a_folder_that_cannot_be_one_is_refused(here, capsys):
    (here / "sweep").touch()
    assert main([*TINY, LR]) == 2
    assert "sweep cannot be used: File exists" in capsys.readouterr().err


def test_a_search_is_not_left_to_a_queue(here, capsys, monkeypatch):
    monkeypatch.setattr(Session, "detached", True)
    assert main([*TINY, LR]) == 2
    assert "--detach with a search" in capsys.readouterr().err
    assert not (here / "sweep").exists()
