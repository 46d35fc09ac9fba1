"""The sweeper's YAML: every sampler, pruner and aggregate builds, and the method says what is wrong with it."""

from functools import partial
from statistics import fmean

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from optuna.distributions import FloatDistribution
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner, PercentilePruner
from optuna.samplers import CmaEsSampler, GPSampler, QMCSampler, RandomSampler, TPESampler

from duogen import resolvers
from duogen.compose import conf_dir
from duogen.errors import UserError
from duogen.sweep.search.method import Objective, Quantile, read_method
from duogen.sweep.search.study import Search
from sweep.studies import Driver, curve, expand

SWEEPER = conf_dir() / "hydra" / "sweeper"
SAMPLER = {"tpe": TPESampler, "gp": GPSampler, "qmc": QMCSampler, "random": RandomSampler, "cmaes": CmaEsSampler}
PRUNER = {"none": NopPruner, "median": MedianPruner, "percentile": PercentilePruner, "hyperband": HyperbandPruner}
AGGREGATE = {"mean": 2.0, "median": 1.0, "quantile": 3.0}


def sweeper(*overrides):
    resolvers.register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", ["hydra/sweeper=optuna", *overrides], return_hydra_config=True)
    return config.hydra.sweeper


def read(node, **given):
    parts = {name: instantiate(node[name]) for name in ("sampler", "pruner", "aggregate")}
    return read_method(**{"metric": "loss", "direction": "minimize", "n_jobs": node.n_jobs, **parts, **given})


@pytest.mark.parametrize(("folder", "expected"), [("sampler", SAMPLER), ("pruner", PRUNER), ("aggregate", AGGREGATE)])
def test_every_file_is_tested(folder, expected):
    assert {path.stem for path in (SWEEPER / folder).glob("*.yaml")} == set(expected)


@pytest.mark.parametrize("name", SAMPLER)
def test_samplers(name):
    how = read(sweeper(f"hydra/sweeper/sampler={name}", "hydra.sweeper.sampler.seed=7"))
    assert how.seed == 7
    agenda = Search({"k": FloatDistribution(0, 1)}, how, 2, (0,), expand, (), lambda params: None, "search")
    Driver(lambda trial: curve(float(trial.setting["k"]))).run(agenda)
    assert isinstance(agenda.study.sampler, SAMPLER[name])
    assert agenda.finished == 2


@pytest.mark.parametrize("name", PRUNER)
def test_pruners(name):
    how = read(sweeper(f"hydra/sweeper/pruner={name}", "validate_every=40"))
    pruner = how.pruner()
    assert type(pruner) is PRUNER[name]
    assert pruner is not how.pruner()


@pytest.mark.parametrize("name", AGGREGATE)
def test_aggregates(name):
    how = read(sweeper(f"hydra/sweeper/aggregate={name}", *(["hydra.sweeper.aggregate.q=0.75"] * (name == "quantile"))))
    assert how.aggregate([0.0, 1.0, 5.0]) == AGGREGATE[name]


def test_defaults():
    node = sweeper()
    assert (node.n_trials, node.n_jobs, node.direction, dict(node.params)) == (20, None, None, {})
    assert isinstance(read(node).pruner(), NopPruner)


def test_lists_make_several_objectives():
    how = read(sweeper(), metric=["loss", "quality"], direction=["minimize", "maximize"])
    assert how.objectives == [Objective("loss", "minimize"), Objective("quality", "maximize")]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"metric": None}, "set metric"),
        ({"metric": ["a", "b"]}, "one direction for each metric"),
        ({"direction": "minimise"}, "minimize, maximize"),
        ({"n_jobs": 0}, "n_jobs=0"),
        ({"n_jobs": "two"}, "n_jobs=two"),
    ],
)
def test_refuses(given, says):
    with pytest.raises(UserError, match=says):
        read(sweeper(), **given)


def test_a_sampler_without_a_seed_has_0():
    assert read(sweeper(), sampler=partial(RandomSampler)).seed == 0
    assert read(sweeper(), sampler=partial(RandomSampler, seed=None), aggregate=fmean).seed == 0


def test_a_quantile_outside_of_its_range_is_refused():
    with pytest.raises(UserError, match="0 <= q <= 1"):
        Quantile(1.5)
