import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from duogen.compose import compose
from duogen.conftree import conf_dir
from duogen.errors import UserError
from duogen.experiment.key import run_key
from duogen.sweep.export import export, exported, parameter, searched, spelled

SHIPPED = sorted(path.stem for path in (conf_dir() / "sweep").glob("*.yaml"))
GRID = """\
# @package _global_
defaults:
  - override /data: ring
  - override /generator: mlp
  - override /discriminator: mlp
  - override /penalty: [r1, r2]
  - override /hydra/sweeper: grid

latent_dim: 3
data: {std: 0.02}
model: {top_k: 1.0}
optimizer: {lr: 1e-3, amsgrad: true}
generator: {width: 17, initial_std: null}
penalties: {r1: {weight: {_target_: duogen.ramp.Cosine, first: 0.05, last: 5e-3, start: 0, stop: "${budget.steps}"}}}
tiers: {every: {smoke: 10, demo: 500, paper: 5000}}
validate_every: ${tiers.every.${budget.tier}}
hydra:
  sweeper:
    params:
      adversarial: glob(h*)
      optimizer.betas: "[0.0,0.9],[0.5,0.999]"
      optimizers.generator.lr: 1e-05,2,0.25
      generator.batch_norm: true,false
      discriminator.dropout: 0.5
      model.weight_clip: null,0.01
      seed: range(2)
"""
SEARCH = """\
# @package _global_
defaults:
  - override /data: ring
  - override /generator: mlp
  - override /discriminator: mlp
  - override /hydra/sweeper: optuna
  - override /hydra/sweeper/sampler: gp
hydra:
  sweeper:
    metric: high_quality
    direction: maximize
    n_trials: 7
    params:
      optimizer.lr: tag(log,interval(1e-5,1e-2))
      generator.width: int(interval(8,64))
      seed: range(10,13)
"""


def shelf(folder: Path, text: str) -> Path:
    file = folder / "sweep" / "mine.yaml"
    file.parent.mkdir()
    file.write_text(text)
    return folder


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> tuple[Path, dict[str, Any]]:
    """The folder of the grid's file, and what it is exported as."""
    folder = shelf(tmp_path_factory.mktemp("conf"), GRID)
    return folder, exported("mine", folder)


