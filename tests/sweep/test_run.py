"""Where a sweep lies, what it is called, and what Hydra is told of it."""

import signal
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from duogen.compose import compose
from duogen.conftree import tree
from duogen.errors import UserError
from duogen.sweep import run
from duogen.sweep.axes import by_key, parsed
from duogen.sweep.call import CALL
from duogen.sweep.first import first
from duogen.sweep.run import chosen, fresh, named, place, sweep


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run.crew, "warm_up", lambda modules: None)


def given(*overrides):
    return by_key(parsed(text) for text in overrides)


def placed(*overrides):
    """The folder and the name that a command gives its sweep."""
    words = given(*overrides)
    return place(words, named(words, tree()), compose(first(words, tree())).choices)


@pytest.mark.parametrize(
    ("overrides", "folder", "name"),
    [
        (["name=mine", "seed=0,1"], "runs/mine", "mine"),
        (["name=3", "seed=0,1"], "runs/3", "3"),
        (["sweep=generators"], "runs/generators", "generators"),
        (["sweep=generators", "name=mine"], "runs/mine", "mine"),
        (["hydra.sweep.dir=a/b"], "a/b", "b"),
        (["hydra.sweep.dir=a/b", "name=mine"], "a/b", "mine"),
        (["hydra.sweep.dir='a b/c=d'"], "a b/c=d", "c=d"),
        (["data=ring", "optimizer.lr=1,2", "generator=mlp"], "runs/gan-ring-by-lr", "gan-ring-by-lr"),
        (["data=ring", "name=null", "generator=mlp,dcgan", "seed=0,1"], None, "gan-ring-by-generator"),
        (["data=ring"], "runs/gan-ring", "gan-ring"),
        (["data=ring,grid"], "runs/gan-by-data", "gan-by-data"),
        (["data=ring", "hydra.launcher.slots=[a,b]", "seed=0,1"], "runs/gan-ring-by-seed", "gan-ring-by-seed"),
    ],
)
def test_a_sweep_has_a_folder_and_a_name(overrides, folder, name, tmp_path):
    assert placed(*overrides) == (tmp_path / (folder or f"runs/{name}"), name)


def test_a_home_may_be_meant(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert placed("hydra.sweep.dir='~/x'") == (tmp_path / "home" / "x", "x")


@pytest.mark.parametrize("name", ["a,b", "../x", "a/b", "[a]", "{a:1}", "/x", "''", ".."])
def test_a_name_is_that_of_one_folder(name):
    with pytest.raises(UserError, match="name="):
        placed(f"name={name}")


def test_an_unknown_file_is_told_with_its_neighbours():
    with pytest.raises(UserError) as caught:
        placed("sweep=generator")
    assert caught.value.allowed.startswith("generators")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], ["hydra/sweeper=grid", "hydra/launcher=pool"]),
        (["hydra/sweeper=optuna"], ["hydra/launcher=pool"]),
        (["hydra/launcher=slurm"], ["hydra/sweeper=grid"]),
        (["sweep=wgan_lr"], ["hydra/launcher=pool"]),
        (["sweep=wgan_lr", "hydra/launcher=slurm"], []),
    ],
)
def test_our_sweeper_and_launcher_stand_in_where_none_is_chosen(overrides, expected):
    assert chosen(given(*overrides), tree()) == expected


@pytest.mark.parametrize(
    ("override", "expected"),
    [("fresh=true", True), ("++fresh=true", True), ("fresh=false", False), ("seed=1", False), ("fresh=maybe", False)],
)
def test_a_fresh_start_is_asked_for(override, expected):
    assert fresh(given(override)) is expected


def test_hydra_is_told_where_and_by_whom_and_the_sweeper_finds_the_command(monkeypatch, tmp_path):
    seen = []

    def multirun(overrides, files):
        seen.append((list(overrides), CALL.get()))
        return 3

    monkeypatch.setattr(run, "multirun", multirun)
    words = ["name=mine", "hydra.sweeper.refused=skip", "seed=0,1", "fresh=true"]
    assert sweep(words, None, ["my_nets."], False) == 3
    ((overrides, call),) = seen
    assert call.task == ["name=mine", "seed=0,1", "fresh=true"]
    assert overrides[-4:] == [f"hydra.sweep.dir='{tmp_path / 'runs' / 'mine'}'", "name=mine", "seed=0", "fresh=true"]
    assert overrides.index("hydra/sweeper=grid") < overrides.index("hydra.sweeper.refused=skip")
    assert (call.arguments, call.allow, call.name, call.fresh) == (tuple(words), ("my_nets.",), "mine", True)
    assert call.folder == tmp_path / "runs" / "mine"
    with pytest.raises(LookupError):
        CALL.get()


def test_a_sweeper_that_is_not_ours_is_told_the_whole_command(monkeypatch):
    seen = []
    monkeypatch.setattr(run, "multirun", lambda overrides, files: seen.append(overrides) or 0)
    assert sweep(["name=x", "hydra/sweeper=basic", "seed=0,1"], None, [], False) == 0
    assert seen[0][-2:] == ["name=x", "seed=0,1"]


def test_what_is_detached_says_so_to_its_launcher(monkeypatch):
    seen = []
    monkeypatch.setattr(run, "multirun", lambda overrides, *rest: seen.append(overrides) or 0)
    assert sweep(["name=x", "hydra/launcher=slurm"], None, [], True) == 0
    assert seen[0][-1] == "hydra.launcher.detach=true"
    with pytest.raises(UserError, match="--detach"):
        sweep(["name=x"], None, [], True)


def test_the_call_is_over_even_when_the_sweep_fails(monkeypatch):
    def multirun(*_):
        raise ArithmeticError

    monkeypatch.setattr(run, "multirun", multirun)
    with pytest.raises(ArithmeticError):
        sweep(["name=x"], None, [], False)
    with pytest.raises(LookupError):
        CALL.get()


def test_a_quote_in_a_path_stays_one():
    path = Path("/it is/o'clock")
    assert OverridesParser.create().parse_override(f"a={run.quoted(path)}").value() == str(path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGHUP, 75), (signal.SIGINT, 130)])
def test_a_signal_before_any_trial_ends_the_command_with_the_code_of_one_that_can_be_begun_again(
    number, code, monkeypatch
):
    monkeypatch.setattr(run, "first", lambda *_: signal.raise_signal(number))
    with pytest.raises(SystemExit) as ended:
        sweep(["seed=0,1"], None, (), False)
    assert ended.value.code == code