def agent_runs(sweep: dict[str, Any], **chosen: Any) -> list[str]:
    """The words that W&B's agent starts for the values that its server has chosen."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    arguments = {name: {"value": json.loads(json.dumps(value))} for name, value in chosen.items()}
    macros = create_sweep_command_args({"args": arguments}) | {"env": ["/usr/bin/env"]}
    words = [str(word) for word in create_sweep_command(list(sweep["command"]))]
    return [
        part
        for word in words
        for part in (macros[word[2:-1]] if word.startswith("${") and word.endswith("}") else [word])
    ]


def points(sweep: dict[str, Any]) -> list[dict[str, Any]]:
    values = [parameter["values"] for parameter in sweep["parameters"].values()]
    return [dict(zip(sweep["parameters"], point, strict=True)) for point in itertools.product(*values)]


def meant(words: list[str]) -> dict[str, Any]:
    return {
        override.get_key_element(): override.value() for override in OverridesParser.create().parse_overrides(words)
    }


def test_an_agent_is_given_the_overrides_of_the_grid(grid):
    sweep = grid[1]
    axes = {
        "adversarial": ["hinge"],
        "optimizer.betas": [[0.0, 0.9], [0.5, 0.999]],
        "optimizers.generator.lr": [1e-5, 2, 0.25],
        "generator.batch_norm": [True, False],
        "discriminator.dropout": [0.5],
        "model.weight_clip": [None, 0.01],
        "seed": [0, 1],
    }
    found = [meant(agent_runs(sweep, **point)[-len(axes) :]) for point in points(sweep)]
    assert found == [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]
    assert agent_runs(sweep)[:4] == ["/usr/bin/env", "duogen", "train", "name=mine"]


@pytest.mark.parametrize(("number", "tier"), [(0, "demo"), (23, "smoke")])
def test_an_agent_runs_what_the_sweep_itself_runs(grid, tier, number):
    folder, sweep = grid
    betas, lr, norm, clip, seed = list(
        itertools.product(
            ["[0.0,0.9]", "[0.5,0.999]"], ["1e-05", "2", "0.25"], ["true", "false"], ["null", "0.01"], "01"
        )
    )[number]
    _, _, _, *words = agent_runs(sweep, **points(sweep)[number])
    agent = compose([*words, f"budget={tier}"], folder).config
    own = compose(
        ["sweep=mine", "adversarial=hinge", f"optimizer.betas={betas}", f"optimizers.generator.lr={lr}",
         f"generator.batch_norm={norm}", "discriminator.dropout=0.5", f"model.weight_clip={clip}", f"seed={seed}",
         f"budget={tier}"],
        folder,
    ).config  # fmt: skip
    assert agent["name"] == "mine"
    assert agent == own | {"name": "mine"}
    assert run_key(agent) == run_key(own)
    assert agent["penalties"]["r1"]["weight"]["last"] == 0.005
    assert agent["validate_every"] == {"smoke": 10, "demo": 500}[tier]


def test_numbers_stay_numbers_and_everything_else_is_handed_back_as_written(grid):
    found = grid[1]["parameters"]
    assert found["optimizers.generator.lr"] == {"values": [1e-5, 2, 0.25]}
    assert found["optimizer.betas"] == {"values": ["[0.0,0.9]", "[0.5,0.999]"]}
    assert found["model.weight_clip"] == {"values": ["null", 0.01]}
    assert found["generator.batch_norm"]["values"] == [True, False]


@pytest.mark.parametrize(
    "value",
    ["plain", "a.b", "a b", "x,y", "it's", "null", "True", "", "a=b", "[1]", "back\\", "${a.b}", "a:1", 3, -2.5, 1e-5,
     1e300, True, False, None, [1, "x y", None], {"a": [True, "q"], "b": {"c": "d,e"}}, []],
)  # fmt: skip
def test_a_value_comes_back_from_its_spelling(value):
    assert meant([f"key={spelled(value)}"]) == {"key": value}


def test_a_number_that_yaml_takes_for_text_is_a_number():
    assert meant([f"key={spelled(yaml.safe_load('1e-3'))}"]) == {"key": 0.001}


@pytest.mark.parametrize(
    "distribution",
    [
        FloatDistribution(-0.5, 2.0),
        FloatDistribution(1e-5, 1e-2, log=True),
        FloatDistribution(0.5, 2.0, step=0.25),
        IntDistribution(3, 11),
        IntDistribution(16, 64, step=16),
        IntDistribution(1, 64, log=True),
        CategoricalDistribution(["adam", "[r1,r2]"]),
    ],
    ids=str,
)
def test_wandb_reads_the_distribution_that_was_meant(distribution):
    scheduler = pytest.importorskip("wandb.sdk.sweeps.scheduler.optuna")
    assert scheduler.sweep_parameter_to_distribution(parameter(distribution)) == distribution


@pytest.mark.parametrize(
    ("distribution", "values"),
    [(IntDistribution(3, 9, step=2), [3, 5, 7, 9]), (FloatDistribution(0.25, 1.25, step=0.5), [0.25, 0.75, 1.25])],
)
def test_steps_from_elsewhere_than_0_are_listed(distribution, values):
    assert parameter(distribution) == {"values": values}


def test_a_search_is_one_of_wandb_with_as_many_runs(tmp_path):
    found = exported("mine", shelf(tmp_path, SEARCH))
    assert (found["name"], found["program"], found["project"]) == ("mine", "duogen", "duogen")
    assert found["metric"] == {"name": "validate/gan/high_quality", "goal": "maximize"}
    assert (found["method"], found["run_cap"]) == ("bayes", 21)
    assert found["parameters"] == {
        "optimizer.lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2},
        "generator.width": {"distribution": "int_uniform", "min": 8, "max": 64},
        "seed": {"values": [10, 11, 12]},
    }


def test_a_search_takes_a_sampler_from_its_file(tmp_path):
    text = SEARCH.replace("sampler: gp", "sampler: qmc")
    assert exported("mine", shelf(tmp_path, text))["method"] == "random"


def sweeper(metric: Any, direction: Any) -> dict[str, Any]:
    return {"metric": metric, "direction": direction, "n_trials": 4}


INFOGAN = {"model": {"_target_": "duogen.modules.infogan.InfoGAN"}}


@pytest.mark.parametrize(
    ("sampler", "method"),
    [("random", "random"), ("qmc", "random"), ("tpe", "bayes"), ("gp", "bayes"), ("cmaes", "bayes")],
)
def test_the_method_is_the_samplers_and_the_metric_is_named_after_the_module(sampler, method):
    metric = {"name": "validate/infogan/x", "goal": "minimize"}
    expected = {"method": method, "metric": metric, "run_cap": 12}
    assert searched(sweeper("x", "minimize"), sampler, 3, INFOGAN) == expected
    assert searched(sweeper(["x"], ["minimize"]), sampler, 3, INFOGAN) == expected


@pytest.mark.parametrize("metric", [["x", "y"], None])
def test_of_none_or_several_objectives_wandb_is_told_none(metric):
    assert searched(sweeper(metric, ["maximize"] * 2), "tpe", 2, INFOGAN) == {"method": "random", "run_cap": 8}


def test_a_grid_needs_no_metric(grid):
    assert grid[1]["method"] == "grid"
    assert not {"metric", "run_cap"} & grid[1].keys()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_sweep_is_exported_or_told_why_not(name):
    sweeper = yaml.safe_load((conf_dir() / "sweep" / f"{name}.yaml").read_text())["hydra"]["sweeper"]
    lacking = sweeper.keys() & {"settings", "compare", "phases"}
    if not lacking:
        found = exported(name, None)
        assert found["parameters"].keys() == sweeper["params"].keys()
        assert found["command"][3] == f"name={name}"
        return
    with pytest.raises(UserError) as caught:
        exported(name, None)
    assert all(part in caught.value.given for part in lacking)
    assert f"duogen train -m sweep={name}" in caught.value.remedy


def test_there_are_sweeps_of_both_kinds():
    assert {"generators", "wgan_lr", "ttur", "adversarial", "lucic", "equal_effort"} <= set(SHIPPED)


def test_it_is_written_to_a_file_or_shown(grid, tmp_path, capsys):
    folder, sweep = grid
    assert export("mine", folder, None) == 0
    shown = capsys.readouterr().out
    assert export("mine", folder, tmp_path / "there" / "wandb.yaml") == 0
    assert (tmp_path / "there" / "wandb.yaml").read_text() == shown
    assert yaml.safe_load(shown) == sweep
    assert "wandb sweep" in capsys.readouterr().out


def test_mistakes_are_refused(tmp_path):
    with pytest.raises(UserError) as caught:
        export("generatros", None, None)
    assert caught.value.allowed.startswith("generators")
    with pytest.raises(UserError, match="is a folder"):
        export("ttur", None, tmp_path)
    with pytest.raises(UserError, match="has no params"):
        export("mine", shelf(tmp_path, "# @package _global_\ndefaults: [override /data: ring]\n"), None)


def test_a_direction_that_is_not_said_is_the_metrics_own():
    config = compose(["data=ring", "generator=mlp", "discriminator=mlp"]).config
    found = searched(sweeper("high_quality", None), "tpe", 1, config)
    assert found["metric"] == {"name": "validate/gan/high_quality", "goal": "maximize"}


def test_a_place_that_takes_no_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another path"):
        export("wgan_lr", None, tmp_path / "file" / "x.yaml")
